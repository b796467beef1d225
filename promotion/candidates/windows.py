"""Windows: thirty verified training successes trigger an evaluation. They are not a sample for its statistics."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet, Subquery

from lealife.core.announce import announce
from lealife.core.transition import move
from learning.models import RunLearningOutcome
from promotion.gate.rule import unbiased_window_rate
from promotion.models import Evaluation, PromotionWindow
from training.counters import read_counters
from training.models import RuntimeSettings
from training.runtime_settings import read_settings

State = PromotionWindow.State

_SENTENCES = {
    State.COLLECTING: ("Window collecting outcomes", "Continue successful runs to hit the next eval window."),
    State.BUILDING: ("Window reached", "Build a candidate from verified successes."),
    State.EVALUATING: ("Candidate under evaluation", "Finish the paired evaluation against the active tag."),
    State.CANARY: ("Candidate in canary", "Collect canary outcomes; abort at the first sign of harm."),
    State.APPLYING: ("Canary passed", "Apply the candidate live."),
    State.HELD: ("Promotion is on hold", "Resume promotion."),
}


@dataclass(frozen=True, slots=True)
class WindowProgress:
    """The progress of promotion, in successes that count: ingested, and verified unless the settings admit others.

    `counted` is what they are called: “verified”, or “verified or supported” where supported ones count or did.
    """

    number: int
    state: str
    size: int
    watermark: int
    successes: int
    counted: str
    in_window: int
    until_next: int
    next_target: int
    attempts: int
    percent: int
    unbiased_rate: float | None
    sentence: str
    next_action: str
    reason: str
    last_reached_at: datetime | None
    last_evaluation_at: datetime | None


def current_window() -> PromotionWindow:
    """The window that is not closed; the next one is opened when there is none.

    Its watermark is where the last one filled, so successes since then count for it.
    """
    window = PromotionWindow.objects.exclude(state__in=PromotionWindow.CLOSED).order_by("number").first()
    if window is not None:
        return window
    with transaction.atomic():
        last = PromotionWindow.objects.select_for_update().order_by("-number").first()
        if last is not None and last.state not in PromotionWindow.CLOSED:
            return last  # another process opened it since the look above
        return PromotionWindow.objects.get_or_create(
            number=last.number + 1 if last else 1,
            defaults={
                "watermark": last.watermark + last.size if last else 0,
                "size": read_settings().window_size,
                "attempts_before": last.attempts_before + last.attempts if last else 0,
            },
        )[0]


def is_window_due() -> bool:
    """Whether the collecting window has its successes."""
    window = current_window()
    reached = read_counters()["ingested.counted"] >= window.watermark + window.size
    return window.state == State.COLLECTING and reached


def reach_window(*, now: datetime) -> bool:
    """Collecting → building, when the successes are there; True when this call moved it."""
    if not is_window_due():
        return False
    window, counts = current_window(), read_counters()
    moved = PromotionWindow.objects.filter(pk=window.pk, state=State.COLLECTING).update(
        state=State.BUILDING, reached_at=now, attempts=count_attempts(window, counts=counts)
    )
    if moved:
        announce("promotion")
    return bool(moved)


def count_attempts(window: PromotionWindow, *, counts: dict[str, int]) -> int:
    """How many ingested outcomes the window took, up to and including the success that filled it.

    Later outcomes belong to the next window. Otherwise a window that is checked late, after a hold or a canary, would
    show too low a rate. Reads only the later outcomes, never the history.
    """
    attempts = max(0, counts["ingested.total"] - window.attempts_before)
    beyond = counts["ingested.counted"] - window.watermark - window.size
    if beyond < 0:
        return attempts
    successes = RunLearningOutcome.objects.filter(is_counted=True).order_by("-id")
    filled_by = Subquery(successes.values("id")[beyond : beyond + 1])
    return attempts - RunLearningOutcome.objects.filter(id__gt=filled_by).count()


def name_counted(counts: dict[str, int], *, row: RuntimeSettings) -> str:
    """What the successes that count are called, in a word that stands before “successes”."""
    return "verified or supported" if row.count_supported or counts["ingested.supported"] else "verified"


def move_window(*, window_id: int, expected: str, to: str, now: datetime, reason: str = "") -> None:
    """Changes a window's state; a closed one gets its time and reason. Raises Conflict unless it is in `expected`."""
    closing = {"closed_at": now} if to in PromotionWindow.CLOSED else {}
    move(
        PromotionWindow.objects.filter(pk=window_id, state=expected),
        refused=f"Window {window_id} is not {expected}.",
        state=to,
        reason=reason,
        **closing,
    )
    announce("promotion")


def select_open_and_last() -> QuerySet[PromotionWindow]:
    """The windows that are not closed and the last one that is, with the times that concern them all."""
    closed = PromotionWindow.objects.filter(state__in=PromotionWindow.CLOSED).order_by("-number")
    reached = PromotionWindow.objects.order_by(F("reached_at").desc(nulls_last=True)).values("reached_at")
    wanted = PromotionWindow.objects.filter(~Q(state__in=PromotionWindow.CLOSED) | Q(pk=closed.values("pk")[:1]))
    return wanted.annotate(
        last_reached_at=Subquery(reached[:1]),
        last_evaluation_at=Subquery(Evaluation.objects.order_by("-started_at").values("started_at")[:1]),
    ).order_by("number")


def read_window(*, counts: dict[str, int] | None = None, row: RuntimeSettings | None = None) -> WindowProgress:
    """The progress of promotion. A caller that has read the counters and settings passes them: one query with both."""
    counts, row = counts or read_counters(), row or read_settings()
    found: list[Any] = list(select_open_and_last())
    last = next((window for window in found if window.state in PromotionWindow.CLOSED), None)
    window = next((window for window in found if window.state not in PromotionWindow.CLOSED), None) or current_window()
    successes, target = counts["ingested.counted"], window.watermark + window.size
    in_window = max(0, min(window.size, successes - window.watermark))
    attempts = window.attempts or count_attempts(window, counts=counts)
    state = State.HELD if row.promotion_hold else State(window.state)
    sentence, action = _SENTENCES.get(state, (state.label, ""))
    return WindowProgress(
        number=window.number,
        state=str(state),
        size=window.size,
        watermark=window.watermark,
        successes=successes,
        counted=name_counted(counts, row=row),
        in_window=in_window,
        until_next=window.size - in_window,
        next_target=target,
        attempts=attempts,
        percent=100 * in_window // window.size,
        unbiased_rate=unbiased_window_rate(in_window, attempts) if 1 <= in_window <= attempts else None,
        sentence=sentence,
        next_action=action,
        reason=window.reason or (last.reason if last else ""),
        last_reached_at=found[0].last_reached_at if found else None,
        last_evaluation_at=found[0].last_evaluation_at if found else None,
    )
