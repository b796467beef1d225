"""One run, whatever happens: each mishap becomes an outcome with its code, and the loop goes on."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from django.conf import LazySettings
from django.db import IntegrityError, connection
from django.db.models import F
from django.utils import timezone

from lealife.core.actors import command_line
from lealife.core.announce import open_connection
from lealife.core.places import BASE_DIR, data_dir
from lealife.pipeline.execution import LeaseKeeper, patiently
from lealife.pipeline.launching import ask, launch_training
from lealife.pipeline.pool import get_pool
from lealife.pipeline.stages import drain
from learning.models import MemoryItem
from promotion.models import ModelTag
from promotion.recipes import Recipe
from tests.embedded.ollama_process import RunningOllama
from tests.pipeline.scenes import PASSAGE, interrupt, queue_question, train_once
from tests.training.agent.sites import Stub
from training.models import Host, Run, Step, TrainingCycle, TrainingOutcome, TrainingSource
from training.runs import fail_lapsed_runs

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.model]


def test_a_question_is_answered_with_a_quote_and_the_digests_that_served(host: Host, ollama: RunningOllama):
    outcome = train_once(host)
    assert (outcome.success, outcome.error_code, outcome.verifier) == (True, "", "expected_url")
    run = outcome.run
    assert [quote["url"] for quote in run.quotes] == [f"{host.base_url}roses.html"]
    assert PASSAGE in run.quotes[0]["text"]
    tags = {tag.role: tag for tag in ModelTag.objects.all()}
    assert outcome.served_controller_digest == outcome.controller_digest == tags["controller"].digest
    assert outcome.served_task_digest == outcome.task_digest == tags["task"].digest
    assert TrainingSource.objects.get().status == "done"


@pytest.mark.parametrize(("left_s", "reason"), [(-0.1, "worker_lost"), (0.1, "worker_lost"), (20, None)])
def test_a_worker_stops_by_its_own_clock_when_its_lease_was_not_renewed(left_s, reason):
    run = Run(pk=1, fence=1, lease_until=timezone.now() + timedelta(seconds=left_s))
    assert LeaseKeeper(run).why_stop() == reason


def test_a_standard_task_leaves_no_outcome(host: Host, ollama: RunningOllama):
    run = ask(
        prompt=f"Which page says “{PASSAGE}”?", host=host, check_spec=None, pages_target=None, by=command_line("ada")
    )
    assert drain("execute") == 1
    run.refresh_from_db()
    assert (run.status, run.requested_by) == ("succeeded", "ada")
    assert not TrainingOutcome.objects.exists()


def test_what_a_standard_task_recalled_is_counted(host: Host, ollama: RunningOllama):
    train_once(host)
    drain("ingest")
    MemoryItem.objects.update(status="trusted")
    prompt = f"Which page says “{PASSAGE}”?"
    run = ask(prompt=prompt, host=host, check_spec=None, pages_target=None, by=command_line("ada"))
    before = dict(MemoryItem.objects.values_list("pk", "recalled_count"))
    assert drain("execute") == 1
    run.refresh_from_db()
    assert run.memory_used
    for item in MemoryItem.objects.filter(pk__in=run.memory_used):
        assert item.recalled_count == before[item.pk] + 1


def test_ollama_gone_in_mid_run_is_an_outcome_and_the_next_run_succeeds(
    host: Host, pages, own_ollama: RunningOllama, shared_ollama: RunningOllama, settings: LazySettings
):
    page = pages["/"]

    def end_ollama() -> None:
        own_ollama.process.kill()
        own_ollama.process.wait(10)

    pages["/"] = interrupt(page, end_ollama)
    outcome = train_once(host)
    assert (outcome.success, outcome.error_code) == (False, "model_unavailable")
    # What was done before it went is kept.
    assert (outcome.pages, outcome.run.steps.count()) == (1, 1)
    # No reply came, so nothing proves what would have served.
    assert outcome.controller_digest != ""
    assert outcome.served_controller_digest == ""
    pages["/"] = page
    settings.OLLAMA_HOST = shared_ollama.address
    make_tags_again()
    assert train_once(host).success


def make_tags_again() -> None:
    """The active tags on servers that do not have them: same recipe, same digest."""
    for tag in ModelTag.objects.filter(status="active"):
        assert Recipe.from_json(tag.recipe).materialise(get_pool()) == tag.digest


def test_ollama_gone_before_the_run_is_an_outcome(host: Host, own_ollama: RunningOllama):
    own_ollama.process.kill()
    own_ollama.process.wait(10)
    outcome = train_once(host)
    assert (outcome.success, outcome.error_code, outcome.served_controller_digest) == (False, "model_unavailable", "")


def test_without_tags_a_task_says_that_no_model_is_there(host: Host):
    run = ask(prompt="Which page?", host=host, check_spec=None, pages_target=None, by=command_line("ada"))
    drain("execute")
    run.refresh_from_db()
    assert (run.status, run.error_code) == ("failed", "model_unavailable")
    assert run.error.startswith("No model tags are active yet")


def test_an_unreachable_host_is_an_outcome_and_another_host_is_served(host: Host, ollama: RunningOllama):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{nobody.getsockname()[1]}/"
    gone = Host.objects.create(name="gone", base_url=address, may_be_private=True, politeness_delay_ms=0)
    outcome = train_once(gone)
    assert (outcome.success, outcome.error_code) == (False, "fetch_failed")
    assert outcome.source.status == "pending"
    assert outcome.source.not_before is not None
    assert train_once(host).success


@pytest.mark.parametrize(
    ("stub", "code"),
    [
        ({"media_type": "image/png", "body": b"\x89PNG"}, "not_html"),
        ({"body": b"x" * 10_500_000}, "too_large"),
        ({"status": 302, "headers": {"Location": "/"}}, "redirect_loop"),
        ({"status": 500, "body": b"broken"}, "fetch_failed"),
    ],
    ids=["no HTML", "10 MB", "redirect loop", "server error"],
)
def test_an_unusable_start_page_is_an_outcome_with_its_code(host: Host, pages, ollama: RunningOllama, stub, code):
    page, pages["/"] = pages["/"], Stub(**stub)
    outcome = train_once(host)
    assert (outcome.success, outcome.error_code) == (False, code)
    pages["/"] = page
    assert train_once(host).success


def test_an_unforeseen_error_is_an_outcome_that_names_it(host: Host, ollama: RunningOllama):
    recipe = ModelTag.objects.get(role="controller").recipe
    ModelTag.objects.filter(role="controller").update(recipe={"no": "recipe"})
    outcome = train_once(host)
    assert (outcome.success, outcome.error_code) == (False, "internal_error")
    assert outcome.run.error.startswith("KeyError")
    ModelTag.objects.filter(role="controller").update(recipe=recipe)
    assert train_once(host).success


def test_a_worker_whose_run_was_taken_writes_nothing(host: Host, pages, ollama: RunningOllama):
    def take_over() -> None:
        Run.objects.update(fence=F("fence") + 1)

    pages["/"] = interrupt(pages["/"], take_over)
    queue_question(host)
    launch_training(timezone.now())
    drain("execute")
    run = Run.objects.get()
    assert (run.status, run.answer, run.finished_at) == ("running", "", None)
    assert not Step.objects.exists()
    assert not TrainingOutcome.objects.exists()
    assert TrainingCycle.objects.get().status == "open"
    # The sweep finds it once its lease has lapsed: one outcome, and no second one from the worker that lost it.
    assert fail_lapsed_runs(now=run.lease_until + (run.lease_until - run.started_at)) == 1
    assert TrainingOutcome.objects.get().error_code == "worker_lost"


def test_a_run_that_takes_its_time_keeps_its_lease(host: Host, pages, ollama: RunningOllama, monkeypatch):
    monkeypatch.setattr("lealife.pipeline.execution.RENEW_S", 0.05)
    renewed = []

    def take_time() -> None:
        soon = timezone.now() + timedelta(seconds=1)
        Run.objects.update(lease_until=soon)
        ends = time.monotonic() + 10
        while Run.objects.get().lease_until <= soon and time.monotonic() < ends:
            time.sleep(0.02)
        renewed.append(Run.objects.get().lease_until > soon)

    pages["/"] = interrupt(pages["/"], take_time)
    assert train_once(host).success
    assert renewed == [True]


# Postgres goes away.


def cut_connection(backend: int) -> None:
    """Ends another connection's server process, as a restart of Postgres does."""
    with open_connection() as administrator:
        administrator.execute("SELECT pg_terminate_backend(%s, 5000)", [backend])


def test_postgres_gone_in_mid_run_loses_nothing(host: Host, pages, ollama: RunningOllama):
    connection.ensure_connection()
    backend = connection.connection.info.backend_pid
    pages["/roses.html"] = interrupt(pages["/roses.html"], lambda: cut_connection(backend))
    outcome = train_once(host)
    assert outcome.success
    assert outcome.run.steps.count() == outcome.pages
    assert connection.connection.info.backend_pid != backend


def test_a_real_restart_of_postgres_in_mid_run_loses_nothing(shared_ollama: RunningOllama):
    # Below this installation's data, where also the user of a server that root starts may go.
    folder = Path(tempfile.mkdtemp(prefix="restarted-", dir=data_dir()))
    environment = {**os.environ, "OLLAMA_HOST": shared_ollama.address, "LOG_LEVEL": "ERROR"}
    command = [sys.executable, "-m", "tests.pipeline.restarted", str(folder), "run"]
    try:
        ended = subprocess.run(command, cwd=BASE_DIR, env=environment, capture_output=True, text=True, timeout=120)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == {
        "restarted": True,
        "through": [True, "", True],
        "after": [True, ""],
        "outcomes": 2,
    }


def test_postgres_gone_between_two_statements_of_the_preparation_is_waited_for(host: Host, ollama: RunningOllama):
    cut = []

    def wrapper(execute, sql, params, many, context):
        if "memory_items" in sql and not cut:
            cut.append(connection.connection.info.backend_pid)
            cut_connection(cut[0])
        return execute(sql, params, many, context)

    with connection.execute_wrapper(wrapper):
        outcome = train_once(host)
    assert cut
    assert outcome.success


def test_what_postgres_refuses_is_not_tried_again():
    tries = []

    def write() -> None:
        tries.append(1)
        ModelTag.objects.create(role="controller", name="same", digest="d", base="b", recipe_digest="r", status="x")
        ModelTag.objects.create(role="controller", name="same", digest="d", base="b", recipe_digest="r", status="x")

    with pytest.raises(IntegrityError):
        patiently(write)
    assert len(tries) == 1


def test_a_write_is_tried_again_on_a_new_connection():
    connection.ensure_connection()
    backend = connection.connection.info.backend_pid
    cut_connection(backend)
    assert patiently(lambda: TrainingSource.objects.count()) == 0
    assert connection.connection.info.backend_pid != backend
    assert connection.connection.pgconn.status == psycopg.pq.ConnStatus.OK
