"""However many sources wait, a claim looks at the head of each host's queue alone.

Of two indexes that lead to a host's waiting sources only one has them in the order of their turn. The other is a
little smaller, and by statistics that know of few sources the planner prefers it, reads all of them and sorts. Where
sorting is avoided, the order decides.
"""

from django.db import migrations

STEADY = "SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off"
UNSORTED = "SET enable_sort = off"
LOCK_FOR_CLAIM = "training_lock_for_claim(bigint, timestamptz, int, int, int)"

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


class Migration(migrations.Migration):
    dependencies = [("training", "0012_chain_check")]

    operations = [
        migrations.RunSQL(
            f"ALTER FUNCTION {LOCK_FOR_CLAIM} {UNSORTED}",
            f"ALTER FUNCTION {LOCK_FOR_CLAIM} RESET enable_sort",
        ),
        migrations.RunSQL(
            READ_HEADS, "DROP FUNCTION training_read_heads(text, timestamptz, bigint, bigint[], int, int)"
        ),
    ]
