"""`manage.py run_task "…" --host …`: runs one standard task and waits for its answer."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from lealife.core.actors import command_line
from lealife.core.errors import Refused
from lealife.core.gateway import ModelError
from lealife.embedded.ollama_process import ensure_ollama
from lealife.pipeline.execution import execute_run
from lealife.pipeline.launching import ask
from lealife.pipeline.pool import get_pool
from lealife.pipeline.stages import worker_name
from promotion.tags import ensure_base_tags
from training.models import Run
from training.runs import begin_run, claim_queued_run, fail_lapsed_runs
from training.tasks import bind_answer, check_prompt, find_host

WAIT_S = 300


class Command(BaseCommand):
    help = "Answers a question about a website, with quoted evidence and the pages visited."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("prompt", help="What to find out.")
        parser.add_argument("--host", default=None, help="Name or address of a host that exists in admin.")
        parser.add_argument("--pages", type=int, default=None, help="Pages target.")
        parser.add_argument(
            "--answer-schema", default="", help="JSON schema that the answer is written to, or the file that holds it."
        )
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            find_host(options["host"], prompt=check_prompt(options["prompt"]))
            ensure_ollama()
            ensure_base_tags(server=get_pool(), base=settings.LEALIFE_BASE_MODEL)
            run = ask(
                prompt=options["prompt"],
                host=options["host"],
                check_spec=bind_answer(None, answer_schema=read_schema(options["answer_schema"])),
                pages_target=options["pages"],
                by=command_line("cli"),
            )
        except (Refused, ModelError, RuntimeError) as error:
            raise CommandError(str(error)) from error
        run = self.finish(run)
        self.stdout.write(json.dumps(describe(run), indent=None if options["json"] else 2, ensure_ascii=False))
        if run.status != Run.Status.SUCCEEDED:
            raise CommandError(f"{run.error_code}: {run.error}")

    def finish(self, run: Run) -> Run:
        """Executes the run in this process, unless a worker has taken it, and waits until it has ended."""
        ends = time.monotonic() + WAIT_S
        while time.monotonic() < ends:
            # Without workers, no other process frees the slots of runs whose lease has lapsed.
            fail_lapsed_runs(now=timezone.now())
            claim_queued_run(now=timezone.now())
            run.refresh_from_db()
            if run.status == Run.Status.CLAIMED and not run.claimed_by:
                try:
                    execute_run(begin_run(run=run, worker=worker_name(), now=timezone.now()))
                except Refused:
                    continue
            if run.status in Run.TERMINAL:
                return run
            time.sleep(0.2)
        raise CommandError(f"Run {run.pk} did not finish within {WAIT_S} s; a worker may still finish it.")


def read_schema(given: str) -> dict[str, Any] | None:
    """The JSON schema that is given as it is or by the name of its file; None when nothing is. Raises CommandError."""
    if not given:
        return None
    try:
        text = given if given.lstrip().startswith("{") else Path(given).read_text()
        schema: dict[str, Any] = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise CommandError(f"The answer schema cannot be read: {error}") from None
    return schema


def describe(run: Run) -> dict[str, Any]:
    """The run in short, with the API's names."""
    return {
        "id": run.pk,
        "status": run.status,
        "answer": run.given_answer,
        "answer_state": run.answer_state,
        "answer_score": run.answer_score,
        "is_quoted": run.is_quoted,
        "draft": run.draft,
        "quotes": run.quotes,
        "pages": [{"url": step.final_url or step.url, "title": step.title} for step in run.steps.order_by("index")],
        "controller": {"tag": run.controller_tag, "digest": run.served_controller_digest},
        "task": {"tag": run.task_tag, "digest": run.served_task_digest},
        "recalled": run.memories,
        "error_code": run.error_code,
    }
