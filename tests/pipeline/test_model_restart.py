"""A model server that is restarted in the middle of training: no host is blamed, and nobody has to help."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.utils import timezone

from lealife.pipeline.launching import launch_training
from lealife.pipeline.pool import get_pool
from lealife.pipeline.stages import drain
from promotion.tags import restore_tags
from tests.embedded.ollama_process import RunningOllama, start_ollama
from tests.pipeline.scenes import interrupt, train_once
from tests.pipeline.test_supervisor import is_listening, wait_until
from training.models import Host, TrainingOutcome, TrainingSource
from training.outcomes import RETRY_AFTER

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.model]


def test_a_model_server_restarted_in_mid_run_costs_the_source_nothing(
    host: Host, pages, own_ollama: RunningOllama, tmp_path
):
    page, port = pages["/"], urlsplit(own_ollama.address).port

    def end_ollama() -> None:
        own_ollama.process.kill()
        own_ollama.process.wait(10)

    pages["/"] = interrupt(page, end_ollama)
    outcome = train_once(host)
    assert outcome.error_code == "model_unavailable"
    source = TrainingSource.objects.get()
    assert (source.status, source.failed_attempts) == ("pending", 0)
    # It rests, then it is tried again on the server that has come back with the same tags.
    assert launch_training(timezone.now()) == 0
    pages["/"] = page
    again = start_ollama(tmp_path / "ollama", "--port", str(port))
    try:
        wait_until(lambda: is_listening(port), seconds=30)
        assert restore_tags(server=get_pool()) == []
        assert launch_training(timezone.now() + RETRY_AFTER["queue"] + timedelta(seconds=1)) == 1
        assert drain("execute") == 1
    finally:
        again.terminate()
        again.communicate(timeout=10)
    source.refresh_from_db()
    assert (source.status, source.failed_attempts) == ("done", 0)
    assert list(TrainingOutcome.objects.order_by("id").values_list("error_code", flat=True)) == [
        "model_unavailable",
        "",
    ]
