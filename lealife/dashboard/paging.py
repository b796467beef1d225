"""Lists that are read page by page, newest first."""

from __future__ import annotations

from django.http import HttpRequest

from lealife.dashboard.live.snapshot import ID_DIGITS


def read_before(request: HttpRequest) -> int | None:
    """The id that a list continues below; None for its beginning and for nonsense."""
    before = request.GET.get("before", "")
    return int(before) if before.isascii() and before.isdecimal() and len(before) <= ID_DIGITS else None
