"""Every page that a browser is shown, for the walks, the audits and the pictures.

A new page is one line in `list_pages`.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.urls import Resolver404, resolve


@dataclass(frozen=True, slots=True)
class Page:
    """A name for files and messages, an address, the status it answers with, and whether one is signed in."""

    name: str
    path: str
    status: int = 200
    signed_in: bool = True


def list_pages() -> list[Page]:
    """The pages over what is in the database now; those of single rows only while there is such a row."""
    from promotion.models import Evaluation
    from training.models import Run

    pages = [
        Page("home", "/"),
        Page("training", "/training/"),
        Page("sources", "/training/sources/"),
        Page("new", "/tasks/new/"),
        Page("runs", "/runs/"),
        Page("confirm", "/training/promotion/roll-back/"),
        Page("login", "/login/", signed_in=False),
        Page("missing", "/nowhere/", status=404),
    ]
    evaluation = Evaluation.objects.order_by("-id").first()
    if evaluation is not None:
        pages.append(Page("candidate", f"/training/candidates/{evaluation.pk}/?pair=1"))
    newest = Run.objects.filter(lane="standard", steps__isnull=False).order_by("-id").first()
    newest = (
        newest or Run.objects.filter(steps__isnull=False).order_by("-id").first() or Run.objects.order_by("-id").first()
    )
    for state in Run.AnswerState.values:
        of_state = Run.objects.filter(answer_state=state, steps__isnull=False).order_by("-id").first()
        if of_state is not None and of_state != newest:
            pages.append(Page(f"run-{state}", f"/runs/{of_state.pk}/"))
    if newest is not None:
        pages.append(Page("run", f"/runs/{newest.pk}/"))
        step = newest.steps.filter(snapshot__isnull=False).first()
        if step is not None:
            pages.append(Page("frozen", f"/runs/{newest.pk}/pages/{step.snapshot_id}/"))
    return [page for page in pages if page.status == 404 or is_served(page.path)]


def is_served(path: str) -> bool:
    """Whether anything answers at this address."""
    try:
        resolve(path.partition("?")[0])
    except Resolver404:
        return False
    return True
