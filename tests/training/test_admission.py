"""Held-out questions are never trained on, by whatever door they come."""

from __future__ import annotations

from threading import Event

import pytest
from django.db import transaction

from lealife.core.actors import command_line
from lealife.core.errors import Conflict
from lealife.run_actions import judge_run
from learning.curriculum.tasks import split_of
from learning.models import CurriculumTask
from training.campaigns import create_campaign, requeue_failed
from training.definitions import queue_definition, save_definition
from training.models import Host, Run, TrainingSource
from training.sources import correct_source, enable_source, queue_source, requeue_source

ADA = command_line("ada")
BY = {"by": ADA, "origin": "page"}
PROMPT = "When are roses pruned?"


def task(host: Host, **changes: object) -> dict:
    values = {"title": "", "prompt": PROMPT.upper(), "host": host, "check_spec": None, "pages_target": None}
    return values | {"queued_from": "api", "by": ADA} | changes


def judge_right(host: Host) -> None:
    """A person finds an answer right whose page is held out."""
    url = next(url for n in range(99) if split_of(url := f"{host.base_url}page{n}") == "evaluation")
    run = Run.objects.create(
        host=host, pages_target=1, max_calls=5, lane="standard", status="succeeded", prompt=PROMPT, answer="In winter.",
        quotes=[{"text": "In winter.", "url": url, "digest": "d"}],
    )  # fmt: skip
    judge_run(run_id=run.pk, right=True, **BY)


def test_no_door_lets_a_held_out_question_in(host: Host) -> None:
    waiting = queue_source(**task(host, prompt="Something else"))
    judge_right(host)
    changes = {"title": "Roses", "prompt": PROMPT, "host": host.name}
    definition = save_definition(changes=changes, **BY)
    waiting.prompt = PROMPT
    for queue in (
        lambda: queue_source(**task(host)),
        lambda: create_campaign(**task(host), size=2),
        lambda: queue_definition(definition_id=definition.pk, queued_from="api", by=ADA),
        lambda: queue_definition(definition_id=definition.pk, size=2, queued_from="api", by=ADA),
        lambda: correct_source(source=waiting, fields=["prompt"], **BY),
    ):
        with pytest.raises(Conflict, match="held out") as refused:
            queue()
        assert refused.value.details == {"field": "prompt"}
    assert list(TrainingSource.objects.values_list("prompt", flat=True)) == ["Something else"]
    # Of another host it is another question.
    assert queue_source(**task(Host.objects.create(name="park", base_url="http://127.0.0.1:9/2/")))


def test_a_verdict_waits_for_a_question_that_is_being_queued(host: Host, race) -> None:
    queued, judged = Event(), Event()

    def queue() -> bool:
        with transaction.atomic():
            queue_source(**task(host))
            queued.set()
            return judged.wait(timeout=1)

    def judge() -> None:
        queued.wait(timeout=10)
        judge_right(host)
        judged.set()

    assert race(queue, judge) == [False, None]
    assert TrainingSource.objects.count() == 1 and not CurriculumTask.objects.exists()


def test_a_question_that_is_held_out_by_now_is_not_queued_again(host: Host) -> None:
    source, campaign = queue_source(**task(host)), create_campaign(**task(host), size=2)
    TrainingSource.objects.update(status="disabled")
    done = queue_source(**task(host))
    TrainingSource.objects.filter(pk=done.pk).update(status="done")
    url = next(url for n in range(99) if split_of(url := f"{host.base_url}page{n}") == "reserve")
    CurriculumTask.objects.create(
        host=host, split="reserve", expected_url=url, page_digest="d", passage="p", prompt=PROMPT
    )
    for again in (
        lambda: enable_source(source_id=source.pk, **BY),
        lambda: requeue_source(source_id=done.pk, **BY),
        lambda: requeue_failed(campaign_id=campaign.pk, **BY),
    ):
        with pytest.raises(Conflict, match="held out"):
            again()
    assert not TrainingSource.objects.filter(status="pending").exists()
