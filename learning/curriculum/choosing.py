"""Choosing: which of the questions that a page answers become tasks, so that all kinds are asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

from lealife.core.digest import unit_interval
from learning.curriculum.claims import find_rivals
from learning.curriculum.kinds.definition import propose_definitions
from learning.curriculum.kinds.heading import propose_headings
from learning.curriculum.kinds.how import propose_hows
from learning.curriculum.kinds.proposals import PageText, Proposed
from learning.curriculum.kinds.says import propose_says
from learning.curriculum.kinds.value import propose_values
from learning.curriculum.kinds.where import propose_wheres
from learning.curriculum.models import CurriculumTask

Kind, Split = CurriculumTask.Kind, CurriculumTask.Split
PROPOSERS: dict[str, Callable[[PageText], Iterator[Proposed]]] = {
    Kind.SAYS: propose_says,
    Kind.HEADING: propose_headings,
    Kind.DEFINITION: propose_definitions,
    Kind.VALUE: propose_values,
    Kind.HOW: propose_hows,
    Kind.WHERE: propose_wheres,
}
# Tasks of one page, and of one kind on it. Training tasks are asked again and again, so there are fewer of them; the
# reserve has the fewest pages, and a gain is measured on a hundred tasks.
TASKS_PER_PAGE = {Split.TRAIN: 2, Split.EVALUATION: 6, Split.RESERVE: 10}
TASKS_PER_KIND = {Split.TRAIN: 1, Split.EVALUATION: 2, Split.RESERVE: 4}
# At most one task in so many asks for words as they stand, unless its page answers nothing else.
SAYS_ONE_IN = 6
# Questions of one kind that are compared with the other pages before the page is left.
TRIED = 8

Chosen = tuple[str, Proposed]


def choose_proposals(
    page: PageText,
    *,
    split: str,
    count: int,
    may_say: bool,
    is_own: Callable[[str, Proposed], bool],
) -> list[Chosen]:
    """At most `count` questions of the page with their kinds, the kinds in turn.

    `may_say`: whether the host has few enough tasks of the kind *says*. `is_own`: whether no other page answers, and
    the question is not asked yet; called only as far as questions are needed.
    """
    if count <= 0:
        # Tasks that were restored may be more than a page gets.
        return []
    kinds = sorted(PROPOSERS, key=lambda kind: unit_interval("kind", page.url, kind))
    if not may_say:
        kinds.remove(Kind.SAYS)
    left = {kind: _list_own(kind, page, is_own=is_own) for kind in kinds}
    chosen = _take_in_turn(left, count=count, of_kind=TASKS_PER_KIND[Split(split)])
    if chosen or may_say:
        return chosen
    says = _list_own(Kind.SAYS, page, is_own=is_own)
    return [(Kind.SAYS, proposed) for proposed in islice(says, min(count, 1))]


def _list_own(kind: str, page: PageText, *, is_own: Callable[[str, Proposed], bool]) -> Iterator[Proposed]:
    """The page's own questions of a kind, from all over the page."""
    # Nothing of a kind is read from the page before it is the kind's turn.
    proposed = {each.prompt: each for each in PROPOSERS[kind](page)}
    spread = sorted(proposed.values(), key=lambda each: unit_interval("proposal", page.url, each.prompt))
    yield from (each for each in spread[:TRIED] if is_own(kind, each))


def _take_in_turn(left: dict[str, Iterator[Proposed]], *, count: int, of_kind: int) -> list[Chosen]:
    chosen: list[Chosen] = []
    passages: set[str] = set()
    for _ in range(of_kind):
        for kind, proposals in left.items():
            if len(chosen) >= count:
                return chosen
            # One sentence is asked for once.
            found = next((each for each in proposals if each.passage not in passages), None)
            if found is not None:
                passages.add(found.passage)
                chosen.append((kind, found))
    return chosen


def stands_alone(proposed: Proposed, *, host_id: int, url: str, is_copied_by: Callable[[str], bool]) -> bool:
    """Whether no other page of the index answers too. A page that copies this one and far more is no other page."""
    rivals = find_rivals(proposed.claim, host_id=host_id, url=url)
    return all(rival != url and is_copied_by(rival) for rival in rivals)


def read_says_room(*, host_id: int) -> bool:
    """Whether one more task of the kind *says* leaves them at most one in `SAYS_ONE_IN` of the host's."""
    asked = CurriculumTask.objects.asked().seeded().filter(host_id=host_id)
    total = asked.count()
    return SAYS_ONE_IN * (asked.filter(kind=Kind.SAYS).count() + 1) <= total + 1
