"""Hosts: they are archived when they are no longer needed, and brought back."""

from __future__ import annotations

from django.db import transaction

from lealife.core.actors import Actor, requires
from lealife.core.announce import announce
from lealife.core.errors import NotFound
from lealife.core.transition import move
from training.audit import record_audit
from training.models import Host


@requires("training.archive_host")
def archive_host(*, host_id: int, by: Actor, origin: str, reason: str = "") -> None:
    """Takes a host out of use: nothing of it is claimed, asked, read or recalled any more, and everything stays.

    Runs that have begun go on to their end. Raises NotFound, and Conflict when it is archived already.
    """
    _switch(host_id, enabled=False, by=by, origin=origin, reason=reason)


@requires("training.archive_host")
def unarchive_host(*, host_id: int, by: Actor, origin: str, reason: str = "") -> None:
    """Puts a host back into use; what waits on it goes on. Raises NotFound, and Conflict when it is not archived."""
    _switch(host_id, enabled=True, by=by, origin=origin, reason=reason)


def _switch(host_id: int, *, enabled: bool, by: Actor, origin: str, reason: str) -> None:
    with transaction.atomic():
        host = Host.objects.filter(pk=host_id).first()
        if host is None:
            raise NotFound(f"There is no host {host_id}.")
        move(
            Host.objects.filter(pk=host_id, enabled=not enabled),
            refused=f"Host {host.name} is {'not archived' if enabled else 'archived already'}.",
            enabled=enabled,
        )
        record_audit(
            actor=by,
            origin=origin,
            action="unarchive host" if enabled else "archive host",
            subject=f"host {host.name}",
            details={"reason": reason} if reason else {},
        )
        announce("sources")
