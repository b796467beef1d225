"""Functions of the hot path: a claim and a success are each written by one call, planned once a session.

A new column of a run, a cycle or an outcome that has no default in the database needs them written anew.
"""

from django.db import migrations

# Every row is looked up by an index, whatever the statistics say: plans are kept, and made while tables are small.
STEADY = "SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off"
# Of two indexes that lead to a host's waiting sources only one has them in the order of their turn. Where sorting is
# avoided, the order decides.
UNSORTED = "SET enable_sort = off"

# These functions count the runs that they open and end themselves, for less than a trigger costs. The setting holds
# while they write runs and no longer, so that no other path to a run can go uncounted. It is set as they run: only a
# superuser may give a function a setting that Postgres does not know.
COUNT_MYSELF = "PERFORM set_config('lealife.counted', 'yes', true);"
COUNT_AGAIN = "PERFORM set_config('lealife.counted', '', true);"
# The triggers of `training.models.Run`, made again with the condition that spares them meanwhile.
UNLESS_COUNTED = "WHEN (current_setting('lealife.counted', true) IS DISTINCT FROM 'yes')"
INSERT, UPDATE = "pgtrigger_count_open_insert_4343d", "pgtrigger_count_open_update_0338b"

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

# What a claim decides on, under the slot lock, which is held until the transaction ends: every statement in here sees
# what was committed before it began, so that slots are exact. `heads` are the first sources of the hosts' queues
# among which the lane rules can choose `wanted`: a pick passes over hosts that were served of late and over those
# of the picks before it, nothing else. On a fair turn all heads are given, and in every tenth claim of a host the
# source that has waited longest on it stands for its head.
LOCK_FOR_CLAIM = f"""
    CREATE FUNCTION training_lock_for_claim(
        slot_lock bigint, at timestamptz, wanted int, ageing_s int, fair_every int,
        OUT counted json, OUT busy bigint[], OUT recent bigint[], OUT allowed boolean, OUT heads json,
        OUT settings training_runtimesettings
    )
    LANGUAGE plpgsql {STEADY} {UNSORTED} AS $$
    DECLARE
        at_s float8 := date_part('epoch', at);
        turn bigint;
        enough bigint := 2147483647;
    BEGIN
        PERFORM pg_advisory_xact_lock(slot_lock);
        SELECT * INTO settings FROM training_runtimesettings WHERE id = 1;
        IF settings.id IS NULL THEN
            RETURN;
        END IF;
        allowed := coalesce((SELECT enabled FROM training_coordinator WHERE id = 1), false);
        SELECT json_object_agg(name, total), coalesce(sum(total) FILTER (WHERE name LIKE 'outcomes.%'), 0)
        INTO counted, turn
        FROM (SELECT name, sum(count)::bigint AS total FROM training_counterslot GROUP BY name) AS summed;
        busy := ARRAY(
            SELECT host_id FROM training_run WHERE lane IN ('training', 'canary') AND status IN ('claimed', 'running')
        );
        recent := ARRAY(
            SELECT id FROM training_host WHERE last_served_at IS NOT NULL
            ORDER BY last_served_at DESC LIMIT settings.recent_host_window
        );
        turn := turn + cardinality(busy);
        IF (turn + wanted) / fair_every = turn / fair_every THEN
            enough := wanted + settings.recent_host_window;
        END IF;
        heads := (
            SELECT json_agg(json_build_array(
                coalesce(longest.id, best.id), best.host_id, best.queue_rank,
                CASE WHEN longest.id IS NULL THEN best.campaign_id ELSE longest.campaign_id END,
                best.served_s, best.level
            ))
            FROM (
                SELECT host.id AS host_id, host.claims, first.id, first.queue_rank, first.campaign_id,
                    coalesce(date_part('epoch', host.last_served_at), 0) AS served_s,
                    floor((at_s - first.queue_rank) / ageing_s)::int AS level
                FROM training_host AS host
                CROSS JOIN LATERAL (
                    SELECT source.id, source.queue_rank, source.campaign_id FROM training_trainingsource AS source
                    WHERE source.status = 'pending' AND source.kind = 'queue' AND source.host_id = host.id
                        AND (source.not_before IS NULL OR source.not_before <= at)
                    ORDER BY source.queue_rank, source.id LIMIT 1
                ) AS first
                WHERE host.enabled AND host.id <> ALL (busy)
                ORDER BY level DESC, served_s, queue_rank FETCH FIRST (enough) ROWS WITH TIES
            ) AS best
            LEFT JOIN LATERAL (
                SELECT source.id, source.campaign_id FROM training_trainingsource AS source
                WHERE best.claims % fair_every = fair_every - 1
                    AND source.status = 'pending' AND source.kind = 'queue' AND source.host_id = best.host_id
                    AND (source.not_before IS NULL OR source.not_before <= at)
                ORDER BY source.id LIMIT 1
            ) AS longest ON true
        );
    END
    $$
"""  # noqa: S608  constants of our own

# The first source of every enabled host's queue of one kind, of one campaign when it is given. The best one decides
# when a host's turn comes; in every tenth claim of a host it is the longest waiting source that is served, which is
# looked for then only: as a condition of the join it would be looked for on every host.
READ_HEADS = f"""
    CREATE FUNCTION training_read_heads(
        of_kind text, at timestamptz, of_campaign bigint, passed_over bigint[], ageing_s int, fair_every int
    ) RETURNS TABLE (source bigint, host bigint, rank float8, campaign bigint, served_s float8, level int)
    LANGUAGE plpgsql STABLE {STEADY} {UNSORTED} AS $$
    BEGIN
        RETURN QUERY
        SELECT coalesce(longest.id, best.id), one.id, best.queue_rank,
            CASE WHEN longest.id IS NULL THEN best.campaign_id ELSE longest.campaign_id END,
            coalesce(date_part('epoch', one.last_served_at), 0),
            floor((date_part('epoch', at) - best.queue_rank) / ageing_s)::int
        FROM training_host AS one
        CROSS JOIN LATERAL (
            SELECT waiting.id, waiting.queue_rank, waiting.campaign_id FROM training_trainingsource AS waiting
            WHERE waiting.status = 'pending' AND waiting.kind = of_kind AND waiting.host_id = one.id
                AND (waiting.not_before IS NULL OR waiting.not_before <= at)
                AND (of_campaign IS NULL OR waiting.campaign_id = of_campaign) AND waiting.id <> ALL (passed_over)
            ORDER BY waiting.queue_rank, waiting.id LIMIT 1
        ) AS best
        LEFT JOIN LATERAL (
            SELECT waiting.id, waiting.campaign_id FROM training_trainingsource AS waiting
            WHERE one.claims % fair_every = fair_every - 1
                AND waiting.status = 'pending' AND waiting.kind = of_kind AND waiting.host_id = one.id
                AND (waiting.not_before IS NULL OR waiting.not_before <= at)
                AND (of_campaign IS NULL OR waiting.campaign_id = of_campaign) AND waiting.id <> ALL (passed_over)
            ORDER BY waiting.id LIMIT 1
        ) AS longest ON true
        WHERE one.enabled;
    END
    $$
"""  # noqa: S608  constants of our own

# Opens cycles and runs for sources that still wait, one a host, under the caller's slot lock. Sources are locked by
# their ids alone: with the status beside them the whole index of what waits may be read instead. A source that is
# being changed just now is passed over. A begun run's fence can never have been given before, not even by a claim
# that a crash of Postgres took back together with the run's id: seconds since 1970, then twenty bits of chance (and
# small enough for a JavaScript number). So nothing waits for the disk here; the holder's next write does.
OPEN_CYCLES = f"""
    CREATE FUNCTION training_open_cycles(
        chosen bigint[], covered bigint[], worker text, at timestamptz, lease timestamptz,
        pages smallint, calls smallint, canary bigint
    ) RETURNS TABLE (run bigint, cycle bigint, source bigint, given bigint)
    LANGUAGE plpgsql {STEADY} AS $$
    #variable_conflict use_column
    DECLARE
        taken bigint[];
        for_canary int := 0;
    BEGIN
        PERFORM set_config('synchronous_commit', 'off', true);
        taken := ARRAY(
            SELECT id FROM (
                SELECT id, status FROM training_trainingsource WHERE id = ANY (chosen) FOR UPDATE SKIP LOCKED
            ) AS locked WHERE status = 'pending'
        );
        IF taken = '{{}}' THEN
            RETURN;
        END IF;
        {COUNT_MYSELF}
        RETURN QUERY
        WITH claimed AS (
            UPDATE training_trainingsource SET status = 'claimed', claimed_at = coalesce(claimed_at, at)
            WHERE id = ANY (taken)
            RETURNING id, host_id, prompt, check_spec, pages_target, queued_by, queued_from
        ), run AS (
            INSERT INTO training_run (
                lane, status, host_id, prompt, check_spec, pages_target, max_calls, requested_by, canary_id,
                claimed_by, started_at, lease_until, attempts, fence,
                controller_tag, controller_digest, task_tag, task_digest,
                served_controller_digest, served_task_digest, memories, memory_used, memory_withheld,
                answer, quotes, verifier, error_code, error, pages, controller_calls, invalid_picks,
                prompt_tokens, cached_tokens, completion_tokens, duration_ms
            )
            SELECT
                CASE WHEN id = ANY (covered) THEN 'canary' ELSE 'training' END,
                CASE worker WHEN '' THEN 'claimed' ELSE 'running' END,
                host_id, prompt, check_spec, coalesce(pages_target, pages), calls,
                coalesce(nullif(queued_by, ''), queued_from), canary,
                worker, CASE WHEN worker <> '' THEN at END, lease, 1,
                CASE worker WHEN '' THEN 1
                    ELSE floor(date_part('epoch', clock_timestamp()))::bigint << 20 | floor(random() * 1048576)::bigint
                END,
                '', '', '', '', '', '', '[]', '[]', '[]', '', '[]', '', '', '', 0, 0, 0, 0, 0, 0, 0
            FROM claimed
            RETURNING id, host_id, fence
        ), cycle AS (
            INSERT INTO training_trainingcycle (source_id, run_id, status, error_code, error)
            SELECT claimed.id, run.id, 'open', '', '' FROM claimed JOIN run ON run.host_id = claimed.host_id
            RETURNING id, run_id, source_id
        ), served AS (
            UPDATE training_host SET last_served_at = at, claims = claims + 1
            FROM claimed WHERE training_host.id = claimed.host_id
        )
        SELECT run.id, cycle.id, cycle.source_id, run.fence FROM cycle JOIN run ON run.id = cycle.run_id;
        {COUNT_AGAIN}
        IF covered <> '{{}}' THEN
            for_canary := (SELECT count(*) FROM unnest(taken) AS id WHERE id = ANY (covered));
        END IF;
        PERFORM training_add_count('open.canary', for_canary);
        PERFORM training_add_count('open.training', cardinality(taken) - for_canary);
    END
    $$
"""  # noqa: S608  constants of our own

# Ends runs well, each only if its fence still holds, with their outcomes; the ids of those that it did. Only (id,
# fence) decide. The new fence refuses whoever still holds the old one from here on, this worker's twin included. A
# source that staff disabled or cancelled while it ran stays as they left it. Waits for the disk.
FINISH_WELL = f"""
    CREATE FUNCTION training_finish_well(results jsonb, at timestamptz) RETURNS bigint[]
    LANGUAGE plpgsql {STEADY} AS $$
    DECLARE
        ended bigint[];
        lanes text[];
        sources bigint[];
        held text := 'claimed';
        one_lane text;
        amount bigint;
    BEGIN
        {COUNT_MYSELF}
        WITH moved AS (
            UPDATE training_run AS run SET
                status = 'succeeded', lease_until = NULL, finished_at = at, fence = run.fence + 1,
                answer = one.answer, quotes = one.quotes, verifier = one.verifier, pages = one.pages,
                error_code = one.error_code, error = one.error, memory_used = one.memory_used,
                controller_calls = one.controller_calls, invalid_picks = one.invalid_picks,
                prompt_tokens = one.prompt_tokens, cached_tokens = one.cached_tokens,
                completion_tokens = one.completion_tokens, duration_ms = one.duration_ms,
                served_controller_digest = one.served_controller_digest,
                served_task_digest = one.served_task_digest
            FROM jsonb_to_recordset(results) AS one (
                run_id bigint, held_fence bigint, answer text, quotes jsonb, verifier text, pages smallint,
                error_code text, error text, memory_used jsonb, controller_calls smallint, invalid_picks smallint,
                prompt_tokens integer, cached_tokens integer, completion_tokens integer, duration_ms integer,
                served_controller_digest text, served_task_digest text
            )
            WHERE run.id = one.run_id AND run.fence = one.held_fence
            RETURNING run.*
        ), closed AS (
            UPDATE training_trainingcycle AS cycle
            SET status = 'succeeded', error_code = moved.error_code, error = moved.error, finished_at = at
            FROM moved WHERE cycle.run_id = moved.id
            RETURNING cycle.id, cycle.run_id, cycle.source_id
        ), outcome AS (
            INSERT INTO training_outcomes (
                cycle_id, run_id, source_id, host_id, lane, success, error_code, verifier,
                controller_tag, controller_digest, served_controller_digest,
                task_tag, task_digest, served_task_digest, canary_id, memory_used,
                pages, controller_calls, prompt_tokens, completion_tokens, duration_ms
            )
            SELECT closed.id, run.id, closed.source_id, run.host_id, run.lane, true, run.error_code, run.verifier,
                run.controller_tag, run.controller_digest, run.served_controller_digest,
                run.task_tag, run.task_digest, run.served_task_digest, run.canary_id, run.memory_used,
                run.pages, run.controller_calls, run.prompt_tokens, run.completion_tokens, run.duration_ms
            FROM closed JOIN moved AS run ON run.id = closed.run_id
            RETURNING source_id
        )
        SELECT ARRAY(SELECT id FROM moved), ARRAY(SELECT lane FROM moved), ARRAY(SELECT source_id FROM outcome)
        INTO ended, lanes, sources;
        {COUNT_AGAIN}
        -- As a variable: compared with a constant, few sources are expected to be claimed and all are read for them.
        UPDATE training_trainingsource SET status = 'done', status_reason = '', finished_at = at
        WHERE id = ANY (sources) AND status = held;
        FOREACH one_lane IN ARRAY ARRAY['canary', 'evaluation', 'manual', 'standard', 'training'] LOOP
            amount := cardinality(array_positions(lanes, one_lane));
            IF amount > 0 THEN
                PERFORM training_add_count('open.' || one_lane, -amount);
            END IF;
        END LOOP;
        PERFORM training_add_count('outcomes.success', cardinality(sources));
        RETURN ended;
    END
    $$
"""  # noqa: S608  constants of our own


def count_open(name: str, event: str, tables: str) -> migrations.RunSQL:
    """The trigger of one event, spared where a function counts for itself."""
    spared, always = (
        f"CREATE OR REPLACE TRIGGER {name} AFTER {event} ON training_run REFERENCING {tables} "
        f"FOR EACH STATEMENT {when} EXECUTE FUNCTION {name}()"
        for when in (UNLESS_COUNTED, "")
    )
    return migrations.RunSQL(spared, always)


class Migration(migrations.Migration):
    dependencies = [("training", "0001_initial")]

    operations = [
        count_open(INSERT, "INSERT", "NEW TABLE AS come"),
        count_open(UPDATE, "UPDATE", "OLD TABLE AS gone NEW TABLE AS come"),
        migrations.RunSQL(ADD_COUNT, "DROP FUNCTION training_add_count(text, bigint)"),
        migrations.RunSQL(LOCK_FOR_CLAIM, "DROP FUNCTION training_lock_for_claim(bigint, timestamptz, int, int, int)"),
        migrations.RunSQL(
            READ_HEADS, "DROP FUNCTION training_read_heads(text, timestamptz, bigint, bigint[], int, int)"
        ),
        migrations.RunSQL(
            OPEN_CYCLES,
            "DROP FUNCTION training_open_cycles"
            "(bigint[], bigint[], text, timestamptz, timestamptz, smallint, smallint, bigint)",
        ),
        migrations.RunSQL(FINISH_WELL, "DROP FUNCTION training_finish_well(jsonb, timestamptz)"),
    ]
