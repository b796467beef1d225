"""Every page that a browser is shown, for the walks, the audits and the pictures.

A new page is one line in `list_pages`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Page:
    """A name for files and messages, an address, the status it answers with, and whether one is signed in."""

    name: str
    path: str
    status: int = 200
    signed_in: bool = True


def list_pages() -> list[Page]:
    """The pages over what is in the database now; those of single rows only while there is such a row."""
    from training.models import Run

    pages = [
        Page("home", "/"),
        Page("training", "/training/"),
        Page("sources", "/training/sources/"),
        Page("new", "/tasks/new/"),
        Page("runs", "/runs/"),
        Page("login", "/login/", signed_in=False),
        Page("missing", "/nowhere/", status=404),
    ]
    newest = Run.objects.filter(steps__isnull=False).order_by("-id").first() or Run.objects.order_by("-id").first()
    if newest is not None:
        pages.append(Page("run", f"/runs/{newest.pk}/"))
    return pages
