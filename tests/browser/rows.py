"""What the rows of the pictures' world are made of."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from lealife.core.digest import digest_bytes, digest_value
from promotion.models import ModelTag, Role
from training.models import Host, Run, Step
from training.runs import keep_snapshot

SITES = ("PostgreSQL manual", "Python documentation", "Django documentation")
TOPICS = ("VACUUM", "partial indexes", "LISTEN", "row locks", "generators", "context managers", "QuerySet.update")
PASSAGE = "Partial indexes are built over a subset of a table; the subset is defined by a conditional expression."
# Blocks of a page, as the agent quotes them: a line each.
BLOCKS = (
    f"{PASSAGE} The index contains entries only for those table rows that satisfy the predicate.",
    "Partial indexes are a specialized feature, but there are several situations in which they are useful.",
    "One major reason for using a partial index is to avoid indexing common values. Since a query searching for a "
    "common value will not use the index anyway, there is no point in keeping those rows in the index at all.",
)
HEADING = "Indexes › Partial Indexes"


@dataclass(frozen=True, slots=True)
class World:
    """What the rows are made of."""

    now: datetime
    chance: random.Random
    hosts: list[Host]
    controllers: list[ModelTag]
    task_tag: ModelTag


def make_run(world: World, *, success: bool, at: datetime, **values: Any) -> Run:
    """A finished run, served by the tags that it names."""
    took = timedelta(milliseconds=1000 + world.chance.randrange(4000))
    digests = {}
    for role in Role:
        if tag := values.get(f"{role}_tag"):
            digests[f"{role}_digest"] = digests[f"served_{role}_digest"] = digest_tag(tag)
    return Run.objects.create(
        **{
            "status": "succeeded" if success else "failed",
            "pages_target": 3,
            "max_calls": 5,
            "duration_ms": took // timedelta(milliseconds=1),
            "verifier": "expected_url" if success else "",
            "created_at": at,
            "started_at": at,
            "finished_at": at + took,
            "prompt_tokens": 310 * values["pages"],
            "cached_tokens": 260 * values["pages"],
            "completion_tokens": 18 * values["pages"],
            **digests,
            **values,
        }
    )


def make_steps(run: Run, *, count: int) -> None:
    """Pages that the run visited, each with its shortlist and a snapshot."""
    base = run.host.base_url
    for index in range(count):
        topic = TOPICS[(run.pk + index) % len(TOPICS)]
        blocks = "".join(f"<p>{block}</p>" for block in BLOCKS)
        body = f"<html><title>{topic}</title><h1>Indexes</h1><h2>Partial Indexes</h2>{blocks}</html>".encode()
        shortlist = [
            {
                "url": f"{base}{name}.html",
                "title": name,
                "score": round(0.9 - 0.2 * place, 2),
                "why": "link" if place else "index",
                "heading": "" if place else HEADING,
                "excerpt": "" if place else "are built over a subset of a table; the subset is defined by",
            }
            for place, name in enumerate(TOPICS[:4])
        ]
        Step.objects.create(
            run=run,
            index=index,
            url=f"{base}{topic}.html",
            final_url=f"{base}{topic}.html",
            title=topic,
            status_code=200,
            snapshot=keep_snapshot(body, digest=digest_bytes(body), media_type="text/html"),
            shortlist=shortlist,
            picked_by="model" if index else "start",
            latency_ms=240 + 30 * index,
            prompt_tokens=310,
            cached_tokens=260,
            completion_tokens=18,
            created_at=run.started_at + timedelta(milliseconds=300 * (index + 1)),
        )


def digest_tag(name: str) -> str:
    """The digest of a tag of this world."""
    return f"sha256:{digest_value(name)}"
