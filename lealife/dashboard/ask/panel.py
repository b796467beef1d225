"""New task: the tags that will answer a question, and what is known about the hosts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from lealife.dashboard.ask.hosts import HostFacts, read_host_facts
from lealife.dashboard.candidates.tags import TagView, view_tag
from lealife.dashboard.runs.listing import RunRow, read_recent_runs
from lealife.run_actions import find_run
from promotion.routing import read_routing
from training.models import Run
from training.runtime_settings import read_settings

RECENT = 5


@dataclass(frozen=True, slots=True)
class TaskPage:
    """The panels next to the form of `/tasks/new/`; a tag is None before the first contact with the model server."""

    controller: TagView | None
    task: TagView | None
    hosts: tuple[HostFacts, ...]
    recent: tuple[RunRow, ...]
    pages_target: int
    max_calls: int


def read_task_page() -> TaskPage:
    """Four queries: tags, hosts, recent questions, settings."""
    routing, settings = read_routing(), read_settings()
    return TaskPage(
        controller=view_tag(routing.controller),
        task=view_tag(routing.task),
        hosts=read_host_facts(),
        recent=read_recent_runs(limit=RECENT, lane=Run.Lane.STANDARD),
        pages_target=settings.default_pages_target,
        max_calls=settings.controller_max_calls,
    )


def read_like(run_id: int) -> dict[str, Any]:
    """The form's values for a task like that of a run. One query. Raises NotFound."""
    run = find_run(run_id)
    schema = run.check_spec.get("json_schema")
    return {
        "prompt": run.prompt,
        "host": run.host_id,
        "expected_text": run.check_spec.get("expected_text", ""),
        "expected_url": next(iter(run.check_spec.get("expected_urls", ())), ""),
        "pages_target": run.pages_target,
        "answer_schema": json.dumps(schema, indent=2, ensure_ascii=False) if schema else "",
    }
