"""Lists of runs, newest first, paged by id so that page 1,000 costs as much as page 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from urllib.parse import urlencode

from django.db.models import Q, QuerySet

from lealife.core.paging import read_page
from lealife.dashboard.rows import fill_row
from lealife.dashboard.runs.answer_words import name_state
from training.models import Host, Run
from training.tasks import clean_text

PAGE_SIZE = 25
# What no index serves is looked for among so many runs a page: a filter that matches nothing costs no more.
LOOK = 5_000
HOSTS_MAX = 500
TEXT_MAX = 200
# What a list shows of a run, which has twenty columns more.
ROW_COLUMNS = (
    *("host", "lane", "status", "prompt", "controller_tag", "task_tag", "error_code", "answer_state"),
    *("pages", "controller_calls", "duration_ms", "created_at", "finished_at"),
)


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run; duration in seconds, None before its end. `state` is what it is marked with."""

    id: int
    lane: str
    state: str
    prompt: str
    host: str
    controller_tag: str
    task_tag: str
    error_code: str
    pages: int
    controller_calls: int
    seconds: float | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RunFilter:
    """What a list shows; empty parts let everything through.

    `status` is a status, or the state of an answer. `tag` is a tag's name or a digest's beginning.
    """

    lane: str = ""
    status: str = ""
    host: str = ""
    tag: str = ""
    q: str = ""

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> RunFilter:
        """The filter that an address asks for; unknown lanes and statuses are none."""
        parts = {name: clean_text(query.get(name, ""))[:TEXT_MAX] for name in ("lane", "status", "host", "tag", "q")}
        known = {"lane": Run.Lane.values, "status": [*Run.Status.values, *Run.AnswerState.values]}
        return cls(**{name: text if text in known.get(name, [text]) else "" for name, text in parts.items()})

    @property
    def is_empty(self) -> bool:
        """Whether every run is shown."""
        return self == RunFilter()

    def address(self, **changes: str | int) -> str:
        """The query string of this filter, `?` included, with `changes`; empty parts are left out."""
        given = {name: value for name, value in {**asdict(self), **changes}.items() if value}
        return f"?{urlencode(given)}"

    def narrow(self, runs: QuerySet[Run]) -> QuerySet[Run]:
        """The runs that pass what no index serves."""
        if self.status in Run.AnswerState.values:
            runs = runs.filter(answer_state=self.status)
        elif self.status:
            runs = runs.filter(status=self.status)
        if self.host:
            runs = runs.filter(host__name=self.host)
        if self.q:
            runs = runs.filter(prompt__icontains=self.q)
        if self.tag:
            digest = self.tag if self.tag.startswith("sha256:") else f"sha256:{self.tag}"
            runs = runs.filter(
                Q(controller_tag=self.tag)
                | Q(task_tag=self.tag)
                | Q(served_controller_digest__startswith=digest)
                | Q(served_task_digest__startswith=digest)
            )
        return runs


@dataclass(frozen=True, slots=True)
class Tab:
    """A lane to choose, with the address that keeps the rest of the filter."""

    label: str
    address: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class RunList:
    """A page of runs. `next_before` continues it; None at the end.

    `looked_back_to` is the run down to which was looked, when the filter matched fewer than a page among them.
    """

    rows: tuple[RunRow, ...]
    chosen: RunFilter
    tabs: tuple[Tab, ...]
    statuses: tuple[str, ...]
    answer_states: tuple[tuple[str, str], ...]  # with their words
    hosts: tuple[str, ...]
    next_before: int | None
    looked_back_to: int | None
    is_first: bool

    @property
    def newest(self) -> str:
        """The address of the list's beginning."""
        return self.chosen.address()

    @property
    def older(self) -> str:
        """The address of the page after this one."""
        return self.chosen.address(before=self.next_before or 0)


def read_runs(*, chosen: RunFilter, before: int | None) -> RunList:
    """25 runs that pass the filter, with ids below `before`. Three queries, over 5,000 runs at most."""
    runs = select_lane(chosen.lane)
    floor = None
    if not replace(chosen, lane="").is_empty:
        older = runs.filter(pk__lt=before) if before is not None else runs
        floor = older.values_list("pk", flat=True)[LOOK - 1 : LOOK].first()
        runs = chosen.narrow(runs.filter(pk__gte=floor) if floor is not None else runs)
    page = read_page(runs, before=before, size=PAGE_SIZE)
    tabs = (Tab("all", chosen.address(lane=""), not chosen.lane),)
    return RunList(
        rows=tuple(view_row(run) for run in page.rows),
        chosen=chosen,
        tabs=tabs + tuple(Tab(str(name), chosen.address(lane=name), chosen.lane == name) for name in Run.Lane.values),
        statuses=tuple(str(value) for value in Run.Status.values),
        answer_states=tuple((str(value), str(word)) for value, word in Run.AnswerState.choices),
        hosts=tuple(Host.objects.order_by("name").values_list("name", flat=True)[:HOSTS_MAX]),
        next_before=page.next_before or floor,
        looked_back_to=None if page.next_before else floor,
        is_first=before is None,
    )


def read_recent_runs(*, limit: int, lane: str = "") -> tuple[RunRow, ...]:
    """The newest runs of a lane, or of every lane. One query."""
    return tuple(view_row(run) for run in select_lane(lane)[:limit])


def select_lane(lane: str) -> QuerySet[Run]:
    """The runs of a lane, or of every lane, newest first; with the columns that a list shows."""
    runs = Run.objects.select_related("host").only(*ROW_COLUMNS, "host__name")
    return (runs.filter(lane=lane) if lane else runs).order_by("-id")


def view_row(run: Run) -> RunRow:
    """A run as one row of a list, its prompt shortened to 160 characters; needs `host` loaded."""
    return fill_row(
        RunRow,
        run,
        state=name_state(run),
        prompt=run.prompt[:160],
        host=run.host.name,
        seconds=run.duration_ms / 1000 if run.finished_at else None,
    )
