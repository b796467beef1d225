"""What people say of answers: added, never edited."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models.functions import Now

from lealife.core.append_only import guard_tables


class Migration(migrations.Migration):
    dependencies = [
        ("training", "0010_promotion_settings"),
    ]

    operations = [
        migrations.CreateModel(
            name="OperatorVerdict",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("right", models.BooleanField(help_text="Whether the answer was right.")),
                ("note", models.TextField(blank=True, help_text="For people only: it never becomes memory.")),
                ("by", models.CharField(max_length=150)),
                ("origin", models.CharField(help_text="page, api, admin, …", max_length=40)),
                (
                    "effect",
                    models.JSONField(
                        default=dict, help_text="Ids of the memory items that it changed, by their new status."
                    ),
                ),
                ("at", models.DateTimeField(db_default=Now(), editable=False)),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="verdicts", to="training.run"
                    ),
                ),
            ],
            options={"ordering": ["-id"]},
        ),
        *guard_tables("training_operatorverdict"),
    ]
