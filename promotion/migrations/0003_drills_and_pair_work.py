"""Drills of the gate, pairs run by several workers, and what serving a tag will cost."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("promotion", "0002_append_only"),
    ]

    operations = [
        migrations.CreateModel(
            name="GateDrill",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[("clone", "identical clone"), ("sabotaged", "sabotaged copy")], max_length=10
                    ),
                ),
                ("role", models.CharField(choices=[("controller", "controller"), ("task", "task")], max_length=10)),
                (
                    "state",
                    models.CharField(
                        choices=[("requested", "requested"), ("running", "running"), ("refused", "refused")],
                        default="requested",
                        max_length=10,
                    ),
                ),
                ("reason", models.TextField(blank=True)),
                ("requested_by", models.CharField(max_length=150)),
                (
                    "requested_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
            ],
            options={
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="PairWork",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("index", models.PositiveIntegerField()),
                ("worker", models.CharField(max_length=150)),
                ("lease_until", models.DateTimeField(help_text="A pair whose worker is silent past it is anybody's.")),
            ],
            options={
                "verbose_name_plural": "pair work",
                "ordering": ["evaluation", "index"],
            },
        ),
        migrations.AddField(
            model_name="evaluation",
            name="drill",
            field=models.BooleanField(default=False, help_text="A test of the gate itself: never leads to a canary."),
        ),
        migrations.AddField(
            model_name="modeltag",
            name="foretold",
            field=models.TextField(
                blank=True, help_text="What serving it beside its parent costs: empty, or why the model is loaded anew."
            ),
        ),
        migrations.AlterField(
            model_name="evaluation",
            name="window",
            field=models.OneToOneField(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="evaluation",
                to="promotion.promotionwindow",
            ),
        ),
        migrations.AddConstraint(
            model_name="evaluation",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("drill", True), ("window", None)),
                    models.Q(("drill", False), ("window__isnull", False)),
                    _connector="OR",
                ),
                name="an_evaluation_has_a_window_or_is_a_drill",
            ),
        ),
        migrations.AddField(
            model_name="gatedrill",
            name="evaluation",
            field=models.OneToOneField(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="gate_drill",
                to="promotion.evaluation",
            ),
        ),
        migrations.AddField(
            model_name="pairwork",
            name="baseline_arm",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="promotion.evaluationarm"
            ),
        ),
        migrations.AddField(
            model_name="pairwork",
            name="candidate_arm",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="promotion.evaluationarm"
            ),
        ),
        migrations.AddField(
            model_name="pairwork",
            name="evaluation",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="work", to="promotion.evaluation"
            ),
        ),
        migrations.AddConstraint(
            model_name="gatedrill",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "requested")), fields=("kind",), name="one_requested_drill_of_a_kind"
            ),
        ),
        migrations.AddConstraint(
            model_name="pairwork",
            constraint=models.UniqueConstraint(fields=("evaluation", "index"), name="one_worker_per_pair"),
        ),
    ]
