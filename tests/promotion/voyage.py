"""A voyage from window to proof: stub site, stub model, exemplars, held-out tasks, a worker who dies."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import LazySettings
from django.conf import settings as project
from django.db import connection
from django.utils import timezone

from benchmarks.chaos import model as chaos_model
from benchmarks.chaos import site as chaos_site
from benchmarks.chaos.effects import EffectLog
from benchmarks.chaos.model import Ollama
from benchmarks.chaos.server import Asked, StubReply, StubServer
from benchmarks.chaos.world import queue_questions
from lealife.pipeline.launching import launch_training
from lealife.pipeline.pool import get_pool
from lealife.pipeline.stages import STAGES, drain
from learning.models import CurriculumTask, MemoryItem
from promotion.models import (
    Canary,
    Evaluation,
    EvaluationArm,
    EvaluationPair,
    EvaluationTask,
    FrozenPage,
    LiveApply,
    ModelTag,
    PageFreeze,
    PairWork,
    PromotionWindow,
    Watch,
)
from promotion.tags import ensure_base_tags
from tests.promotion.deaths import dies
from tests.promotion.scenes import change_settings, make_outcome
from training.counters import add_counts
from training.models import Host, Run, Step
from training.models.runs import LEASE
from training.runs import fail_lapsed_runs

TASKS = PAIRS = 15
MINIMUM = 2
# Settings that change nothing of the path and make it short.
SHORT = {
    "window_size": 2,
    "evaluation_pairs": PAIRS,
    "canary_min_observations": MINIMUM,
    "watch_observations": 50,
    "default_pages_target": 1,
    "controller_max_calls": 1,
    "global_max_concurrent_runs": 4,
}
# What a crash may have moved; runs are left out, for each kill leaves one that the sweep closes.
EVIDENCE = (
    *(PromotionWindow, ModelTag, Evaluation, EvaluationTask, EvaluationArm, EvaluationPair),
    *(PageFreeze, FrozenPage, Canary, LiveApply, Watch),
)


class ClumsyOllama(Ollama):
    """The stub model; a tag that is `clumsy` picks the last link of its shortlist, which is the worst."""

    def __init__(self) -> None:
        super().__init__()
        # What all tags are made from is there before them.
        self._digests[project.LEALIFE_BASE_MODEL] = "base"
        self.clumsy: set[str] = set()

    @property
    def digests(self) -> dict[str, str]:
        """Tags and digests as the server has them."""
        return dict(self._digests)

    def respond(self, asked: Asked) -> StubReply:
        """Ollama's answer; a clumsy tag's shortlist is turned upside down before it picks the first."""
        if asked.path == chaos_model.CHAT and any(f'"{tag}"'.encode() in asked.body for tag in self.clumsy):
            return super().respond(_turn_picks(asked))
        return super().respond(asked)


@dataclass
class Voyage:
    """What the tests of crashes and of sabotage share."""

    log: EffectLog
    ollama: ClumsyOllama
    host: Host
    models: list[str]
    # From one point to the next one to die before.
    stride: int = 1
    points: Counter[str] = field(default_factory=Counter)

    def reach_window(self) -> None:
        """Ingested successes enough for the collecting window."""
        add_counts(ingested__success=SHORT["window_size"], ingested__verified=SHORT["window_size"])

    def die_everywhere(self, work: Callable[[], object], *, until: Callable[[], bool]) -> None:
        """Dies in `work` before its first point, then before the one that is `stride` further, and so on.

        When a death has moved something that lasts, it begins again with the first: so, with a stride of one, every
        point is died at from every state that a death can leave behind. To die after a point is to die before the
        next. Ends when `until` is reached.
        """
        at, before = 1, self.read_state()
        while True:
            points = dies(work, at=at)
            if points.died_at:
                self.points[points.died_at] += 1
            # What a dead worker held lapses.
            fail_lapsed_runs(now=timezone.now() + LEASE + timedelta(seconds=1))
            PairWork.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
            after = self.read_state()
            moved, before = after != before, after
            if moved:
                assert self.find_doubles() == [], points.died_before
                if until():
                    return
            assert moved or points.died_at, list(PromotionWindow.objects.values_list("state", "reason"))
            at = 1 if moved else at + self.stride

    def read_state(self) -> tuple[Any, ...]:
        """All that lasts: the tables of what is trusted, and the tags on the server."""
        parts = " UNION ALL ".join(
            f"SELECT '{table}', md5(string_agg(t::text, '|' ORDER BY t.id)) FROM {table} AS t"
            for table in (model._meta.db_table for model in EVIDENCE)
        )
        with connection.cursor() as cursor:
            cursor.execute(parts)
            return (*cursor.fetchall(), self.ollama.digests)

    def find_doubles(self) -> list[str]:
        """What there must never be two of."""
        counted = {
            "evaluations of a window": Counter(Evaluation.objects.values_list("window_id", flat=True)),
            "arms of the same inputs": Counter(EvaluationArm.objects.values_list("inputs_digest", flat=True)),
            "pairs of an index": Counter(EvaluationPair.objects.values_list("evaluation_id", "index")),
            "canaries of an evaluation": Counter(Canary.objects.values_list("evaluation_id", flat=True)),
            "applies of a canary": Counter(LiveApply.objects.filter(rolls_back=None).values_list("canary", flat=True)),
            "roll backs of an apply": Counter(
                LiveApply.objects.exclude(rolls_back=None).values_list("rolls_back", flat=True)
            ),
            "candidates": Counter(ModelTag.objects.exclude(parent=None).values_list("parent", flat=True)),
            "active tags": Counter(ModelTag.objects.filter(status="active").values_list("role", flat=True)),
        }
        return [what for what, counts in counted.items() if max(counts.values(), default=0) > 1]

    def run(self) -> Run:
        """One question from its claim to its outcome, by the product's own actions; training must be on."""
        queue_questions([self.host], count=1, first=Run.objects.count())
        launch_training(timezone.now())
        drain("execute")
        return Run.objects.order_by("-pk")[0]

    def work(self, stage: str) -> bool:
        """One piece of a stage."""
        return STAGES[stage].work(timezone.now())


@contextmanager
def open_voyage(*, folder: Path, settings: LazySettings, servers: int = 1) -> Iterator[Voyage]:
    """So many model servers in threads of this process, first tags, held-out tasks, exemplars to learn from."""
    log = EffectLog(folder / "effects.jsonl")
    ollamas = [ClumsyOllama() for _ in range(servers)]
    site = chaos_site.open_site(hosts=1, log=log)
    models = [
        StubServer(name=chaos_model.NAME, log=log, respond=ollama.respond, mark=chaos_model.read_mark)
        for ollama in ollamas
    ]
    for server in (site, *models):
        server.start()
    addresses = [model.addresses[0].rstrip("/") for model in models]
    try:
        settings.OLLAMA_HOST = ",".join(addresses)
        change_settings(**SHORT)
        ensure_base_tags(server=get_pool(), base=project.LEALIFE_BASE_MODEL)
        for ollama in ollamas:
            ollama.clumsy = set(ModelTag.objects.filter(role="controller").values_list("name", flat=True))
        host = Host.objects.create(
            name="harbour", base_url=site.addresses[0], may_be_private=True, politeness_delay_ms=0
        )
        _make_tasks(host)
        for number in range(8):
            _remember(host, number)
        yield Voyage(log, ollamas[0], host, addresses)
    finally:
        for server in (site, *models):
            server.stop()


def observe(host: Host, *, times: int, **outcome: Any) -> None:
    """Finished training cycles, begun a moment from now so that every switch before them is known to them."""
    for _ in range(times):
        make_outcome(host, started_at=timezone.now() + timedelta(seconds=10), **outcome)


def _turn_picks(asked: Asked) -> Asked:
    said = json.loads(asked.body)
    picks = (said.get("format") or {}).get("properties", {}).get("pick", {}).get("enum")
    if picks:
        said["format"]["properties"]["pick"]["enum"] = picks[::-1]
    return replace(asked, body=json.dumps(said).encode())


def _make_tasks(host: Host) -> None:
    for bell in range(TASKS):
        url = f"{host.base_url}{chaos_site.path_of(bell)}"
        CurriculumTask.objects.create(
            host=host,
            split="evaluation",
            expected_url=url,
            page_digest=str(bell),
            passage=chaos_site.passage_of(bell),
            prompt=chaos_site.prompt_of(bell, mark=f"held out {bell}"),
            check_spec={"expected_urls": [url]},
        )


def _remember(host: Host, number: int) -> None:
    """A verified run with one situation of five links, and the memory of it."""
    run = Run.objects.create(
        lane="training", status="succeeded", host=host, prompt=f"Question {number}?", pages_target=1, max_calls=5
    )
    shortlist = [
        {"url": f"{host.base_url}{n}.html", "title": f"Page {n}", "score": 1.0 - n / 10, "why": "link"}
        for n in range(5)
    ]
    Step.objects.create(run=run, index=1, url=host.base_url, shortlist=shortlist, picked_by="model")
    MemoryItem.objects.create(
        host=host,
        kind="exemplar",
        key=f"e{number}",
        status="trusted",
        data={"run": run.pk, "step": 1, "right": number % 2, "size": 5},
    )
