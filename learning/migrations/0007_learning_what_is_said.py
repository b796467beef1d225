"""What a page says stands for it, not its bytes; items say why they are not recalled, tasks that they are gone."""

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
from django.db import migrations, models

# What an older item's page says is not known: its next sighting tells.
SAID = """
    UPDATE memory_items SET snapshot_digest = content_hash, content_hash = '' WHERE kind <> 'pitfall'
"""


class Migration(migrations.Migration):
    dependencies = [
        ("learning", "0006_doors_permissions"),
        ("training", "0015_loop_interval_hint"),
    ]

    operations = [
        migrations.CreateModel(
            name="MissingPage",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "digest",
                    models.CharField(
                        blank=True, help_text="Of what it says, its address aside; or none.", max_length=64
                    ),
                ),
                ("asked_at", models.DateTimeField()),
            ],
        ),
        migrations.AddField(
            model_name="curriculumtask",
            name="gone_at",
            field=models.DateTimeField(
                blank=True, help_text="Since when its page does not say it any more.", null=True
            ),
        ),
        migrations.AddField(
            model_name="frontierpage",
            name="content_digest",
            field=models.CharField(blank=True, help_text="sha256 of what the page says.", max_length=64),
        ),
        migrations.AddField(
            model_name="frontierpage",
            name="repeated_keys",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.BigIntegerField(),
                blank=True,
                default=list,
                help_text="What other pages had said before it.",
                size=None,
            ),
        ),
        migrations.AlterField(
            model_name="frontierpage",
            name="passage_keys",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.BigIntegerField(),
                blank=True,
                default=list,
                help_text="What the page said first, a number a passage.",
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="memoryitem",
            name="checked_count",
            field=models.PositiveIntegerField(default=0, help_text="Those whose answer a check could tell right."),
        ),
        migrations.AddField(
            model_name="memoryitem",
            name="reason",
            field=models.CharField(
                blank=True,
                choices=[
                    ("gone", "its page is gone"),
                    ("moved", "its address leads to another page now"),
                    ("changed", "its page says something else now"),
                    ("same", "another address says the same"),
                    ("answers", "the address answers again"),
                    ("never_helped", "recalled often, it never helped"),
                    ("by_hand", "retired by hand"),
                ],
                help_text="Why it is not recalled.",
                max_length=12,
            ),
        ),
        migrations.AddField(
            model_name="memoryitem",
            name="snapshot_digest",
            field=models.CharField(blank=True, help_text="The kept page it was read from.", max_length=64),
        ),
        migrations.AlterField(
            model_name="curriculumtask",
            name="ambiguous",
            field=models.BooleanField(default=False, help_text="Several pages say the same: asked no more."),
        ),
        migrations.AlterField(
            model_name="memoryitem",
            name="content_hash",
            field=models.CharField(blank=True, help_text="sha256 of what its page says.", max_length=64),
        ),
        migrations.AlterField(
            model_name="memoryitem",
            name="helped_count",
            field=models.PositiveIntegerField(default=0, help_text="Those that followed it to an answer found right."),
        ),
        migrations.AlterField(
            model_name="memoryitem",
            name="recalled_count",
            field=models.PositiveIntegerField(default=0, help_text="Runs that it was given to."),
        ),
        migrations.AddIndex(
            model_name="memoryitem",
            index=models.Index(fields=["host", "content_hash"], name="memory_by_content"),
        ),
        migrations.AddIndex(
            model_name="memoryitem",
            index=django.contrib.postgres.indexes.HashIndex(fields=["url"], name="memory_by_address"),
        ),
        migrations.AddField(
            model_name="missingpage",
            name="host",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to="training.host"
            ),
        ),
        migrations.AddIndex(
            model_name="curriculumtask",
            index=django.contrib.postgres.indexes.HashIndex(fields=["expected_url"], name="curriculum_of_page"),
        ),
        migrations.RunSQL(SAID, migrations.RunSQL.noop),
    ]
