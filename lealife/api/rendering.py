"""Values as JSON bytes."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja.renderers import BaseRenderer
from pydantic_core import to_json


def render_json(value: Any) -> bytes:
    """JSON that every client can read: NaN and infinity, which JSON does not have, become null (unknown)."""
    return to_json(value, inf_nan_mode="null", fallback=str)


class JsonRenderer(BaseRenderer):
    """Renders answers with `render_json`."""

    media_type = "application/json"

    def render(self, request: HttpRequest, data: Any, *, response_status: int) -> bytes:
        """The body of an answer."""
        return render_json(data)
