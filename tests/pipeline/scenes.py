"""What the pipeline's tests do: queue a source, ring, and look at the outcome."""

from __future__ import annotations

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

from django.db import connection
from django.utils import timezone

from lealife.core.actors import command_line
from lealife.pipeline.stages import drain, launch_training
from tests.training.agent.sites import GARDEN, Stub
from training.models import Host, TrainingOutcome, TrainingSource
from training.sources import queue_source

PASSAGE = "pruned in late winter"


def build_garden() -> dict[str, Stub | bytes]:
    """A small real website: an index and three pages."""
    return dict(GARDEN)


def interrupt(body: Stub | bytes, happening: Callable[[], None]) -> Stub:
    """The page, served once `happening` is over: something that happens in the middle of a run."""
    assert isinstance(body, bytes)

    def send(request: BaseHTTPRequestHandler) -> None:
        try:
            happening()
        finally:
            connection.close()
        request.wfile.write(body)

    return Stub(headers={"Content-Length": str(len(body))}, send=send)


def queue_question(host: Host, *, title: str = "Roses") -> TrainingSource:
    """A question that the garden's page on roses answers, and no other."""
    return queue_source(
        title=title,
        prompt=f"Which page says “{PASSAGE}”?",
        host=host,
        check_spec={"expected_urls": [f"{host.base_url}roses.html"]},
        pages_target=None,
        queued_from="tests",
        by=command_line("tests"),
    )


def train_once(host: Host) -> TrainingOutcome:
    """Queues a question, claims it and answers the bell: the outcome it leaves."""
    source = queue_question(host)
    assert launch_training(timezone.now()) == 1
    assert drain("execute") == 1
    return TrainingOutcome.objects.get(source=source)
