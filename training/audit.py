"""The audit log: who changed what, from where."""

from __future__ import annotations

from typing import Any

from lealife.core.actors import Actor
from training.models import AuditEntry


def record_audit(
    *, actor: Actor | str, origin: str, action: str, subject: str = "", details: dict[str, Any] | None = None
) -> AuditEntry:
    """Adds one entry within the caller's transaction, so that a change and its trace stand or fall together.

    `actor` is a user name or `key:<name>`, `origin` the way in (page, api, admin, cli, …), `action` the
    action and its noun, `subject` the row. A text longer than its column is cut: it must not stop a change.
    """
    return AuditEntry.objects.create(
        actor=str(actor)[:150],
        origin=origin[:40],
        action=action[:80],
        subject=subject[:200],
        details=details or {},
    )
