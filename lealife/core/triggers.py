"""Triggers for `Meta.triggers`, where they stand next to the columns that they guard.

django-pgtrigger writes them into migrations, and `makemigrations` notices when one changes. Its own triggers do
nothing in a session that has set `pgtrigger.ignore`, and any session may set it. The triggers here never read that
setting, so a guard can be switched off only by who may alter the table.
"""

from __future__ import annotations

import pgtrigger
from django.db.models import Model
from pgtrigger import compiler

APPEND_ONLY = "'Table % is append-only: rows are added, never changed.', TG_TABLE_NAME"
ENDED = "'Row % of % is evidence: what has ended is never changed.', OLD.id, TG_TABLE_NAME"
DECIDED = "'Row % of % is evidence: what is decided, or was fixed at first, is never changed.', OLD.id, TG_TABLE_NAME"


class TriggerSql(compiler.UpsertTriggerSql):
    """The SQL of a trigger and of its function. Applied migrations use this class: do not change the template."""

    def get_template(self) -> str:
        """The template of django-pgtrigger, without the lines that read `pgtrigger.ignore`."""
        return """
            CREATE OR REPLACE FUNCTION {pgid}() RETURNS trigger LANGUAGE plpgsql AS $$
            {declare}
            BEGIN
                {func}
            END
            $$;
            DROP TRIGGER IF EXISTS {pgid} ON {table};
            CREATE {constraint} TRIGGER {pgid} {when} {operation} ON {table} {timing}
                {referencing} FOR EACH {level} {condition} EXECUTE FUNCTION {execute};
            COMMENT ON TRIGGER {pgid} ON {table} IS '{hash}';
        """


class Trigger(pgtrigger.Trigger):
    """A trigger that no setting can switch off. Its name in Postgres is `pgtrigger_<name>_<five digits>`."""

    when = pgtrigger.Before

    def compile(self, model: Model) -> compiler.Trigger:
        """The form in which a migration stores it."""
        return compiler.Trigger(name=self.name, sql=TriggerSql(**super().compile(model).sql.kwargs))


def refuse(sentence: str) -> str:
    """The PL/pgSQL that refuses with `sentence`, a quoted format and its values. Django raises IntegrityError."""
    return f"RAISE EXCEPTION {sentence} USING ERRCODE = 'restrict_violation';"


def keep_rows(*, deletable_while: str = "") -> list[Trigger]:
    """Append-only: rows are added, never changed or deleted.

    `deletable_while` names a setting, such as `lealife.purging`: while it is `on`, rows may be deleted.
    """
    func = refuse(APPEND_ONLY)
    if deletable_while:
        deletable = f"TG_OP = 'DELETE' AND current_setting('{deletable_while}', true) = 'on'"
        func = f"IF {deletable} THEN RETURN OLD; END IF;\n{func}"
    change = pgtrigger.Update | pgtrigger.Delete
    return [Trigger(name="append_only", operation=change, func=func), keep_table()]


def keep_ended(ended: str) -> list[Trigger]:
    """Rows of which `ended` holds, SQL about OLD, are never changed or deleted."""
    change = pgtrigger.Update | pgtrigger.Delete
    condition = pgtrigger.Condition(ended)
    return [Trigger(name="ended", operation=change, condition=condition, func=refuse(ENDED)), keep_table()]


def keep_decided(decided: str) -> list[Trigger]:
    """Rows are never deleted, nor changed once `decided` holds, SQL about OLD and NEW."""
    return [
        Trigger(name="kept", operation=pgtrigger.Delete, func=refuse(DECIDED)),
        refuse_update("decided", when=decided),
        keep_table(),
    ]


def fix_columns(*fields: str) -> Trigger:
    """Refuses updates that change any of `fields`."""
    return _refuse_update("fixed", pgtrigger.AnyChange(*fields))


def fix_once_set(column: str) -> Trigger:
    """Refuses updates that change `column` once it has a value."""
    return refuse_update(
        f"fixed_{column}", when=f"OLD.{column} IS NOT NULL AND NEW.{column} IS DISTINCT FROM OLD.{column}"
    )


def refuse_update(name: str, *, when: str) -> Trigger:
    """Refuses updates of which `when` holds, SQL about OLD and NEW."""
    return _refuse_update(name, pgtrigger.Condition(when))


def _refuse_update(name: str, condition: pgtrigger.Condition) -> Trigger:
    return Trigger(name=name, operation=pgtrigger.Update, condition=condition, func=refuse(DECIDED))


def keep_table() -> Trigger:
    """Refuses TRUNCATE, which runs no trigger of a row. Every guard above includes it."""
    func = refuse(APPEND_ONLY)
    return Trigger(name="no_truncate", level=pgtrigger.Statement, operation=pgtrigger.Truncate, func=func)
