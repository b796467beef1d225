"""What LeaLife is worth to the people who ask: the first sentence of the dashboard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from lealife.dashboard.ask.hosts import HostFacts
from lealife.dashboard.facts import Facts
from promotion.evaluation.gain import Gain, read_gain
from promotion.evaluation.held_out import HeldOut, read_held_out
from promotion.models import LiveApply
from promotion.routing import Routing
from training.models import Run

# The newest ended questions of each lane that are looked at, and how far back.
LOOKED_AT = 200
ASKED_WITHIN = timedelta(days=7)
NOTHING_MEASURED = "Nothing is measured on held-out questions yet."


@dataclass(frozen=True, slots=True)
class Asked:
    """Questions that people and programs asked lately, by how they ended; `since` is when the first of them was."""

    answered: int
    unsure: int
    not_found: int
    broken: int
    since: datetime

    @property
    def total(self) -> int:
        """All of them."""
        return self.answered + self.unsure + self.not_found + self.broken


@dataclass(frozen=True, slots=True)
class WorthPanel:
    """What can be asked about, and how well: enabled sites, and the pages and passages of theirs that are indexed.

    `is_bounded`: a site has more pages than are counted. `sentence` says the most important thing first; `basis` is
    what its figures rest on. `gain` is what the last live apply was worth, that of the tag `applied`.
    """

    sentence: str
    basis: str
    sites: int
    pages: int
    passages: int
    is_bounded: bool
    held_out: HeldOut | None
    gain: Gain | None
    applied: str

    @property
    def pages_words(self) -> str:
        """How many pages, as it is shown."""
        return f"more than {self.pages:,}" if self.is_bounded else f"{self.pages:,}"


def build_worth_panel(
    facts: Facts, *, routing: Routing, hosts: tuple[HostFacts, ...], now: datetime, last_apply: LiveApply | None = None
) -> WorthPanel:
    """The panel from what was read before, and what is measured; two queries at most."""
    held_out = read_held_out(routing=routing)
    asked = None if held_out else read_asked(now=now)
    sites = facts.waiting.hosts
    return WorthPanel(
        sentence=describe_worth(sites, held_out=held_out, asked=asked, now=now),
        basis=describe_basis(held_out),
        sites=sites,
        pages=sum(host.indexed_counted for host in hosts),
        passages=sum(host.passages for host in hosts),
        is_bounded=len(hosts) < sites or any(host.indexed > host.indexed_counted for host in hosts),
        held_out=held_out,
        gain=read_gain(last_apply),
        applied=last_apply.to_tag.name if last_apply else "",
    )


def read_asked(*, now: datetime) -> Asked | None:
    """The questions that were asked and have ended in the last seven days; None without any. One query.

    Of each lane the newest 200 at most.
    """
    ended = Run.objects.filter(status__in=(Run.Status.SUCCEEDED, Run.Status.FAILED))
    # By index: each lane has its own newest runs, and training's lie between them.
    first, second = (
        ended.filter(lane=lane).order_by("-id").values_list("status", "answer_state", "created_at")[:LOOKED_AT]
        for lane in Run.QUESTION_LANES
    )
    return count_asked(first.union(second, all=True), since=now - ASKED_WITHIN)


def count_asked(rows: Iterable[tuple[str, str, datetime]], *, since: datetime) -> Asked | None:
    """The counts over (status, answer state, when asked) of ended questions; pure."""
    lately = [row for row in rows if row[2] >= since]
    if not lately:
        return None
    ended = Counter("answered" if status == Run.Status.SUCCEEDED else state for status, state, _ in lately)
    unsure, not_found = ended[Run.AnswerState.UNSURE], ended[Run.AnswerState.NOT_FOUND]
    return Asked(
        answered=ended["answered"],
        unsure=unsure,
        not_found=not_found,
        broken=len(lately) - ended["answered"] - unsure - not_found,
        since=min(at for *_, at in lately),
    )


def describe_worth(sites: int, *, held_out: HeldOut | None, asked: Asked | None, now: datetime) -> str:
    """The first sentence; pure."""
    if not sites:
        return "No site can be asked about yet."
    about = f"Answers questions about {sites:,} site{'' if sites == 1 else 's'}"
    if held_out is not None:
        return f"{about}; {describe_held_out(held_out, now=now)}."
    if asked is not None:
        return f"{about}; {describe_asked(asked, now=now)}."
    return f"{about}. {NOTHING_MEASURED}"


def describe_held_out(held_out: HeldOut, *, now: datetime) -> str:
    """Held-out success and calls, then and now."""
    measured, before = held_out.now, held_out.before
    if before is None:
        return f"held-out success {_show_share(measured.success)} in {measured.calls:.1f} calls"
    success = f"{_show_share(before.success)} → {_show_share(measured.success)}"
    calls = f"{before.calls:.1f} → {measured.calls:.1f} calls"
    return f"held-out success {success} {name_since(before.at, now=now)}, {calls}"


def describe_basis(held_out: HeldOut | None) -> str:
    """What the sentence's figures rest on."""
    if held_out is None:
        return NOTHING_MEASURED
    if held_out.before is None:
        return f"Held-out success: {held_out.now.questions:,} questions that training never asks."
    then, now = held_out.before.questions, held_out.now.questions
    return f"Held-out success: {then:,} questions then and {now:,} now, which training never asks."


def describe_asked(asked: Asked, *, now: datetime) -> str:
    """How many questions were answered, and what became of the rest."""
    since = name_since(asked.since, now=now)
    noun, was = ("question", "was") if asked.total == 1 else ("questions", "were")
    said = f"{asked.answered:,} of {asked.total:,} {noun} asked {since} {was} answered"
    rest = {"unsure": asked.unsure, "not found": asked.not_found, "broken off": asked.broken}
    left = {word: count for word, count in rest.items() if count}
    if len(left) == 1 and asked.total > 1:
        return f"{said}, the rest {next(iter(left))}"
    return ", ".join([said, *(f"{count:,} {word}" for word, count in left.items())])


def name_since(then: datetime, *, now: datetime) -> str:
    """The day from which something holds, in UTC: `today`, `since yesterday`, `since Monday` or `since 3 May`."""
    began, today = then.astimezone(UTC).date(), now.astimezone(UTC).date()
    days = (today - began).days
    if days <= 0:
        return "today"
    if days == 1:
        return "since yesterday"
    if days < 7:
        return f"since {began:%A}"
    return f"since {began.day} {began:%B}{f' {began.year}' if began.year != today.year else ''}"


def _show_share(share: float) -> str:
    return f"{round(100 * share)}\N{NO-BREAK SPACE}%"
