"""A small world to be promoted in: tags, held-out tasks on a stub site, windows, and models that follow a script."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.db import connection
from django.urls import reverse
from django.utils import timezone

from lealife.core.digest import digest_value
from learning.models import CurriculumTask
from promotion.evaluation.arms import ArmTools
from promotion.evaluation.comparison import open_evaluation
from promotion.evaluation.freezing import freeze_inputs
from promotion.models import Canary, Evaluation, ModelTag, PageFreeze, PromotionWindow, Role, Watch, WatchedRun
from promotion.recipes import Recipe
from promotion.tags import ensure_base_tags, register_tag
from tests.training.agent.sites import StubSite
from training.agent.embedding import Embed
from training.agent.model import Reply
from training.agent.web.http_browser import HttpBrowser
from training.models import Host, Run, RuntimeSettings, TrainingCycle, TrainingOutcome, TrainingSource
from training.runtime_settings import read_settings

BASE = "tiny:1b"
_LINE = re.compile(r"^(\d+)\. (?:Page )?(\w+)", re.MULTILINE)


@dataclass
class Servers:
    """Stand-in for the model servers: a tag's digest follows from its recipe, as a real one's does."""

    made: dict[str, str] = field(default_factory=dict)

    def create_tag(self, *, tag: str, **recipe: Any) -> str:
        self.made[tag] = digest_value([tag, recipe])
        return self.made[tag]

    def read_digest(self, *, tag: str) -> dict[str, str]:
        return {"stand-in": self.made.get(tag, "")}

    def served_digest(self, tag: str) -> str:
        return self.made.get(tag, "")


@dataclass
class Picker:
    """Picks the page that the question names, unless its tag is among `clumsy`; counts what it is asked.

    `at_call(n)` runs before the n-th call, from 1: what it raises is what the model raises.
    """

    clumsy: set[str] = field(default_factory=set)
    at_call: Callable[[int], None] = lambda number: None
    asked: list[str] = field(default_factory=list)

    def chat(self, *, tag: str, messages: Sequence[dict[str, str]], schema: Any, **options: Any) -> Reply:
        self.asked.append(tag)
        self.at_call(len(self.asked))
        if schema is None or "pick" not in schema.get("properties", {}):
            return Reply("It is on that page.", digest=f"digest of {tag}")
        situation = messages[-1]["content"]
        wanted = re.search(r"passage (\w+)", situation).group(1)
        lines = _LINE.findall(situation)
        right = [int(number) for number, page in lines if page == wanted]
        wrong = [int(number) for number, page in lines if page != wanted]
        pick = wrong[0] if tag in self.clumsy or not right else right[0]
        return Reply(f'{{"pick": {pick}}}', digest=f"digest of {tag}")


def name_page(number: int) -> str:
    return f"p{number:02d}"


def build_pages(count: int) -> dict[str, bytes]:
    """An index that links to `count` pages, each with a passage of its own."""
    names = [name_page(number) for number in range(count)]
    links = " ".join(f'<a href="/{name}.html">Page {name}</a>' for name in names)
    pages = {"/": f"<title>Index</title><p>All the pages stand here in a row.</p>{links}".encode()}
    for name in names:
        pages[f"/{name}.html"] = f"<title>Page {name}</title><p>Here stands passage {name} and no other.</p>".encode()
    return pages


def make_host(site: StubSite, **changes: Any) -> Host:
    values = {"name": "stub", "base_url": site.url, "may_be_private": True, "politeness_delay_ms": 0}
    return Host.objects.create(**{**values, **changes})


def make_tasks(host: Host, count: int, *, split: str = "evaluation") -> list[CurriculumTask]:
    """One verifiable task a page: which page says …"""
    tasks = []
    for name in map(name_page, range(count)):
        url, passage = f"{host.base_url}{name}.html", f"stands passage {name}"
        tasks.append(
            CurriculumTask.objects.create(
                host=host,
                split=split,
                expected_url=url,
                page_digest=digest_value(url),
                passage=passage,
                prompt=f"Which page says “{passage}”?",
                check_spec={"expected_urls": [url]},
            )
        )
    return tasks


def change_settings(**changes: Any) -> RuntimeSettings:
    """Settings without the checks of the operator's way in."""
    read_settings()
    RuntimeSettings.objects.update(**changes)
    return read_settings()


def make_base_tags(servers: Servers) -> tuple[ModelTag, ModelTag]:
    ensure_base_tags(server=servers, base=BASE)
    return (
        ModelTag.objects.get(role=Role.CONTROLLER, status="active"),
        ModelTag.objects.get(role=Role.TASK, status="active"),
    )


def make_candidate(servers: Servers, parent: ModelTag, *, saying: str = "x") -> ModelTag:
    """A candidate whose recipe differs from its parent's by one exemplar."""
    recipe = replace(Recipe.from_json(parent.recipe), messages=(("user", saying), ("assistant", '{"pick": 1}')))
    return register_tag(
        recipe=recipe, digest=recipe.materialise(servers), status=ModelTag.Status.CANDIDATE, parent=parent
    )


def make_window(state: str = "building", *, number: int = 1, **changes: Any) -> PromotionWindow:
    values = {"watermark": 0, "size": 30, "attempts_before": 0, "reached_at": timezone.now()}
    return PromotionWindow.objects.create(number=number, state=state, **{**values, **changes})


def open_trial(candidate: ModelTag, *, window: PromotionWindow | None = None, embed: Embed | None = None) -> Evaluation:
    """An evaluation of the candidate, on the held-out tasks and what is recalled for them now."""
    frozen = freeze_inputs(candidate=Recipe.from_json(candidate.recipe), embed=embed)
    window = window or make_window()
    return open_evaluation(window_id=window.pk, candidate=candidate, frozen=frozen, now=timezone.now())


def make_tools(servers: Servers, model: Any, *, should_stop: Callable[[], str | None] = lambda: None) -> ArmTools:
    return ArmTools(
        open_browser=lambda host: HttpBrowser(site=host.as_site()),
        model=model,
        served_digest=servers.served_digest,
        worker="tests",
        should_stop=should_stop,
    )


def make_promoted(servers: Servers, *, number: int = 1) -> Evaluation:
    """An evaluation that ended well: window in canary, candidate against the active tag."""
    controller, _ = make_base_tags(servers)
    candidate = make_candidate(servers, controller, saying=f"candidate {number}")
    return Evaluation.objects.create(
        window=make_window("canary", number=number),
        candidate=candidate,
        candidate_digest=candidate.digest,
        baseline=controller,
        baseline_digest=controller.digest,
        candidate_number=number,
        alpha=0.02,
        pair_budget=60,
        seed=0,
        freeze=PageFreeze.objects.create(memory_digest="m"),
        settings_digest="s",
        verdict=Evaluation.Verdict.PROMOTE,
    )


def make_passed_canary(servers: Servers, *, number: int = 1) -> Canary:
    """A canary that found no harm: window applying."""
    evaluation = make_promoted(servers, number=number)
    PromotionWindow.objects.filter(pk=evaluation.window_id).update(state="applying")
    return Canary.objects.create(
        evaluation=evaluation,
        role=evaluation.candidate.role,
        share_percent=20,
        min_observations=20,
        deadline_at=timezone.now(),
        first_outcome_id=0,
        state=Canary.State.PASSED,
        reason="No harm found.",
    )


def steering_address(action: str, **query: str) -> str:
    """The address of one of promotion's actions."""
    return reverse("steer_promotion", args=[action], query=query or None)


@contextmanager
def forging() -> Iterator[None]:
    """Whoever owns the server can turn its triggers off; what follows must then be found in the evidence."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        try:
            yield
        finally:
            cursor.execute("SET session_replication_role = DEFAULT")


def make_outcome(
    host: Host,
    *,
    success: bool = True,
    state: str = "verified",
    lane: str = "training",
    canary_id: int | None = None,
    error_code: str = "",
    served: str = "",
    claimed: str = "",
    started_at: datetime | None = None,
    watch: Watch | None = None,
    held_back: bool = False,
) -> TrainingOutcome:
    """One finished cycle with its outcome; `state` is the answer state of a success.

    `served` and `claimed` are the controller's digests.
    """
    source = TrainingSource(title="t", prompt="Which page?", host=host, status="done")
    source.save()
    status = "succeeded" if success else "failed"
    run = Run.objects.create(
        lane=lane,
        status=status,
        host=host,
        prompt="Which page?",
        pages_target=1,
        max_calls=5,
        canary_id=canary_id,
        controller_digest=claimed or served,
        task_digest=served,
        served_controller_digest=served,
        served_task_digest=served,
        started_at=started_at or timezone.now(),
    )
    if watch is not None:
        WatchedRun.objects.create(watch=watch, run=run, held_back=held_back)
    cycle = TrainingCycle.objects.create(source=source, run=run, status=status)
    return TrainingOutcome.objects.create(
        cycle=cycle,
        run=run,
        source=source,
        host=host,
        lane=lane,
        success=success,
        answer_state=state if success else "",
        is_counted=success and state == "verified",
        error_code=error_code,
        canary_id=canary_id,
        controller_digest=claimed or served,
        task_digest=served,
        served_controller_digest=served,
        served_task_digest=served,
    )
