"""The index of what waits holds the whole order: the head of a host's queue is read without a sort."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("training", "0006_lean_indexes"),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name="trainingsource",
            name="source_waiting",
        ),
        migrations.AddIndex(
            model_name="trainingsource",
            index=models.Index(
                condition=models.Q(("status", "pending")),
                fields=["kind", "host", "queue_rank", "id"],
                name="source_waiting",
            ),
        ),
    ]
