"""Counters that Postgres keeps: triggers count the open runs of each lane, whoever moves a run and how."""

from django.db import migrations, models

# One row per name and slot, each alone on much free space: an update then stays within its page (HOT).
ROOM = (
    "ALTER TABLE training_counterslot SET (fillfactor = 10)",
    "ALTER TABLE training_counterslot RESET (fillfactor)",
)

# All counts of one transaction take the slot of its number: two transactions in a row take different ones, and
# one transaction never holds two slots of a name.
ADD_COUNT = """
    CREATE FUNCTION training_add_count(counter text, amount bigint) RETURNS void LANGUAGE plpgsql AS $$
    DECLARE
        taken smallint := txid_current() % 16;
    BEGIN
        IF amount = 0 THEN
            RETURN;
        END IF;
        UPDATE training_counterslot SET count = count + amount WHERE name = counter AND slot = taken;
        IF NOT FOUND THEN
            INSERT INTO training_counterslot (name, slot, count) VALUES (counter, taken, amount)
            ON CONFLICT (name, slot) DO UPDATE SET count = training_counterslot.count + EXCLUDED.count;
        END IF;
    END
    $$
"""

COUNT_OPEN = """
    CREATE FUNCTION training_count_open_{event}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM training_add_count('open.' || lane, change)
        FROM (
            SELECT lane, sum(change) AS change FROM ({changes}) AS moved
            GROUP BY lane HAVING sum(change) <> 0 ORDER BY lane
        ) AS by_lane;
        RETURN NULL;
    END
    $$;
    CREATE TRIGGER count_open_{event} AFTER {event} ON training_run
    REFERENCING {tables} FOR EACH STATEMENT EXECUTE FUNCTION training_count_open_{event}()
"""
BEFORE = "SELECT lane, -1 AS change FROM gone WHERE status IN ('claimed', 'running')"
AFTER = "SELECT lane, 1 AS change FROM come WHERE status IN ('claimed', 'running')"
GONE, COME = "OLD TABLE AS gone", "NEW TABLE AS come"


def count_open(event: str, changes: str, tables: str) -> migrations.RunSQL:
    """The trigger of one event."""
    return migrations.RunSQL(
        COUNT_OPEN.format(event=event, changes=changes, tables=tables),
        f"DROP TRIGGER count_open_{event} ON training_run; DROP FUNCTION training_count_open_{event}()",
    )


# Totals are sums of what ended well and badly: one row less to write with every outcome.
SPLIT_TOTALS = """
    INSERT INTO training_counterslot (name, slot, count)
    SELECT 'ingested.failure', 0, sum(CASE name WHEN 'ingested.total' THEN count ELSE -count END)
    FROM training_counterslot WHERE name IN ('ingested.total', 'ingested.success') HAVING count(*) > 0;
    DELETE FROM training_counterslot WHERE name IN ('ingested.total', 'outcomes.total');
"""
JOIN_TOTALS = """
    INSERT INTO training_counterslot (name, slot, count)
    SELECT split_part(name, '.', 1) || '.total', 0, sum(count)
    FROM training_counterslot WHERE name NOT LIKE 'open.%' GROUP BY 1;
    DELETE FROM training_counterslot WHERE name = 'ingested.failure' OR name LIKE 'open.%';
"""
COUNT_NOW = """
    INSERT INTO training_counterslot (name, slot, count)
    SELECT 'open.' || lane, 0, count(*) FROM training_run WHERE status IN ('claimed', 'running') GROUP BY lane
"""


class Migration(migrations.Migration):
    dependencies = [("training", "0002_append_only")]

    operations = [
        migrations.RunSQL(*ROOM),
        migrations.RunSQL(ADD_COUNT, "DROP FUNCTION training_add_count(text, bigint)"),
        migrations.RunSQL(SPLIT_TOTALS, JOIN_TOTALS),
        count_open("insert", AFTER, COME),
        count_open("update", f"{BEFORE} UNION ALL {AFTER}", f"{GONE} {COME}"),
        count_open("delete", BEFORE, GONE),
        # After the triggers: making them has locked out everybody who could move a run.
        migrations.RunSQL(COUNT_NOW, migrations.RunSQL.noop),
        migrations.AddField(
            model_name="host",
            name="claims",
            field=models.PositiveBigIntegerField(
                default=0, editable=False, help_text="Training runs of this host that were ever claimed."
            ),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(
                condition=models.Q(("claimed_by", ""), ("status", "claimed")), fields=["id"], name="run_to_begin"
            ),
        ),
        migrations.AddIndex(
            model_name="trainingsource",
            index=models.Index(
                condition=models.Q(("status", "pending")), fields=["kind", "host", "id"], name="source_waiting_longest"
            ),
        ),
    ]
