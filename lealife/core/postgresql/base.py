"""Django's PostgreSQL backend, with this product's session settings.

They are set after connecting: a pooler such as PgBouncer refuses the startup parameter `options`.
"""

from __future__ import annotations

from typing import Any

from django.db.backends.postgresql.base import DatabaseWrapper as PostgresWrapper

# A process that is frozen in the middle of a claim must not hold the slot lock for ever: longer than any transaction
# of ours stays idle, far shorter than anybody would wait.
SESSION = {"idle_in_transaction_session_timeout": "60s"}
_SET = "SELECT " + ", ".join(f"set_config('{name}', '{value}', false)" for name, value in SESSION.items())


class DatabaseWrapper(PostgresWrapper):
    """Django looks for this name."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """A connection whose session has `SESSION`."""
        link = super().get_new_connection(conn_params)
        # Otherwise the settings would end with the transaction that sets them, if it is rolled back.
        link.autocommit = True
        link.execute(_SET)
        return link
