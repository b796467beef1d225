"""What an evaluation costs the model: the baseline's arms remembered, the candidate's prompts from the prefix cache."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from django.conf import settings
from django.utils import timezone

from benchmarks.database import open_database
from benchmarks.measurement import Measurement, at_least
from lealife.core.digest import digest_value
from lealife.embedded.ollama_process import ensure_ollama
from lealife.pipeline.pool import PoolModel, get_pool
from lealife.pipeline.stages import arm_tools
from learning.models import CurriculumTask, MemoryItem
from promotion.candidates.building import check_proposal, read_known, register_candidate
from promotion.candidates.levers import propose_exemplars
from promotion.evaluation.arms import ArmTools, run_arm
from promotion.evaluation.comparison import arm_inputs, open_evaluation, run_pairs
from promotion.evaluation.freezing import freeze_inputs
from promotion.evaluation.repeatability import PROBES
from promotion.gate.rule import Verdict
from promotion.models import Evaluation, ModelTag, PromotionWindow
from promotion.recipes import Recipe
from promotion.tags import ensure_base_tags
from training.agent.model import Reply
from training.models import Host, OperatorVerdict, Run, RuntimeSettings, Step
from training.runtime_settings import read_settings

PAIRS = 60
MAX_CALLS = 2
LEAST_CACHED = 0.8
LESSONS = 8
# Candidates of the grid: four exemplars and three links, then six and five.
FIRST, SECOND = 2, 1
_TOPICS = ("harbour", "orchard", "quarry", "library", "foundry", "meadow", "lantern", "compass", "bakery", "viaduct")
_SIDES = ("north", "south", "east", "west", "upper", "lower", "old", "new", "outer", "inner")
# No two alike: of two situations that share four fifths of their words one would be left out.
_LESSONS = (
    "Who looks after the {name}?",
    "How many steps are counted each evening at the {name}?",
    "When is the gate of the {name} shut?",
    "Find what a visitor may read about the {name} before nightfall.",
    "Tell me the number that belongs to the {name}.",
    "Does anybody keep watch over the {name} in winter too?",
    "Where would I learn the customs of people by the {name}?",
    "Name one thing that happens daily around the {name}, in order.",
)


@dataclass
class CountingModel:
    """The real model; counts what each tag was asked."""

    asked: Counter[str] = field(default_factory=Counter)

    def chat(self, *, tag: str, messages: Sequence[dict[str, str]], **options: Any) -> Reply:
        """One reply of the pool."""
        self.asked[tag] += 1
        return PoolModel().chat(tag=tag, messages=messages, **options)


def measure_prefix(*, pairs: int = PAIRS) -> list[Measurement]:
    """Two evaluations in one memory snapshot, on the model servers of this installation, in a separate database."""
    ensure_ollama()
    with open_database():
        ensure_base_tags(server=get_pool(), base=settings.LEALIFE_BASE_MODEL)
        return compare_candidates(pairs=pairs)


def compare_candidates(*, pairs: int) -> list[Measurement]:
    """The claims, from two evaluations in the database as it is. The base tags must be there."""
    with serve_town() as address:
        _prepare(address, pairs=pairs)
        model = CountingModel()
        tools = replace(arm_tools(), model=model)
        first = _evaluate(_make_candidate(FIRST), number=1, tools=tools)
        before = model.asked.copy()
        second = _evaluate(_make_candidate(SECOND), number=2, tools=tools)
    asked = (model.asked - before)[second.baseline.name]
    runs = Run.objects.filter(controller_digest=second.candidate_digest, lane=Run.Lane.EVALUATION)
    prompt, cached = (sum(runs.values_list(name, flat=True)) for name in ("prompt_tokens", "cached_tokens"))
    share = cached / prompt if prompt else 0.0
    setup = (
        f"{pairs} tasks, both arms; {first.candidate} ({first.verdict}), then {second.candidate} ({second.verdict}) "
        f"with {len(second.candidate.recipe['messages']) // 2} exemplars; one memory snapshot"
    )
    return [
        Measurement(
            claim="a second candidate's baseline costs no model call but those that measure repeatability",
            figure=asked,
            bound=MAX_CALLS * PROBES,
            unit="calls",
            holds=asked <= MAX_CALLS * PROBES and runs.count() == pairs and second.repeats_differed == 0,
            setup=f"{setup}; the first one's baseline took {before[second.baseline.name]}",
        ),
        at_least(
            "the candidate's prompts come from the prefix cache",
            share,
            LEAST_CACHED,
            "of prompt tokens",
            f"{cached:,} of {prompt:,} tokens over {runs.count()} runs, answers included; {setup}",
        ),
    ]


def _evaluate(candidate: ModelTag, *, number: int, tools: ArmTools) -> Evaluation:
    """To its verdict, and then the arms that it left out, so that all pairs are measured."""
    window = PromotionWindow.objects.create(
        number=number, state=PromotionWindow.State.BUILDING, watermark=0, size=30, attempts_before=0
    )
    frozen = freeze_inputs(candidate=Recipe.from_json(candidate.recipe))
    evaluation = open_evaluation(window_id=window.pk, candidate=candidate, frozen=frozen, now=timezone.now())
    verdict = Verdict.PENDING
    while verdict is Verdict.PENDING:
        decision = run_pairs(evaluation_id=evaluation.pk, tools=tools, now=timezone.now())
        if decision is None:
            raise RuntimeError("The model server does not answer, or no slot is free.")
        verdict = decision.verdict
    for task in evaluation.tasks.select_related("task"):
        for tag in (evaluation.candidate, evaluation.baseline):
            if run_arm(arm_inputs(evaluation, task, tag=tag), tools=tools) is None:
                raise RuntimeError("An arm could not be run.")
    evaluation.refresh_from_db()
    return evaluation


def _make_candidate(number: int) -> ModelTag:
    parent = ModelTag.objects.get(role="controller", status=ModelTag.Status.ACTIVE)
    known = read_known(parent)
    proposal = propose_exemplars(Recipe.from_json(parent.recipe), known=known)[number - 1]
    plan = check_proposal(proposal, parent=parent, known=known, server=get_pool())
    return register_candidate(plan, digest=plan.recipe.materialise(get_pool()))


def _name(number: int) -> str:
    """A page's name: two words, told apart by one of them."""
    return f"{_SIDES[number // len(_TOPICS) % len(_SIDES)]} {_TOPICS[number % len(_TOPICS)]}"


def _path(number: int) -> str:
    return f"{_name(number).replace(' ', '-')}.html"


def _passage(number: int) -> str:
    return f"the keeper of the {_name(number)} counts {number + 100} steps"


def _prepare(address: str, *, pairs: int) -> None:
    """Held-out tasks on a town's pages, and verified situations from its other pages."""
    read_settings()
    RuntimeSettings.objects.update(evaluation_pairs=pairs, controller_max_calls=MAX_CALLS, default_pages_target=2)
    host = Host.objects.create(name="town", base_url=address, may_be_private=True, politeness_delay_ms=0)
    for number in range(pairs):
        url = f"{address}{_path(number)}"
        CurriculumTask.objects.create(
            host=host, split=CurriculumTask.Split.EVALUATION, expected_url=url, page_digest=digest_value(url),
            passage=_passage(number), prompt=f"Which page says “{_passage(number)}”?",
            check_spec={"expected_urls": [url]},
        )  # fmt: skip
    for lesson in range(LESSONS):
        _remember(host, 99 - lesson)


def _remember(host: Host, number: int) -> None:
    """A trusted situation: five links, the right one first."""
    links = [number, *(number - 10 * step for step in range(1, 5))]
    run = Run.objects.create(
        lane=Run.Lane.TRAINING, status=Run.Status.SUCCEEDED, host=host, pages_target=2, max_calls=2,
        prompt=_LESSONS[number % len(_LESSONS)].format(name=_name(number)),
    )  # fmt: skip
    shortlist = [
        {"url": f"{host.base_url}{_path(link)}", "title": f"The {_name(link)}", "score": 1.0, "why": "link"}
        for link in links
    ]
    Step.objects.create(run=run, index=1, url=host.base_url, shortlist=shortlist, picked_by="model")
    # A situation is learned from where a check or a person found its run right.
    OperatorVerdict.objects.create(run=run, right=True, by="benchmark", origin="benchmark")
    MemoryItem.objects.create(
        host=host, kind=MemoryItem.Kind.EXEMPLAR, key=f"lesson {number}", status=MemoryItem.Status.TRUSTED,
        data={"run": run.pk, "step": 1, "right": 0, "size": len(links)},
    )  # fmt: skip


@contextmanager
def serve_town() -> Iterator[str]:
    """A site on loopback: an index, and a page for each of a hundred names. Yields its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Town)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Town(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = _PAGES.get(self.path)
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *args: object) -> None:
        """A benchmark's own site keeps no log."""


_PAGES = {
    f"/{_path(number)}": (
        f"<title>The {_name(number)}</title><p>Every evening {_passage(number)} before the gate is shut.</p>"
    ).encode()
    for number in range(100)
} | {
    "/": (
        "<title>The town</title><p>Places of the town, each with a page of its own.</p>"
        + "".join(f'<p><a href="/{_path(number)}">The {_name(number)}</a></p>' for number in range(100))
    ).encode()
}
