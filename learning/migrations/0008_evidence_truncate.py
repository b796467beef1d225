"""Evidence is kept against TRUNCATE too."""

from django.db import migrations

from lealife.core.append_only import guard_truncate


class Migration(migrations.Migration):
    dependencies = [("learning", "0007_learning_what_is_said")]

    operations = guard_truncate("run_learning_outcomes", "learning_memoryevidence")
