"""Evidence is kept against TRUNCATE too."""

from django.db import migrations

from lealife.lib.append_only import guard_truncate


class Migration(migrations.Migration):
    dependencies = [("learning", "0006_doors_permissions")]

    operations = guard_truncate("run_learning_outcomes", "learning_memoryevidence")
