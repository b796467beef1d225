"""One run: its answer and evidence first, then its trajectory, the tags that served it, and the possible actions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from lealife.dashboard.ask.check_words import describe_check
from lealife.dashboard.rows import fill_row, fill_texts
from lealife.dashboard.runs.answer_words import describe_certainty, name_state, read_run_support
from lealife.dashboard.runs.error_words import ErrorWords, explain_error
from lealife.dashboard.runs.quotes import QuoteView, view_quotes
from lealife.dashboard.runs.trail import StepView, view_step
from lealife.run_actions import find_run, suggest_check, why_not_judge, why_not_repeat, why_not_train
from lealife.verdict_words import describe_changes
from learning.models import MemoryItem
from training.agent.brain import PASSAGE, TOLD_KINDS
from training.models import OperatorVerdict, Run, TrainingCycle
from training.operator_verdicts import read_latest_verdict

# A run is given some thirty; the first ones tell enough.
PASSAGES_SHOWN = 8
# Checks whose names in `Run.verifier` say nothing to a reader.
DECIDED_BY = {"json_schema": "the JSON schema", "supported": "the score of the best quote"}


@dataclass(frozen=True, slots=True)
class MemoryView:
    """A memory item that was found for the run; `used` when the run went to its page.

    `status` is the item's present status, "" when it has been purged since.
    """

    id: int
    kind: str
    url: str
    title: str
    score: float | None
    used: bool
    status: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class PassageView:
    """A passage of the site index that was found for the run; `visited` when the run went to its page."""

    url: str
    title: str
    heading: str
    score: float | None
    visited: bool


@dataclass(frozen=True, slots=True)
class ServedView:
    """A role's tag, the digest routing claimed and the digest that answered."""

    role: str
    tag: str
    digest: str
    served_digest: str
    state: str  # green: the same | red: another | unasked: nothing was served | unknown: nothing was claimed


@dataclass(frozen=True, slots=True)
class ToldView:
    """A page that the run was told of by people's verdicts; `visited` when it went there."""

    url: str
    title: str
    why: str
    visited: bool


@dataclass(frozen=True, slots=True)
class VerdictView:
    """A person's verdict on the answer, and what it changed, in sentences.

    `right_url`, `right_text`: what the person said would have been right.
    """

    right: bool
    note: str
    right_url: str
    right_text: str
    by: str
    at: datetime
    changes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunPanel:
    """A run and everything that is known about it. `cannot_…`: why an action is refused, "" when it is not.

    `state` is what the run is marked with; `certainty` says how sure the answer is. `draft`: what was written but is no
    answer.
    """

    id: int
    lane: str
    status: str
    state: str
    doing: str
    prompt: str
    host: str
    requested_by: str
    source_id: int | None
    source_title: str | None
    outcome_id: int | None
    answer: str
    answer_state: str
    certainty: str
    is_quoted: bool
    draft: str
    quotes: tuple[QuoteView, ...]
    verifier: str
    check: tuple[str, ...]
    error_code: str
    error: str
    error_words: ErrorWords | None
    served: tuple[ServedView, ...]
    passages: tuple[PassageView, ...]
    passages_found: int
    told: tuple[ToldView, ...]
    memories: tuple[MemoryView, ...]
    withheld: tuple[MemoryView, ...]
    steps: tuple[StepView, ...]
    pages: int
    pages_target: int
    controller_calls: int
    max_calls: int
    invalid_picks: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    seconds: float | None
    attempts: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    verdict: VerdictView | None
    cannot_repeat: str
    cannot_train: str
    cannot_judge: str
    has_own_check: bool
    suggested_urls: tuple[str, ...]
    suggested_text: str

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status in Run.TERMINAL

    @property
    def answer_title(self) -> str:
        """The heading above the answer, or above what was found in its place."""
        if self.answer or not self.is_over:
            return "Answer"
        return "No certain answer" if self.quotes else "No answer"

    @property
    def decided_by(self) -> str:
        """The checks that decided, in words where their names are none."""
        return " and ".join(DECIDED_BY.get(name, name) for name in self.verifier.split("+"))

    @property
    def failed_as(self) -> str:
        """The state that marks why there is no answer: being unsure is no breakdown."""
        return self.error_code if self.error_code == self.answer_state else "error"

    @property
    def helped(self) -> int:
        """How many recalled items the run went to."""
        return sum(item.used for item in self.memories)

    @property
    def cached_percent(self) -> int | None:
        """How much of the prompts came from the server's cache; None before the first."""
        return round(100 * self.cached_tokens / self.prompt_tokens) if self.prompt_tokens else None


@dataclass(frozen=True, slots=True)
class RunPage:
    """The one panel of `/runs/{id}/`."""

    run: RunPanel


def build_run_page(run_id: int) -> RunPage:
    """Reads one run with its steps, memory and verdict. Ten queries at most. Raises NotFound."""
    run = find_run(run_id)
    cycle = TrainingCycle.objects.select_related("source", "outcome").filter(run_id=run_id).first()
    outcome = getattr(cycle, "outcome", None)
    titles = {item["id"]: str(item.get("title", "")) for item in run.memories if item.get("kind") != PASSAGE}
    steps = tuple(
        view_step(step, started_at=run.started_at, titles=titles) for step in run.steps.order_by("index").all()
    )
    found = [*titles, *run.memory_withheld]
    items = MemoryItem.objects.defer("search", "text", "data").in_bulk(found) if found else {}
    visited = {step.url for step in steps}
    passages = [item for item in run.memories if item.get("is_passage")]
    verdict = read_latest_verdict(run_id)
    suggested = suggest_check(run, verdict=verdict)
    panel = fill_row(
        RunPanel,
        run,
        doing=describe_doing(run, steps=len(steps)),
        host=run.host.name,
        source_id=cycle.source_id if cycle else None,
        source_title=cycle.source.title if cycle else None,
        outcome_id=outcome.pk if outcome else None,
        state=name_state(run),
        answer=run.given_answer,
        certainty=describe_certainty(run, support=read_run_support(run)),
        quotes=view_quotes(run, steps=steps),
        check=describe_check(run.check_spec, pages_target=run.pages_target),
        # The check that decided has a place of its own on the page.
        error=run.error.removeprefix(f"{run.verifier}: "),
        error_words=explain_error(run.error_code, sentence=run.error),
        served=(
            _view_served("controller", run.controller_tag, run.controller_digest, run.served_controller_digest),
            _view_served("task", run.task_tag, run.task_digest, run.served_task_digest),
        ),
        passages=tuple(
            fill_texts(PassageView, passage, score=passage.get("score"), visited=passage.get("url") in visited)
            for passage in passages[:PASSAGES_SHOWN]
        ),
        passages_found=len(passages),
        told=tuple(
            fill_texts(ToldView, page, visited=page.get("url") in visited)
            for page in run.memories
            if page.get("kind") in TOLD_KINDS
        ),
        memories=tuple(_view_memories(run, items=items)),
        withheld=tuple(_view_withheld(run, items=items)),
        steps=steps,
        seconds=run.duration_ms / 1000 if run.finished_at else None,
        verdict=_view_verdict(verdict, run=run),
        cannot_repeat=why_not_repeat(run),
        cannot_train=why_not_train(run),
        cannot_judge=why_not_judge(run),
        has_own_check=bool(run.check_spec),
        suggested_urls=tuple(suggested.get("expected_urls", ())),
        suggested_text=suggested.get("expected_text", ""),
    )
    return RunPage(run=panel)


def describe_doing(run: Run, *, steps: int) -> str:
    """What is happening to the run now, in one sentence; empty when it is over."""
    if run.status == Run.Status.QUEUED:
        return "The run is waiting for a free control slot. Steps appear here as they happen."
    if run.status == Run.Status.CLAIMED:
        return "The run has a slot. A worker is about to start it."
    if run.status != Run.Status.RUNNING:
        return ""
    if not steps:
        return "A worker is recalling what is known about this host and opening its start page."
    return f"{steps} page visit{'s' if steps != 1 else ''} so far. The controller chooses the next page."


def _view_served(role: str, tag: str, digest: str, served: str) -> ServedView:
    state = "unasked" if not served else "unknown" if not digest else "green" if served == digest else "red"
    return ServedView(role, tag, digest, served, state)


def _view_memories(run: Run, *, items: Mapping[int, MemoryItem]) -> Iterable[MemoryView]:
    for shown in run.memories:
        if shown.get("kind") in (PASSAGE, *TOLD_KINDS):
            continue
        item = items.get(shown["id"])
        yield fill_texts(
            MemoryView,
            shown,
            id=shown["id"],
            score=shown.get("score"),
            used=shown["id"] in run.memory_used,
            status=item.status if item else "",
        )


def _view_withheld(run: Run, *, items: Mapping[int, MemoryItem]) -> Iterable[MemoryView]:
    for pk in run.memory_withheld:
        item = items.get(pk)
        known = (item.kind, item.url, item.title, None, False, item.status) if item else ("", "", "", None, False, "")
        yield MemoryView(pk, *known)


def _view_verdict(verdict: OperatorVerdict | None, *, run: Run) -> VerdictView | None:
    if verdict is None:
        return None
    changes, _ = describe_changes(verdict, run=run)
    return fill_row(VerdictView, verdict, changes=changes)
