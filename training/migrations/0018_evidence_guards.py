"""Evidence is kept against TRUNCATE too; a run that has ended, its steps and its cycle stay as they are."""

from django.db import migrations, models
from django.db.models.functions import Now

from lealife.core.append_only import guard_tables, guard_truncate

REFUSE_ENDED = """
    CREATE FUNCTION training_refuse_ended() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'Row % of % is evidence: what has ended is never changed.', OLD.id, TG_TABLE_NAME
            USING ERRCODE = 'restrict_violation';
    END
    $$
"""
# A step is written while its run goes on. A run that lost its worker is queued again without the steps so far.
REFUSE_STEP = """
    CREATE FUNCTION training_refuse_step() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (
            SELECT FROM training_run WHERE id = OLD.run_id AND status IN ('succeeded', 'failed', 'cancelled')
        ) THEN
            RAISE EXCEPTION 'Step % of run % is evidence: what has ended is never changed.', OLD.index, OLD.run_id
                USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
    END
    $$
"""


def guard_ended(table: str, *, ended: str) -> migrations.RunSQL:
    """Refuses to change or delete rows of `table` of which `ended` holds."""
    return migrations.RunSQL(
        f"CREATE TRIGGER ended BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW WHEN ({ended}) "
        "EXECUTE FUNCTION training_refuse_ended()",
        f"DROP TRIGGER ended ON {table}",
    )


class Migration(migrations.Migration):
    dependencies = [("training", "0017_fetch_turns_and_scope")]

    operations = [
        migrations.CreateModel(
            name="ChainAnchor",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("rows", models.PositiveBigIntegerField(db_index=True, help_text="Sealed outcomes at that moment.")),
                ("hash", models.CharField(help_text="Of the last of them.", max_length=64)),
                ("at", models.DateTimeField(db_default=Now(), editable=False)),
            ],
            options={"db_table": "training_chain_anchors", "ordering": ["-id"]},
        ),
        migrations.AddField(
            model_name="chaincheck",
            name="fault",
            field=models.TextField(blank=True, help_text="What is wrong with the chain, in a sentence."),
        ),
        *guard_tables("training_chain_anchors"),
        *guard_truncate(
            "training_outcomes",
            "training_outcome_seals",
            "training_runtimesettingschange",
            "training_auditentry",
            "training_operatorverdict",
            "training_run",
            "training_step",
            "training_trainingcycle",
        ),
        migrations.RunSQL(REFUSE_ENDED, "DROP FUNCTION training_refuse_ended()"),
        migrations.RunSQL(REFUSE_STEP, "DROP FUNCTION training_refuse_step()"),
        guard_ended("training_run", ended="OLD.status IN ('succeeded', 'failed', 'cancelled')"),
        guard_ended("training_trainingcycle", ended="OLD.status <> 'open'"),
        migrations.RunSQL(
            "CREATE TRIGGER ended BEFORE UPDATE OR DELETE ON training_step FOR EACH ROW "
            "EXECUTE FUNCTION training_refuse_step()",
            "DROP TRIGGER ended ON training_step",
        ),
    ]
