"""Evidence is added, never edited: triggers refuse updates and deletes."""

from django.db import migrations

from lealife.core.append_only import create_guard, drop_guard, guard_tables


class Migration(migrations.Migration):
    dependencies = [("training", "0001_initial")]

    operations = [
        migrations.RunSQL(create_guard(), drop_guard()),
        *guard_tables(
            "training_outcomes",
            "training_outcome_seals",
            "training_runtimesettingschange",
            "training_auditentry",
        ),
    ]
