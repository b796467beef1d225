"""The stages that read sites and put the tasks of the curriculum back into the queue."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from lealife.core.actors import system
from lealife.pipeline.reading_stages import is_revive_ready, work_revive
from learning.models import CurriculumTask
from promotion.models import Canary
from tests.factories import make_curriculum_source
from tests.guards import behind_guards
from tests.promotion.scenes import Servers, make_passed_canary
from training.coordinator import start_training
from training.models import Host


@pytest.mark.django_db
def test_an_open_canary_wakes_tasks_that_rest(host: Host) -> None:
    now = timezone.now()
    start_training(by=system("test"), origin="test")
    source = make_curriculum_source(host, status="done", finished_at=now - timedelta(minutes=1))
    CurriculumTask.objects.create(
        host=host, split="train", expected_url="u", page_digest="d", passage="p", prompt="?", source=source,
        streak=CurriculumTask.MASTERED,
    )  # fmt: skip
    canary = make_passed_canary(Servers())
    assert not is_revive_ready(now) and not work_revive(now)
    with behind_guards():
        Canary.objects.filter(pk=canary.pk).update(state=Canary.State.OPEN)
    assert is_revive_ready(now) and work_revive(now)
    source.refresh_from_db()
    assert source.status == "pending"
