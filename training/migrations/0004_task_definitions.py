"""Saved task definitions, and one as an example. It waits for its host: staff name one, then enable it."""

import django.db.models.deletion
from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models.functions import Now

EXAMPLE = {
    "title": "DivineStatus",
    "prompt": (
        "Work through the cost estimate as a visitor would. Which pages lead to the estimate, what does it ask for, "
        "and which cost does it give? Quote every price with the page that states it."
    ),
    "pages_target": 3,
    "created_by": "first run",
    "updated_by": "first run",
}


def add_example(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Here and not at a start, so that whoever renames or deletes it never sees it again."""
    apps.get_model("training", "TaskDefinition").objects.create(**EXAMPLE)


class Migration(migrations.Migration):
    dependencies = [("training", "0003_open_run_counters")]

    operations = [
        migrations.CreateModel(
            name="TaskDefinition",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "title",
                    models.CharField(
                        help_text="How the definition and its sources are listed.", max_length=200, unique=True
                    ),
                ),
                ("prompt", models.TextField(help_text="What the LLM follows during training execution.")),
                ("check_spec", models.JSONField(blank=True, default=dict, verbose_name="success check")),
                ("pages_target", models.PositiveSmallIntegerField(blank=True, null=True)),
                (
                    "enabled",
                    models.BooleanField(default=False, help_text="Disabled definitions are never queued."),
                ),
                ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                ("created_by", models.CharField(max_length=150)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("updated_by", models.CharField(max_length=150)),
                (
                    "host",
                    models.ForeignKey(
                        blank=True,
                        help_text="The website to visit. Without one the definition cannot be enabled.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="training.host",
                    ),
                ),
            ],
            options={"ordering": ["title"]},
        ),
        migrations.AddConstraint(
            model_name="taskdefinition",
            constraint=models.CheckConstraint(
                condition=models.Q(("prompt", ""), _negated=True), name="definition_has_a_prompt"
            ),
        ),
        migrations.AddConstraint(
            model_name="taskdefinition",
            constraint=models.CheckConstraint(
                condition=models.Q(("enabled", False), ("host__isnull", False), _connector="OR"),
                name="an_enabled_definition_has_a_host",
            ),
        ),
        migrations.AddField(
            model_name="campaign",
            name="definition",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="campaigns",
                to="training.taskdefinition",
            ),
        ),
        migrations.AddField(
            model_name="trainingsource",
            name="definition",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="sources",
                to="training.taskdefinition",
            ),
        ),
        migrations.AddIndex(
            model_name="trainingsource",
            index=models.Index(
                condition=models.Q(("definition__isnull", False)),
                fields=["definition", "status"],
                name="source_of_definition",
            ),
        ),
        migrations.RunPython(add_example, migrations.RunPython.noop),
    ]
