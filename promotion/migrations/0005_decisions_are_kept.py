"""Verdicts are evidence: decided is decided, and what they were measured against was fixed at first."""

from django.db import migrations, models

from lealife.core.append_only import create_decided_guard, guard_decided

FIXED = (
    *("window_id", "drill", "candidate_id", "candidate_digest", "baseline_id", "baseline_digest"),
    *("candidate_number", "alpha", "pair_budget", "seed", "freeze_id", "settings_digest"),
)
MOVED = " OR ".join(f"OLD.{name} IS DISTINCT FROM NEW.{name}" for name in FIXED)
# A canary that passed may still be aborted: another tag can be put in charge before it is applied.
CANARY_DECIDED = "OLD.state = 'aborted' OR (OLD.state = 'passed' AND NEW.state <> 'aborted')"


class Migration(migrations.Migration):
    dependencies = [("promotion", "0004_watches")]

    operations = [
        migrations.AddField(
            model_name="canary",
            name="looked_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.RunSQL(create_decided_guard(), "DROP FUNCTION lealife_refuse_decided()"),
        guard_decided("promotion_evaluation", refused=f"OLD.verdict <> 'pending' OR {MOVED}"),
        guard_decided("promotion_canary", refused=CANARY_DECIDED),
        guard_decided("promotion_watch", refused="OLD.state <> 'open'"),
    ]
