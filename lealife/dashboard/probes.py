"""Probes for process managers and load balancers: whether the process is alive, and whether it can serve."""

from __future__ import annotations

from collections.abc import Callable

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from lealife.model_health import model_probe
from lealife.storage import find_database_fault, find_disk_fault, read_free_bytes


class Probes:
    """Middleware that answers the probes before other middleware demands TLS, a known Host header or a session."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.probes = {"/healthz": show_alive, "/readyz": show_ready}

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """A probe's answer, or what the rest says."""
        probe = self.probes.get("/" + request.path_info.strip("/"))
        return probe(request) if probe else self.get_response(request)


@require_safe
def show_alive(request: HttpRequest) -> JsonResponse:
    """`/healthz`: shows that the process answers. It uses neither the database nor a model server."""
    return JsonResponse({"status": "alive"})


@require_safe
def show_ready(request: HttpRequest) -> JsonResponse:
    """`/readyz`: 200 when the database is migrated and can be written to, else 503 with the reason.

    The answer also shows the state of the model servers, which does not affect the status.
    """
    database, migrated = check_database()
    reason = find_unreadiness(migrated=migrated)
    body = {
        "status": "not ready" if reason else "ready",
        "reason": reason,
        "database": "up" if database else "down",
        "migrations": "applied" if migrated else "pending" if database else "unknown",
        "ollama": model_probe.read().state,
    }
    return JsonResponse(body, status=503 if reason else 200)


def find_unreadiness(*, migrated: bool) -> str:
    """Why no user can be served, in a sentence; empty when they can."""
    fault = find_database_fault() or find_disk_fault(read_free_bytes())
    return fault or ("" if migrated else "Migrations are not applied yet: run manage.py migrate.")


def check_database() -> tuple[bool, bool]:
    """Whether the database answers, and whether all migrations are applied."""
    try:
        executor = MigrationExecutor(connection)
        return True, not executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        return False, False
