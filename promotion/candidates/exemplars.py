"""Exemplars: chat turns from successes that count, spread over kinds of situation, no two alike."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from learning.models import MemoryItem
from promotion.models import Role
from training.agent.answerer import format_question
from training.agent.controller import format_pick, format_situation
from training.agent.reading.words import split_words
from training.agent.trajectory import Choice, Quote
from training.models import OperatorVerdict, Run, Step, TrainingOutcome

EXEMPLAR_PROMPT_MAX = 400
ANSWER_MAX = 240
POOL = 400
# Share of their words above which two situations are one.
ALIKE = 0.8


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A situation of a success that counts, as chat turns: what was asked, and what was right.

    `kind`: of a controller the position of the right pick, which a small model tends to copy; of a task model how many
    passages there were to choose from. `host`: where it happened. `item_id`: the memory it was read from.
    """

    run_id: int
    prompt: str
    kind: str
    host: str
    turns: tuple[tuple[str, str], ...]
    item_id: int = 0


def show_pick(run: Run, *, shortlist: Sequence[Choice], right: int, item_id: int = 0) -> Exemplar:
    """The question as the controller is asked it, without text of the pages: some of them are held out."""
    named = [replace(choice, heading="", excerpt="") for choice in shortlist]
    turns = ("user", format_situation(run.prompt, named)), ("assistant", format_pick(right))
    return Exemplar(run.pk, run.prompt, str(right), urlsplit(shortlist[0].url).netloc, turns, item_id)


def show_answer(run: Run, *, quotes: Sequence[Quote], item_id: int = 0) -> Exemplar:
    """The question exactly as the task model is asked it, and the best of the quoted passages as its answer.

    The text that a task model wrote is never the answer here: models must not learn from model prose.
    """
    turns = ("user", format_question(run.prompt, quotes)), ("assistant", quotes[0].text)
    return Exemplar(run.pk, run.prompt, str(len(quotes)), urlsplit(quotes[0].url).netloc, turns, item_id)


def read_pool(*, role: str, shortlist_size: int) -> list[Exemplar]:
    """The situations that the role can learn from, newest first."""
    return read_exemplars(shortlist_size=shortlist_size) if role == Role.CONTROLLER else read_answers()


def read_exemplars(*, shortlist_size: int) -> list[Exemplar]:
    """Trusted situations of training successes that count, newest first, cut to the shortlist size."""
    items = _read_items()
    steps = {
        (step.run_id, step.index): step
        for step in Step.objects.select_related("run").filter(run_id__in={item.data["run"] for item in items})
    }
    found = []
    for item in items:
        step, right = steps.get((item.data["run"], item.data["step"])), item.data["right"]
        if step is None or right >= shortlist_size or len(step.run.prompt) > EXEMPLAR_PROMPT_MAX:
            continue
        shortlist = tuple(Choice(**choice) for choice in step.shortlist[:shortlist_size])
        if len(shortlist) > 1:
            found.append(show_pick(step.run, shortlist=shortlist, right=right, item_id=item.pk))
    return found


def read_answers() -> list[Exemplar]:
    """Training successes that count, with a short best quote, newest first, as trusted memory remembers them."""
    items = {item.data["run"]: item.pk for item in reversed(_read_items())}
    runs = Run.objects.filter(pk__in=items, status=Run.Status.SUCCEEDED, lane__in=Run.CYCLE_LANES).order_by("-pk")
    found = []
    for run in runs:
        quotes = [Quote(quote["text"], quote["url"], quote["digest"]) for quote in run.quotes]
        if quotes and len(quotes[0].text) <= ANSWER_MAX and len(run.prompt) <= EXEMPLAR_PROMPT_MAX:
            found.append(show_answer(run, quotes=quotes, item_id=items[run.pk]))
    return found


def _read_items() -> list[MemoryItem]:
    trusted = MemoryItem.objects.recallable().filter(kind=MemoryItem.Kind.EXEMPLAR, host__enabled=True)
    items = list(trusted.order_by("-id")[:POOL])
    # An item was trusted for one run, and its data may be of another: that run's own success has to count.
    counted = read_counted_runs({item.data["run"] for item in items})
    return [item for item in items if item.data["run"] in counted]


def read_counted_runs(run_ids: Collection[int]) -> set[int]:
    """Those of the runs whose outcome counts or that were last judged right, less those last judged wrong."""
    outcomes = TrainingOutcome.objects.filter(run_id__in=run_ids, is_counted=True)
    verdicts = OperatorVerdict.objects.filter(run_id__in=run_ids).order_by("id").values_list("run_id", "right")
    judged = {**dict.fromkeys(outcomes.values_list("run_id", flat=True), True), **dict(verdicts)}
    return {run_id for run_id, right in judged.items() if right}


def choose_exemplars(exemplars: Iterable[Exemplar], *, count: int) -> list[Exemplar]:
    """At most `count` exemplars that represent the pool best: one per run, no two alike, kinds in the pool's shares.

    Shares of kinds are rounded by largest remainder. An even spread over positions was tried and measured worse
    than no exemplars at all: the shortlist is ranked, and a small model copies the positions that it sees.
    Within a kind they are added one by one, each the one by which all situations come nearest to an exemplar, their own
    tasks left out; the newest among equals.
    """
    pool: list[Exemplar] = []
    by_kind: dict[str, list[Exemplar]] = {}
    seen: set[int] = set()
    for exemplar in exemplars:
        if exemplar.run_id not in seen:
            seen.add(exemplar.run_id)
            pool.append(exemplar)
            by_kind.setdefault(exemplar.kind, []).append(exemplar)
    count = min(count, len(pool))
    shares = {kind: count * len(found) / len(pool) for kind, found in by_kind.items()}
    taken = {kind: int(share) for kind, share in shares.items()}
    for kind in sorted(shares, key=lambda kind: (taken[kind] - shares[kind], kind)):
        taken[kind] += int(sum(taken.values()) < count)
    words = {each.run_id: frozenset((*split_words(each.prompt), each.host)) for each in pool}
    chosen: list[Exemplar] = []
    for kind in sorted(by_kind):
        chosen += _cover(by_kind[kind], words=words, count=taken[kind], before=chosen)
    return sorted(chosen, key=lambda exemplar: exemplar.run_id)


def _cover(
    found: Sequence[Exemplar], *, words: dict[int, frozenset[str]], count: int, before: Sequence[Exemplar]
) -> list[Exemplar]:
    likeness = {each.run_id: [_compare(each, other, words) for other in found] for each in found if count}
    near = [0.0] * len(found)
    left, chosen = list(found), list[Exemplar]()
    while left and len(chosen) < count:
        gains = [
            sum(max(0.0, like - now) for like, now in zip(likeness[each.run_id], near, strict=True)) for each in left
        ]
        best = left.pop(max(range(len(gains)), key=lambda index: (round(gains[index], 9), -index)))
        if any(_overlap(words[best.run_id], words[other.run_id]) > ALIKE for other in (*before, *chosen)):
            continue
        chosen.append(best)
        near = [max(pair) for pair in zip(near, likeness[best.run_id], strict=True)]
    return chosen


def _compare(exemplar: Exemplar, situation: Exemplar, words: dict[int, frozenset[str]]) -> float:
    """How much an exemplar helps a situation; 0 for its own task."""
    if exemplar.run_id == situation.run_id or exemplar.prompt == situation.prompt:
        return 0.0
    return _overlap(words[exemplar.run_id], words[situation.run_id])


def _overlap(some: frozenset[str], others: frozenset[str]) -> float:
    return len(some & others) / len(some | others) if some or others else 0.0


def format_exemplars(exemplars: Iterable[Exemplar]) -> list[tuple[str, str]]:
    """Chat turns, question and answer in turn."""
    return [turn for exemplar in exemplars for turn in exemplar.turns]
