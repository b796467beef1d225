"""One real row of every model, and staff to look at them."""

from __future__ import annotations

import zlib

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db.models import Model
from django.test import Client
from django.utils import timezone

from lealife.core.actors import command_line
from lealife.core.digest import digest_bytes
from lealife.keys import create_api_key
from lealife.models import IdempotentAnswer, WrongKeys
from learning import models as learned
from promotion import models as trusted
from promotion.recipes import base_recipe
from training import models as happened
from training.audit import record_audit
from training.campaigns import create_campaign
from training.coordinator import read_coordinator
from training.definitions import save_definition
from training.runtime_settings import apply_settings, read_settings

APPS = ("training", "learning", "promotion", "lealife")
MODELS = [model for label in APPS for model in apps.get_app_config(label).get_models()]


@pytest.fixture
def superuser(db: None) -> User:
    """Somebody who may do all that anybody may."""
    return User.objects.create_superuser("ada")


@pytest.fixture
def staff(superuser: User) -> Client:
    """A browser in which the superuser is signed in."""
    client = Client()
    client.force_login(superuser)
    return client


@pytest.fixture
def host(db: None) -> happened.Host:
    """An enabled host."""
    return make_host()


@pytest.fixture
def rows(host: happened.Host) -> dict[type[Model], Model]:
    """One row of every model."""
    return make_rows(host)


def make_host() -> happened.Host:
    return happened.Host.objects.create(name="manual", base_url="http://127.0.0.1:9/", may_be_private=True)


def make_rows(host: happened.Host) -> dict[type[Model], Model]:
    """One row of every model, joined as the product joins them."""
    body = b"<html><title>queue</title></html>"
    snapshot = happened.PageSnapshot.objects.create(
        digest=digest_bytes(body), media_type="text/html", size=len(body), body_zlib=zlib.compress(body)
    )
    create_campaign(
        title="Queues",
        prompt="Which page explains queues?",
        host=host,
        check_spec={},
        pages_target=None,
        size=1,
        queued_from="admin",
        by=command_line("ada"),
    )
    save_definition(
        changes={"title": "Prices of queues", "prompt": "Which page names it?", "host": host},
        by=command_line("ada"),
        origin="admin",
    )
    run, outcome = _make_outcome(host, snapshot)
    _make_memory(host, snapshot, outcome)
    happened.OperatorVerdict.objects.create(run=run, right=True, by="ada", origin="tests")
    _make_promotion(host, snapshot, run)
    happened.OutcomeSeal.objects.create(row=1, outcome=outcome, previous_hash="0" * 64, hash="a" * 64)
    happened.ChainAnchor.objects.create(rows=1, hash="a" * 64)
    happened.ChainCheck.objects.create(verified_rows=1, last_hash="a" * 64)
    happened.HostTurn.objects.create(origin="127.0.0.1:9")
    happened.ModelServerFault.objects.create(host="http://127.0.0.1:9", at=timezone.now())
    happened.WorkerHeartbeat.objects.create(name="worker-1", last_beat_at=timezone.now())
    happened.CounterSlot.objects.get_or_create(name="outcomes.total", slot=0)
    apply_settings(changes={"retry_budget": 7}, version=read_settings().version, by=command_line("ada"), origin="admin")
    read_coordinator()
    record_audit(actor="ada", origin="tests", action="look")
    create_api_key(name="cron", scope="read", by=command_line("ada"), origin="cli")
    WrongKeys.objects.create(address="203.0.113.9", minute=timezone.now(), count=3)
    IdempotentAnswer.objects.create(caller="key:cron", path="/api/tasks", key="1", body_digest="0" * 64, status=202)
    return {model: model._default_manager.order_by("pk").first() for model in MODELS}


def _make_outcome(
    host: happened.Host, snapshot: happened.PageSnapshot
) -> tuple[happened.Run, happened.TrainingOutcome]:
    source = happened.TrainingSource.objects.get()
    run = _make_run(host, lane="training")
    happened.Step.objects.create(
        run=run, index=0, url=host.base_url, status_code=200, snapshot=snapshot, picked_by="start"
    )
    cycle = happened.TrainingCycle.objects.create(source=source, run=run, status="succeeded")
    outcome = happened.TrainingOutcome.objects.create(
        cycle=cycle, run=run, source=source, host=host, lane=run.lane, success=True, verifier="quotes"
    )
    return run, outcome


def _make_run(host: happened.Host, *, lane: str) -> happened.Run:
    return happened.Run.objects.create(
        lane=lane, status="succeeded", host=host, prompt="Which page?", pages_target=1, max_calls=5
    )


def _make_memory(host: happened.Host, snapshot: happened.PageSnapshot, outcome: happened.TrainingOutcome) -> None:
    item = learned.MemoryItem.objects.create(
        host=host,
        kind="page",
        key="k",
        status="trusted",
        url=host.base_url,
        title="queue",
        first_outcome=outcome,
    )
    learned.MemoryEvidence.objects.create(item=item, outcome=outcome, url=host.base_url)
    learned.RunLearningOutcome.objects.create(outcome=outcome, success=True, items_written=1)
    learned.FrontierPage.objects.create(host=host, url=host.base_url, url_digest="u", snapshot=snapshot)
    learned.MissingPage.objects.create(host=host, digest="d", asked_at=host.created_at)
    page = learned.IndexedPage.objects.create(host=host, url=f"{host.base_url}a", url_digest="u", content_hash="c")
    learned.IndexedPassage.objects.create(page=page, host=host, place=0, text="A text.", terms=["text"])
    learned.TermCount.objects.create(host=host, term="text", passages=1)
    learned.HostIndex.objects.create(host=host, passages=1)
    learned.VectorModel.objects.create(name="all-minilm:latest", digest="sha256:1")
    learned.CurriculumTask.objects.create(
        host=host,
        split="evaluation",
        expected_url=host.base_url,
        page_digest="u",
        passage="p",
        prompt="Which?",
    )


def _make_promotion(host: happened.Host, snapshot: happened.PageSnapshot, run: happened.Run) -> None:
    recipe = base_recipe(role="controller", base="b").to_json()
    baseline = trusted.ModelTag.objects.create(
        role="controller",
        name="controller:1",
        digest="sha256:1",
        base="b",
        recipe=recipe,
        recipe_digest="1",
        status="retired",
    )
    candidate = trusted.ModelTag.objects.create(
        role="controller", name="controller:2", digest="sha256:2", base="b", recipe=recipe, recipe_digest="2",
        status="active",
        parent=baseline,
    )  # fmt: skip
    window = trusted.PromotionWindow.objects.create(number=1, watermark=0, size=30, attempts_before=0, state="applied")
    freeze = trusted.PageFreeze.objects.create(memory_digest="m")
    trusted.FrozenPage.objects.create(freeze=freeze, url_digest="u", url=host.base_url, snapshot=snapshot)
    evaluation = trusted.Evaluation.objects.create(
        window=window, candidate=candidate, candidate_digest="sha256:2", baseline=baseline,
        baseline_digest="sha256:1", candidate_number=1, alpha=0.05, pair_budget=60, seed=1, freeze=freeze,
        settings_digest="s", verdict="promote",
    )  # fmt: skip
    trusted.EvaluationTask.objects.create(evaluation=evaluation, index=0, task=learned.CurriculumTask.objects.get())
    arms = [
        trusted.EvaluationArm.objects.create(inputs_digest=name, run=_make_run(host, lane="evaluation"), success=True)
        for name in ("one", "two")
    ]
    trusted.GateDrill.objects.create(kind="clone", role="controller", requested_by="someone")
    trusted.PairWork.objects.create(evaluation=evaluation, index=1, worker="one", lease_until=timezone.now())
    trusted.EvaluationPair.objects.create(
        evaluation=evaluation,
        index=0,
        candidate_arm=arms[0],
        baseline_arm=arms[1],
        candidate_first=True,
        result="tie",
    )
    canary = trusted.Canary.objects.create(
        evaluation=evaluation, role="controller", share_percent=20, min_observations=20,
        deadline_at=timezone.now(), first_outcome_id=0, state="passed",
    )  # fmt: skip
    apply = trusted.LiveApply.objects.create(
        role="controller", from_tag=baseline, from_digest="sha256:1", to_tag=candidate, to_digest="sha256:2",
        canary=canary, applied_by="gate", reason="It won.",
    )  # fmt: skip
    watch = trusted.Watch.objects.create(
        apply=apply, role="controller", share_percent=10, wanted_observations=20, deadline_at=timezone.now(),
        opened_at=timezone.now(),
    )  # fmt: skip
    trusted.WatchedRun.objects.create(watch=watch, run=run, held_back=True)
    measurement = trusted.ReserveMeasurement.objects.create(
        apply=apply, beside=baseline, freeze=freeze, task_ids=[], state="measured"
    )
    trusted.reserve.ReservePair.objects.create(
        measurement=measurement, task=learned.CurriculumTask.objects.get(), before_arm=arms[1], after_arm=arms[0],
        result="tie",
    )  # fmt: skip
