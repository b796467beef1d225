"""Django's PostgreSQL backend, with this product's session settings.

They are set after connecting: a pooler such as PgBouncer refuses the startup parameter `options`.
"""

from __future__ import annotations

from typing import Any

from django.db.backends.postgresql.base import DatabaseWrapper as PostgresWrapper

# A process that freezes in the middle of a claim must not hold the slot lock for ever. This is longer than any of our
# transactions stays idle.
SESSION = {"idle_in_transaction_session_timeout": "60s"}
_SET = "SELECT " + ", ".join(f"set_config('{name}', '{value}', false)" for name, value in SESSION.items())


class DatabaseWrapper(PostgresWrapper):
    """Django looks for this name."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """A connection with the settings in `SESSION`."""
        link = super().get_new_connection(conn_params)
        # In autocommit: a rollback of the transaction that sets them would undo the settings.
        link.autocommit = True
        link.execute(_SET)
        return link
