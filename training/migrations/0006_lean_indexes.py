"""Indexes that most rows have no entry in: every change of a run or a source writes all of its entries anew."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("training", "0005_stop_reversal"),
    ]

    operations = [
        # Room in each page, so that a served host is updated in place.
        migrations.RunSQL(
            "ALTER TABLE training_host SET (fillfactor = 50)", "ALTER TABLE training_host RESET (fillfactor)"
        ),
        migrations.AlterField(
            model_name="run",
            name="canary_id",
            field=models.BigIntegerField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name="trainingsource",
            name="campaign",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="sources",
                to="training.campaign",
            ),
        ),
        migrations.AlterField(
            model_name="trainingsource",
            name="scenario_marker",
            field=models.CharField(blank=True, max_length=80, null=True),
        ),
        migrations.AlterField(
            model_name="trainingsource",
            name="claimed_at",
            field=models.DateTimeField(blank=True, editable=False, help_text="When it was first claimed.", null=True),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(
                condition=models.Q(("canary_id__isnull", False)), fields=["canary_id"], name="run_of_canary"
            ),
        ),
        migrations.AddConstraint(
            model_name="trainingsource",
            constraint=models.UniqueConstraint(
                condition=models.Q(("scenario_marker__isnull", False)),
                fields=("scenario_marker",),
                name="one_source_per_scenario_marker",
            ),
        ),
    ]
