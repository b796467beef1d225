"""`manage.py worker`: the django-q2 cluster, with a shutdown that lets loops end at their next turn."""

from __future__ import annotations

import gc
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django_q.cluster import Cluster

import lealife.pipeline.stages  # noqa: F401  before the workers are forked, so that they share its memory
from lealife.pipeline.bell import ensure_schedule, ring_coordinator
from lealife.pipeline.draining import start_draining
from training.runtime_settings import read_settings


class DrainingCluster(Cluster):
    """A cluster that, on SIGTERM, first stops its workers from starting new work."""

    def sig_handler(self, signum: int, frame: Any) -> None:
        """Sets the flag that workers inherited, then stops the cluster as usual."""
        start_draining()
        super().sig_handler(signum, frame)


class Command(BaseCommand):
    help = "Runs the queue's workers: they execute runs, learn, evaluate, and lead the training loop."

    def handle(self, *args: Any, **options: Any) -> None:
        wanted = read_settings().global_max_concurrent_runs + 2
        if wanted > settings.WORKERS:
            self.stderr.write(
                f"There are {settings.WORKERS} workers for {wanted - 2} concurrent runs, so slow runs may keep the "
                f"loop from ticking. Set LEALIFE_WORKERS={wanted} or more, unless other machines run workers too."
            )
        ensure_schedule()
        ring_coordinator()
        # What is loaded by now stays for good. Garbage collection would copy its pages into each worker.
        gc.collect()
        gc.freeze()
        DrainingCluster().start()
