"""Health, derived from workers, scheduler and Ollama."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router

from lealife.api.schemas import declare_responses
from lealife.health import Health, read_health

router = Router(tags=["health"])


@router.get("", response=declare_responses(200, Health))
def show_health(request: HttpRequest) -> Health:
    """The state of the system with the reason, as the dashboard shows it."""
    return read_health(now=timezone.now())
