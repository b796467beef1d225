"""Memory items are counted by triggers: what the pages say of memory costs the same however much there is."""

from django.db import migrations, models

# As for the counters of runs and outcomes: an update stays within its page.
ROOM = ("ALTER TABLE memory_counts SET (fillfactor = 10)", "ALTER TABLE memory_counts RESET (fillfactor)")

# All counts of one transaction take the slot of its number. Statements of one transaction may count in any order:
# the lock of the slot, taken before the first count, keeps two transactions from waiting for each other's counts in a
# circle. It comes after the rows of the statement, so that whoever changes items locks the memory of their hosts first.
COUNT_MEMORY = """
    CREATE FUNCTION learning_count_memory_{event}() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        slot_taken smallint := txid_current() % 16;
        counted record;
    BEGIN
        FOR counted IN
            SELECT kind || '/' || status AS name, sum(change) AS amount FROM ({changes}) AS moved
            GROUP BY 1 HAVING sum(change) <> 0 ORDER BY 1
        LOOP
            PERFORM pg_advisory_xact_lock({lock}, slot_taken);
            INSERT INTO memory_counts (name, slot, count) VALUES (counted.name, slot_taken, counted.amount)
            ON CONFLICT (name, slot) DO UPDATE SET count = memory_counts.count + EXCLUDED.count;
        END LOOP;
        RETURN NULL;
    END
    $$;
    CREATE TRIGGER count_memory_{event} AFTER {event} ON memory_items
    REFERENCING {tables} FOR EACH STATEMENT EXECUTE FUNCTION learning_count_memory_{event}()
"""
LOCK = 0x4C6543
BEFORE = "SELECT kind, status, -1 AS change FROM old_rows"
AFTER = "SELECT kind, status, 1 AS change FROM new_rows"
GONE, COME = "OLD TABLE AS old_rows", "NEW TABLE AS new_rows"


def count_memory(event: str, changes: str, tables: str) -> migrations.RunSQL:
    """The trigger of one event."""
    return migrations.RunSQL(
        COUNT_MEMORY.format(event=event, changes=changes, tables=tables, lock=LOCK),
        f"DROP TRIGGER count_memory_{event} ON memory_items; DROP FUNCTION learning_count_memory_{event}()",
    )


COUNT_NOW = """
    INSERT INTO memory_counts (name, slot, count)
    SELECT kind || '/' || status, 0, count(*) FROM memory_items GROUP BY 1
"""


class Migration(migrations.Migration):
    dependencies = [("learning", "0004_hot_ingest")]

    operations = [
        migrations.CreateModel(
            name="MemoryCount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(help_text="kind/status", max_length=30)),
                ("slot", models.SmallIntegerField()),
                ("count", models.BigIntegerField(default=0)),
            ],
            options={"db_table": "memory_counts"},
        ),
        migrations.AddConstraint(
            model_name="memorycount",
            constraint=models.UniqueConstraint(fields=("name", "slot"), name="one_row_per_memory_count_slot"),
        ),
        migrations.RunSQL(*ROOM),
        count_memory("insert", AFTER, COME),
        count_memory("update", f"{BEFORE} UNION ALL {AFTER}", f"{GONE} {COME}"),
        count_memory("delete", BEFORE, GONE),
        # After the triggers: making them has locked out everybody who could change an item.
        migrations.RunSQL(COUNT_NOW, migrations.RunSQL.noop),
    ]
