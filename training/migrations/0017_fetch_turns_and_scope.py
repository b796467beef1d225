"""Turns of a host over all machines, and runs that stay below a path."""

import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("training", "0016_doors_permissions"),
    ]

    operations = [
        migrations.CreateModel(
            name="HostTurn",
            fields=[
                ("origin", models.CharField(max_length=300, primary_key=True, serialize=False)),
                ("next_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.AddField(
            model_name="host",
            name="stay_below_base_path",
            field=models.BooleanField(
                default=False,
                help_text="Visit only pages below the path of the base URL, such as /docs/. For a host "
                "that others share.",
            ),
        ),
        migrations.AlterField(
            model_name="host",
            name="may_be_private",
            field=models.BooleanField(
                default=False,
                help_text="Allow this host's own names to lead to a private or loopback address. Never to a cloud's "
                "metadata.",
            ),
        ),
        migrations.AlterField(
            model_name="host",
            name="politeness_delay_ms",
            field=models.PositiveIntegerField(
                default=1000,
                help_text="Least time between two pages asked of this host, over all runs and machines, in "
                "milliseconds.",
            ),
        ),
    ]
