"""How often the gate is drilled."""

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("training", "0008_hot_path"),
    ]

    operations = [
        migrations.AddField(
            model_name="runtimesettings",
            name="drill_every_days",
            field=models.PositiveIntegerField(
                default=0,
                help_text="How often a clone and a sabotaged copy of the active tag test the gate; 0 is never.",
                validators=[django.core.validators.MinValueValidator(0), django.core.validators.MaxValueValidator(365)],
            ),
        ),
    ]
