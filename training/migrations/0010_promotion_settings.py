"""Settings of ramp, watch, automatic roll back and lifetime alpha."""

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("training", "0009_drill_every_days"),
    ]

    operations = [
        migrations.AddField(
            model_name="runtimesettings",
            name="auto_rollback",
            field=models.BooleanField(
                default=True,
                help_text="While on, a red proof or harm found after an apply puts the previous tag back.",
            ),
        ),
        migrations.AddField(
            model_name="runtimesettings",
            name="canary_ramp",
            field=models.BooleanField(
                default=False,
                help_text="While on, a canary begins with a quarter of its share and earns the rest.",
            ),
        ),
        migrations.AddField(
            model_name="runtimesettings",
            name="hold_back_percent",
            field=models.PositiveIntegerField(
                default=10,
                help_text="Share of training runs left to the previous tag while an apply is watched; 0: no watch.",
                validators=[django.core.validators.MinValueValidator(0), django.core.validators.MaxValueValidator(50)],
            ),
        ),
        migrations.AddField(
            model_name="runtimesettings",
            name="lifetime_alpha",
            field=models.FloatField(
                default=0.05,
                help_text="Error budget of all candidates together, for ever.",
                validators=[
                    django.core.validators.MinValueValidator(0.0001),
                    django.core.validators.MaxValueValidator(0.5),
                ],
            ),
        ),
        migrations.AddField(
            model_name="runtimesettings",
            name="watch_deadline_s",
            field=models.PositiveIntegerField(
                default=21600,
                help_text="The watch over a live apply ends by then, whatever it has seen, in seconds.",
                validators=[
                    django.core.validators.MinValueValidator(10),
                    django.core.validators.MaxValueValidator(604800),
                ],
            ),
        ),
        migrations.AddField(
            model_name="runtimesettings",
            name="watch_observations",
            field=models.PositiveIntegerField(
                default=20,
                help_text="Outcomes in both arms after which the watch over a live apply ends.",
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(10000),
                ],
            ),
        ),
    ]
