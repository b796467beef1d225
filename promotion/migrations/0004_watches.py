"""Watches over live applies, and canaries that ramp."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from lealife.core.append_only import guard_tables


class Migration(migrations.Migration):
    dependencies = [
        ("promotion", "0003_drills_and_pair_work"),
        ("training", "0010_promotion_settings"),
    ]

    operations = [
        migrations.AddField(
            model_name="canary",
            name="ramp_percent",
            field=models.PositiveSmallIntegerField(default=0, help_text="Share at first; 0 when it does not ramp."),
        ),
        migrations.CreateModel(
            name="Watch",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("role", models.CharField(choices=[("controller", "controller"), ("task", "task")], max_length=10)),
                ("share_percent", models.PositiveSmallIntegerField(help_text="What the previous tag goes on serving.")),
                ("wanted_observations", models.PositiveIntegerField()),
                ("deadline_at", models.DateTimeField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("open", "open"),
                            ("cleared", "no harm found"),
                            ("harmed", "harm found"),
                            ("ended", "ended early"),
                        ],
                        default="open",
                        max_length=8,
                    ),
                ),
                ("reason", models.TextField(blank=True)),
                ("e_harm", models.FloatField(default=1.0)),
                ("applied_successes", models.PositiveIntegerField(default=0)),
                ("applied_observations", models.PositiveIntegerField(default=0)),
                ("held_successes", models.PositiveIntegerField(default=0)),
                ("held_observations", models.PositiveIntegerField(default=0)),
                ("opened_at", models.DateTimeField()),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
                (
                    "apply",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT, related_name="watch", to="promotion.liveapply"
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "watches",
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="WatchedRun",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("held_back", models.BooleanField(help_text="Served by the previous tag.")),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                (
                    "run",
                    models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name="+", to="training.run"),
                ),
                (
                    "watch",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="runs", to="promotion.watch"
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
            },
        ),
        migrations.AddConstraint(
            model_name="watch",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "open")), fields=("role",), name="one_open_watch_per_role"
            ),
        ),
        migrations.AddConstraint(
            model_name="watchedrun",
            constraint=models.UniqueConstraint(fields=("run", "watch"), name="one_arm_per_watched_run"),
        ),
        *guard_tables("promotion_watchedrun"),
    ]
