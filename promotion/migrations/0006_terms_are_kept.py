"""A candidate's number is its own; what a canary was opened under stays: only its deadline moves, and only on."""

from django.db import migrations, models
from django.db.models import Q

TERMS = ("evaluation_id", "role", "share_percent", "ramp_percent", "min_observations", "first_outcome_id", "opened_at")
CHANGED = " OR ".join(f"OLD.{name} IS DISTINCT FROM NEW.{name}" for name in TERMS)


class Migration(migrations.Migration):
    dependencies = [("promotion", "0005_decisions_are_kept")]

    operations = [
        migrations.AddConstraint(
            model_name="evaluation",
            constraint=models.UniqueConstraint(
                fields=["candidate_number"], condition=Q(drill=False), name="one_candidate_per_number"
            ),
        ),
        migrations.RunSQL(
            "CREATE TRIGGER terms BEFORE UPDATE ON promotion_canary FOR EACH ROW "
            f"WHEN ({CHANGED} OR NEW.deadline_at < OLD.deadline_at) EXECUTE FUNCTION lealife_refuse_decided()",
            "DROP TRIGGER terms ON promotion_canary",
        ),
    ]
