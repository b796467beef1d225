"""The possible responses of endpoints, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from lealife.api.schemas import Problem

ALWAYS = (400, 401, 403, 405, 413, 422, 429, 503)


def declare_responses(status: int, schema: Any, *problems: int) -> dict[Any, Any]:
    """The response map of an endpoint: its success, the refusals that all endpoints share, and its own `problems`."""
    return {status: schema, (*ALWAYS, *problems): Problem}
