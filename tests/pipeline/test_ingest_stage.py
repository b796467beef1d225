"""The ingest stage: an outcome that cannot be ingested holds up no other."""

from __future__ import annotations

import pytest
from django.utils import timezone

from lealife.core.actors import command_line
from lealife.pipeline import stages
from learning import ingest
from learning.ingest import read_backlog
from learning.lessons import draw_lessons
from learning.models import RunLearningOutcome
from tests.factories import make_host, make_outcome, make_step
from training.runtime_settings import apply_settings


@pytest.mark.django_db
def test_an_outcome_that_cannot_be_ingested_does_not_delay_others(monkeypatch):
    apply_settings(changes={"recent_host_window": 0}, version=None, by=command_line("ada"), origin="test")
    poisoned, sound = (make_outcome(host, steps=[make_step(url=host.base_url)]) for host in (make_host(), make_host()))

    def draw_unless_poisoned(outcome, visits, *, vouched):
        if outcome == poisoned:
            raise ValueError("no reading of this page ends well")
        return draw_lessons(outcome, visits, vouched=vouched)

    monkeypatch.setattr(ingest, "draw_lessons", draw_unless_poisoned)
    while stages.STAGES["ingest"].work(timezone.now()):
        pass
    ingests = {ingest.outcome_id: ingest for ingest in RunLearningOutcome.objects.all()}
    assert ingests[sound.pk].error == ""
    assert ingests[poisoned.pk].error == "ValueError: no reading of this page ends well"
    assert ingests[poisoned.pk].items_written == 0
    assert read_backlog() == 0
