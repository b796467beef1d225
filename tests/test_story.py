"""From a source to the proof, in one test: the executable README.

A real website (Python's documentation on loopback), the real embedded model, a real PostgreSQL, every stage
through the pipeline's own functions; only the queue's bells are answered here, one after the other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from django.utils import timezone

from lealife.core.actors import command_line
from lealife.core.digest import digest_bytes
from lealife.demo import demo_child, ensure_demo_host, is_port_free
from lealife.embedded.ollama_process import ollama_dir
from lealife.pipeline import launching, stages
from lealife.pipeline.execution import execute_run
from lealife.pipeline.pool import get_pool
from learning.curriculum import choosing, tasks
from learning.curriculum.kinds.says import propose_says
from learning.curriculum.tasks import split_of
from learning.ingest import read_backlog
from learning.models import CurriculumTask, FrontierPage, MemoryItem
from promotion.applies import roll_back
from promotion.candidates.windows import read_window
from promotion.models import Canary, Evaluation, LiveApply, ModelTag, PromotionWindow
from promotion.proof.served import read_served_proof
from promotion.recipes import Recipe
from promotion.routing import read_routing
from promotion.tags import register_tag
from tests.embedded.ollama_process import run_ollama
from training.agent.controller import format_pick, format_situation
from training.agent.trajectory import Choice
from training.chain_check import check_chain, read_chain_check
from training.coordinator import start_training, stop_training
from training.heartbeats import beat
from training.models import Host, Run, TrainingOutcome, TrainingSource
from training.runs import begin_run
from training.runtime_settings import apply_settings, read_settings
from training.seals import seal_outcomes
from training.sources import queue_source

pytestmark = [pytest.mark.model, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

MODULES = (
    "argparse ast base64 bisect calendar cmd codecs colorsys compileall configparser contextlib copy csv difflib "
    "doctest enum filecmp fnmatch fractions gettext glob graphlib gzip hashlib heapq inspect ipaddress keyword "
    "linecache locale logging mailbox mimetypes netrc numbers optparse pdb pickletools pkgutil platform plistlib "
    "pprint pstats queue quopri random sched secrets selectors shelve shlex shutil socketserver statistics "
    "symtable tabnanny tarfile tempfile textwrap timeit tokenize trace tracemalloc uuid wave weakref zipapp zipfile"
).split()

# A change is judged by at least twenty recorded picks; such a run makes up to five.
SABOTAGED_RUNS = 8


@pytest.fixture
def site(transactional_db: None) -> Iterator[Host]:
    host, _ = ensure_demo_host()
    child = demo_child(host)
    child.start()
    port = int(host.base_url.rsplit(":", 1)[1].strip("/"))
    try:
        wait_until(lambda: not is_port_free(port), seconds=20)
        with run_ollama(ollama_dir()):
            yield host
    finally:
        child.stop()


@pytest.fixture
def _quoted_questions_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the kinds of questions only those in a page's own words: a controller that opens other pages fails them."""
    monkeypatch.setattr(choosing, "PROPOSERS", {CurriculumTask.Kind.SAYS: propose_says})
    monkeypatch.setattr(tasks, "read_says_room", lambda *, host_id: True)


@pytest.mark.soak
@pytest.mark.usefixtures("_quoted_questions_only")
def test_training_improves_the_served_model_under_proof(site: Host) -> None:
    apply_settings(
        changes={
            "window_size": 10,
            "evaluation_pairs": 40,
            "canary_share_percent": 50,
            "canary_min_observations": 2,
            "recent_host_window": 0,
        },
        version=None,
        by=command_line("story"),
        origin="test",
    )
    assert stages.STAGES["tags"].work(timezone.now())
    controller, _ = read_routing().require()
    assert set(get_pool().read_digest(tag=controller.name).values()) == {controller.digest}

    # Sources are claimed, runs answer with evidence, outcomes become memory.
    held_out = [name for name in MODULES if split_of(page_of(site, name)) == "evaluation"]
    for name in held_out:
        queue_about(site, name)
    start_training(by=command_line("story"), origin="test")
    train(until=lambda: read_window().state != "collecting" or not TrainingSource.objects.pending().exists())
    assert read_window().state == "building", [(o.error_code, o.run.prompt) for o in TrainingOutcome.objects.all()]
    outcome = TrainingOutcome.objects.filter(success=True).latest("id")
    assert outcome.verifier == "expected_url"
    assert outcome.run.quotes, "a success carries its evidence"
    assert outcome.served_controller_digest == controller.digest
    assert read_backlog() == 0
    seal_outcomes()
    check_chain(now=timezone.now())
    assert read_chain_check().broken_at is None

    # What was learned serves the next run: a standard task is answered through the same memory.
    seed_held_out_tasks(site, held_out)
    assert MemoryItem.objects.recallable().filter(kind="page").exists()
    question = CurriculumTask.objects.filter(split="evaluation", kind="says", ambiguous=False).first()
    run = answer(question.prompt, site)
    assert run.status == Run.Status.SUCCEEDED, run.error
    assert {item["url"] for item in run.memories} == {question.expected_url}
    assert run.controller_calls <= 1

    # A controller that was taught to pick the worst link serves; the loop finds something better, and proves it.
    sabotaged = serve_sabotaged_controller(controller)
    others = [name for name in MODULES if name not in held_out]
    for name in others[:SABOTAGED_RUNS]:
        queue_about(site, name)
    train(until=lambda: TrainingOutcome.objects.filter(controller_tag=sabotaged.name).count() >= SABOTAGED_RUNS)
    assert stages.STAGES["build"].work(timezone.now())
    evaluation = Evaluation.objects.get()
    assert evaluation.baseline == sabotaged
    assert evaluation.candidate.lever == "ask", evaluation.candidate.why
    while Evaluation.objects.filter(verdict="pending").exists():
        assert stages.STAGES["evaluate"].work(timezone.now())
    evaluation.refresh_from_db()
    assert evaluation.verdict == Evaluation.Verdict.PROMOTE, evaluation.reason
    assert evaluation.e_value >= 1 / evaluation.alpha

    # The candidate serves a share of real runs, then all of them.
    assert stages.STAGES["canary"].work(timezone.now())
    canary = Canary.objects.get()
    for name in others[SABOTAGED_RUNS:]:
        queue_about(site, name)

    def is_canary_over() -> bool:
        stages.STAGES["canary"].work(timezone.now())
        canary.refresh_from_db()
        return canary.state != Canary.State.OPEN

    train(until=is_canary_over)
    assert canary.state == Canary.State.PASSED, canary.reason
    assert stages.STAGES["apply"].work(timezone.now())
    apply = LiveApply.objects.get()
    assert (apply.from_tag, apply.to_tag) == (sabotaged, evaluation.candidate)
    assert read_routing().controller == evaluation.candidate
    assert PromotionWindow.objects.get(number=1).state == "applied"

    # Proof: amber until three live outcomes carry the new digest, then green.
    assert read_served_proof().roles[0].state == "amber"
    train(until=lambda: read_served_proof().roles[0].matching >= 3)
    assert read_served_proof().roles[0].state == "green"

    # The way back takes effect on the next run.
    roll_back(role="controller", by=command_line("story"), reason="To see that it works.")
    assert read_routing().controller == sabotaged
    stop_training(by=command_line("story"), origin="test")
    assert stages.launch_queued(timezone.now()) == 0
    assert answer(question.prompt, site).controller_tag == sabotaged.name


def page_of(site: Host, module: str) -> str:
    return f"{site.base_url}{module}.html"


def queue_about(site: Host, module: str) -> None:
    queue_source(
        title=f"About {module}",
        prompt=f"What does the module {module} do?",
        host=site,
        check_spec={"expected_urls": [page_of(site, module)]},
        pages_target=None,
        queued_from="cli",
        by=command_line("story"),
    )


def train(*, until: Callable[[], bool], most: int = 80) -> None:
    """Claims, executes and ingests one run after the other."""
    for _ in range(most):
        if until():
            return
        # It does a worker's work, and says so as one: bells that nobody answers would stop the claims.
        beat(worker="story", doing="execute", now=timezone.now())
        stages.launch_training(timezone.now())
        stages.STAGES["execute"].work(timezone.now())
        while stages.STAGES["ingest"].work(timezone.now()):
            pass
        stages.STAGES["window"].work(timezone.now())
    assert until(), "training did not get there"


def seed_held_out_tasks(site: Host, modules: list[str]) -> None:
    """The curriculum reads these pages and makes held-out tasks of them."""
    for module in modules:
        url = page_of(site, module)
        FrontierPage.objects.create(host=site, url=url, url_digest=digest_bytes(url.encode()), depth=1)
    wait_until(lambda: not stages.STAGES["read"].work(timezone.now()) or not due(modules, site), seconds=60)
    assert CurriculumTask.objects.filter(split="evaluation", ambiguous=False).count() >= 16


def due(modules: list[str], site: Host) -> bool:
    return FrontierPage.objects.filter(url__in=[page_of(site, module) for module in modules], state="known").exists()


def serve_sabotaged_controller(parent: ModelTag) -> ModelTag:
    """Activates a real tag whose exemplars always pick the last of two links."""
    base = Recipe.from_json(parent.recipe)
    turns = []
    for number in range(6):
        links = tuple(Choice(f"http://host/{name}{number}.html", f"{name} {number}", 1.0, "link") for name in "ab")
        turns += [("user", format_situation(f"Which page is about a {number}?", links)), ("assistant", format_pick(1))]
    recipe = replace(base, messages=tuple(turns), shortlist_size=2)
    digest = recipe.materialise(get_pool())
    ModelTag.objects.filter(pk=parent.pk).update(status=ModelTag.Status.RETIRED)
    return register_tag(recipe=recipe, digest=digest, status=ModelTag.Status.ACTIVE, parent=parent)


def answer(prompt: str, site: Host) -> Run:
    run = launching.ask(prompt=prompt, host=site, check_spec=None, pages_target=1, by=command_line("story"))
    assert stages.launch_queued(timezone.now()) == 1
    run.refresh_from_db()
    execute_run(begin_run(run=run, worker="story", now=timezone.now()))
    run.refresh_from_db()
    return run


def wait_until(condition: Callable[[], bool], *, seconds: float) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "waited in vain"
        time.sleep(0.1)


def test_defaults_are_those_of_a_first_run(db: None) -> None:
    assert read_settings().window_size == 30
