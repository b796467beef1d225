"""`manage.py worker`: the django-q2 cluster, with a shutdown that lets loops end at their next turn."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django_q.cluster import Cluster

from lealife.bell import ensure_schedule, ring_coordinator
from lealife.draining import start_draining


class DrainingCluster(Cluster):
    """A cluster whose SIGTERM first tells its workers to begin nothing new."""

    def sig_handler(self, signum: int, frame: Any) -> None:
        """Sets the flag that workers inherited, then stops the cluster as usual."""
        start_draining()
        super().sig_handler(signum, frame)


class Command(BaseCommand):
    help = "Runs the queue's workers: they execute runs, learn, evaluate, and lead the training loop."

    def handle(self, *args: Any, **options: Any) -> None:
        ensure_schedule()
        ring_coordinator()
        DrainingCluster().start()
