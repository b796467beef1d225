"""The ingest of outcomes that teach nothing: looked for, kept and counted by one call, planned once a session."""

from django.db import migrations

# Every row is looked up by an index, whatever the statistics say: plans are kept, and made while tables are small.
STEADY = "SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off"

# Takes the oldest outcomes that wait, at most `most`, among the newest `spread` ids. When none of them teaches
# anything, their ingest is written, and `kept` are their ids. Otherwise nothing is written, and `teaching` says so.
# An outcome that another process ingests just now is passed over; one that it has ingested between the look and
# the lock is a conflict. A crash of Postgres may take the ingest back, and then it is done again: nothing waits for
# the disk.
INGEST_PLAIN = f"""
    CREATE FUNCTION learning_ingest_plain(most int, spread bigint, OUT kept bigint[], OUT teaching boolean)
    LANGUAGE plpgsql {STEADY} AS $$
    DECLARE
        newest bigint := coalesce((SELECT max(outcome_id) FROM run_learning_outcomes), 0);
        waiting bigint[];
        successes boolean[];
        well bigint;
    BEGIN
        PERFORM set_config('synchronous_commit', 'off', true);
        SELECT array_agg(id), array_agg(success), coalesce(bool_or(teaches), false) INTO waiting, successes, teaching
        FROM (
            SELECT outcome.id, outcome.success,
                (SELECT memories <> '[]' FROM training_run AS run WHERE run.id = outcome.run_id)
                OR EXISTS (SELECT FROM training_step AS step WHERE step.run_id = outcome.run_id)
                OR (SELECT kind = 'curriculum' FROM training_trainingsource AS source
                    WHERE source.id = outcome.source_id) AS teaches
            FROM training_outcomes AS outcome
            WHERE outcome.id > newest - spread
              AND (SELECT true FROM run_learning_outcomes AS fact WHERE fact.outcome_id = outcome.id) IS NULL
            ORDER BY outcome.id LIMIT most FOR NO KEY UPDATE SKIP LOCKED
        ) AS picked;
        kept := '{{}}';
        IF teaching OR waiting IS NULL THEN
            RETURN;
        END IF;
        WITH fact AS (
            INSERT INTO run_learning_outcomes (outcome_id, success, items_written, error)
            SELECT id, success, 0, '' FROM unnest(waiting, successes) AS one (id, success)
            ON CONFLICT DO NOTHING RETURNING outcome_id, success
        )
        SELECT coalesce(array_agg(outcome_id), '{{}}'), count(*) FILTER (WHERE success) INTO kept, well FROM fact;
        PERFORM training_add_count('ingested.failure', cardinality(kept) - well);
        PERFORM training_add_count('ingested.success', well);
    END
    $$
"""  # noqa: S608  constants of our own


class Migration(migrations.Migration):
    dependencies = [("learning", "0001_initial"), ("training", "0002_hot_path")]

    operations = [migrations.RunSQL(INGEST_PLAIN, "DROP FUNCTION learning_ingest_plain(int, bigint)")]
