"""The hint of the loop interval says where it ends to matter."""

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("training", "0014_outcome_copies"),
    ]

    operations = [
        migrations.AlterField(
            model_name="runtimesettings",
            name="loop_interval_s",
            field=models.FloatField(
                default=1.0,
                help_text="Delay between scheduler ticks when capacity is available. Past half of the coordinator's "
                "lease it has no further effect: who leads must be heard of.",
                validators=[
                    django.core.validators.MinValueValidator(0.05),
                    django.core.validators.MaxValueValidator(3600),
                ],
            ),
        ),
    ]
