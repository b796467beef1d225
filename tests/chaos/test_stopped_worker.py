"""A worker that is stopped in the middle of a run, loses it, and wakes up: nothing that it still writes counts."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings as project
from django.utils import timezone

from benchmarks.chaos import model as stub_model
from benchmarks.chaos import site as stub_site
from benchmarks.chaos.audit import audit_effects, audit_tables
from benchmarks.chaos.crowd import Crowd
from benchmarks.chaos.effects import EffectLog
from benchmarks.chaos.server import Asked, StubReply, StubServer
from benchmarks.chaos.worker import work_stages
from benchmarks.chaos.world import make_hosts, queue_questions
from lealife.pipeline import execution
from lealife.pipeline.launching import launch_training
from lealife.pipeline.pool import get_pool
from lealife.pipeline.stages import drain, sweep
from promotion.candidates.windows import current_window
from promotion.tags import ensure_base_tags
from tests.chaos.harbour import LAPSE
from training.models import Run, TrainingOutcome, TrainingSource

pytestmark = pytest.mark.django_db(transaction=True)
APPS = ("training", "learning", "promotion")
# What a worker says about itself, whoever's run it has.
SELF_TOLD = {"training.WorkerHeartbeat", "training.HostTurn"}
# What is counted in the background, after a page has come into the index.
COUNTED_LATER = {"learning.HostIndex", "learning.TermCount"}


class Gate:
    """Keeps the first request that it is set for waiting until it is opened."""

    def __init__(self, respond: Callable[[Asked], StubReply], wanted: Callable[[Asked], bool]) -> None:
        self._respond, self._wanted = respond, wanted
        self._taken = threading.Lock()
        self.reached, self.opened = threading.Event(), threading.Event()

    def respond(self, asked: Asked) -> StubReply:
        answer = self._respond(asked)
        if self._wanted(asked) and self._taken.acquire(blocking=False):
            self.reached.set()
            assert self.opened.wait(timeout=60)
        return answer


class Refusals(logging.Handler):
    """Writes to the effect log what a worker says when its run is no longer its own."""

    def __init__(self, log: EffectLog) -> None:
        super().__init__(logging.WARNING)
        self._effects = log

    def emit(self, record: logging.LogRecord) -> None:
        if "is discarded" in record.getMessage():
            self._effects.append("refused", pid=os.getpid())


def dump_tables() -> dict[str, list[dict[str, Any]]]:
    """Every row of every table of ours, heartbeats and turns at a host aside: those say when, not what."""
    models = [model for app in APPS for model in apps.get_app_config(app).get_models()]
    return {
        model._meta.label: list(model.objects.order_by("pk").values())
        for model in models
        if model._meta.label not in SELF_TOLD | COUNTED_LATER
    }


def wait_until(true: Callable[[], object], *, seconds: float = 20) -> None:
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def crowd() -> Iterator[dict[str, Any]]:
    """Whatever a test starts, ended."""
    started: dict[str, Any] = {"servers": []}
    yield started
    started["crowd"].end()
    for server in started["servers"]:
        server.stop()


AT_SITE = {"robots.txt": "/robots.txt", "the index": "/", "the page that answers": f"/{stub_site.path_of(0)}"}


def is_answer(asked: Asked) -> bool:
    return asked.path == stub_model.CHAT and b'"pick"' not in asked.body


def is_pick(asked: Asked) -> bool:
    return asked.path == stub_model.CHAT and b'"pick"' in asked.body


@pytest.mark.parametrize("renewing", [False, True], ids=["", "while it renews its lease"])
@pytest.mark.parametrize(
    "held",
    [*(lambda asked, path=path: asked.path == path for path in AT_SITE.values()), is_pick, is_answer],
    ids=[*AT_SITE, "the pick", "the answer"],
)
def test_a_stopped_worker_that_wakes_up_changes_nothing_and_goes_on(crowd, tmp_path, settings, held, renewing):
    log = EffectLog(tmp_path / "effects.jsonl")
    gate = Gate(stub_site.respond, held)
    model_gate = Gate(stub_model.Ollama().respond, held)
    site = StubServer(name=stub_site.NAME, log=log, respond=gate.respond, mark=lambda asked: "")
    model = StubServer(name=stub_model.NAME, log=log, respond=model_gate.respond, mark=stub_model.read_mark)
    crowd["servers"] = [site, model]
    settings.OLLAMA_HOST = model.addresses[0]

    def work() -> None:
        logging.getLogger("lealife.pipeline.execution").addHandler(Refusals(log))
        if renewing:
            execution.RENEW_S = 0.05
        work_stages()

    # The worker is forked before this process has threads.
    crowd["crowd"] = Crowd({"worker": work})
    worker = crowd["crowd"].fork("worker")
    for server in (site, model):
        server.start()
    ensure_base_tags(server=get_pool(), base=project.LEALIFE_BASE_MODEL)
    hosts = make_hosts(site.addresses)
    asked = queue_questions(hosts, count=1)
    launch_training(timezone.now())
    wait_until(lambda: gate.reached.is_set() or model_gate.reached.is_set())
    os.kill(worker, signal.SIGSTOP)
    run = Run.objects.get()
    assert (run.status, run.claimed_by) == ("running", f"{socket.gethostname()}:{worker}")

    # Its lease lapses, the sweep fails the run, and this process does the work.
    later = timezone.now() + LAPSE
    sweep(later)
    launch_training(later)
    assert all(drain(stage) for stage in ("execute", "seal", "verify", "ingest"))
    assert list(TrainingOutcome.objects.order_by("pk").values_list("success", "error_code")) == [
        (False, "worker_lost"),
        (True, ""),
    ]
    current_window()  # the first look at the window makes its row, in whichever process that is
    before = dump_tables()

    os.kill(worker, signal.SIGCONT)
    gate.opened.set()
    model_gate.opened.set()
    wait_until(lambda: log.read_events("refused"))
    assert dump_tables() == before
    assert [refusal["pid"] for refusal in log.read_events("refused")] == [worker]

    # The same process takes the next question.
    queue_questions(hosts, count=1, first=asked)
    launch_training(timezone.now())
    wait_until(lambda: not TrainingSource.objects.exclude(status="done").exists())
    assert Run.objects.order_by("-pk")[0].claimed_by == f"{socket.gethostname()}:{worker}"
    assert os.waitpid(worker, os.WNOHANG) == (0, 0)
    wait_until(lambda: not [found for found in audit_tables() if found.broken])
    # The zombie's page was asked for in the lapsed run's time; the host saw two runs, one after the other began.
    assert not [found for found in audit_effects(log) if found.broken and "met" not in found.invariant]
