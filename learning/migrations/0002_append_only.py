"""Evidence is added, never edited; a purge of memory may remove evidence together with its item."""

from django.db import migrations

from lealife.core.append_only import guard_tables


class Migration(migrations.Migration):
    dependencies = [("learning", "0001_initial"), ("training", "0002_append_only")]

    operations = guard_tables("run_learning_outcomes", "learning_memoryevidence")
