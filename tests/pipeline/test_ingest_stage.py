"""The ingest stage: an outcome that cannot be ingested holds up no other."""

from __future__ import annotations

import pytest
from django.utils import timezone

from lealife import pipeline
from learning.ingest import ingest_outcome, read_backlog
from learning.models import RunLearningOutcome
from tests.factories import make_host, make_outcome
from training.runtime_settings import apply_settings


@pytest.mark.django_db
def test_an_outcome_that_cannot_be_ingested_holds_up_no_other(monkeypatch):
    apply_settings(changes={"recent_host_window": 0}, version=None, by="ada", origin="test")
    poisoned, sound = (make_outcome(make_host(name=f"host {n}", base_url=f"http://h{n}.test/")) for n in range(2))

    def ingest_unless_poisoned(*, outcome_id, now, error=""):
        if outcome_id == poisoned.pk and not error:
            raise ValueError("no reading of this page ends well")
        return ingest_outcome(outcome_id=outcome_id, now=now, error=error)

    monkeypatch.setattr(pipeline, "ingest_outcome", ingest_unless_poisoned)
    while pipeline.STAGES["ingest"].work(timezone.now()):
        pass
    ingests = {ingest.outcome_id: ingest for ingest in RunLearningOutcome.objects.all()}
    assert ingests[sound.pk].error == ""
    assert ingests[poisoned.pk].error == "ValueError: no reading of this page ends well"
    assert ingests[poisoned.pk].items_written == 0
    assert read_backlog() == 0
