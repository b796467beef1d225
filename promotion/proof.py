"""Served-digest proof: do the latest live outcomes carry the digest that routing claims?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet

from lealife.lib.kept_queries import KeptQuery
from lealife.lib.statements import run_statement
from promotion.models import LiveApply, Role
from promotion.routing import Routing, read_routing
from training.models import Run

# Live outcomes that must carry the digest before the proof is green.
NEEDED = 3
# A switch commits a moment after the time it bears: a run that began in between may rightly claim the old tag.
COMMIT_WITHIN = timedelta(seconds=5)
LOOKED_AT = 20
GREEN, AMBER, RED, UNKNOWN = "green", "amber", "red", "unknown"
_ORDER = (RED, UNKNOWN, AMBER, GREEN)


@dataclass(frozen=True, slots=True)
class RoleProof:
    """One role: what routing claims, and what the last live outcomes were served with."""

    role: str
    tag: str
    digest: str
    expected_since: datetime | None
    checked: int
    matching: int
    needed: int
    state: str
    sentence: str
    wrong_outcome_id: int | None = None


@dataclass(frozen=True, slots=True)
class ServedProof:
    """Both roles, and the worse of the two as the whole."""

    roles: tuple[RoleProof, ...]
    state: str
    sentence: str


def read_served_proof(*, routing: Routing | None = None, applies: Mapping[str, LiveApply] | None = None) -> ServedProof:
    """Green only when every role's latest outcomes carry the claimed digest.

    Pass the routing and each role's newest live apply when they have been read. One query with both.
    """
    routing = routing or read_routing()
    applies = read_last_applies() if applies is None else applies
    claimed = ((Role.CONTROLLER, routing.controller), (Role.TASK, routing.task))
    since = {
        role: applies[role].applied_at if role in applies else tag.created_at
        for role, tag in claimed
        if tag is not None
    }
    served = _read_served(since=since, applies=applies)
    roles = tuple(
        judge_role(role=role, tag=tag.name, digest=tag.digest, since=since[role], served=served[role])
        if tag is not None
        else RoleProof(role, "", "", None, 0, 0, NEEDED, UNKNOWN, f"No active {role} tag yet.")
        for role, tag in claimed
    )
    worst = min(roles, key=lambda proof: _ORDER.index(proof.state))
    return ServedProof(roles=roles, state=worst.state, sentence=worst.sentence)


def read_last_applies() -> dict[str, LiveApply]:
    """Each role's newest live apply, with its tags. One query."""
    return {apply.role: apply for apply in _LAST_APPLIES.read()}


def _select_last_applies() -> QuerySet[LiveApply]:
    return LiveApply.objects.order_by("role", "-id").distinct("role").select_related("from_tag", "to_tag")


_LAST_APPLIES = KeptQuery(_select_last_applies)
# Runs that began before the switch were promised the old tag; they prove nothing either way. A run that never reached
# the model was served by nothing.
_SERVED = " UNION ALL ".join(
    f"""
    (SELECT '{role}', outcome.id, outcome.served_{role}_digest
        FROM training_outcomes AS outcome JOIN training_run AS run ON run.id = outcome.run_id
        WHERE outcome.lane = '{Run.Lane.TRAINING}' AND outcome.id > %({role}_after)s::bigint
            AND run.started_at >= %({role}_since)s::timestamptz
            AND (run.{role}_digest IS DISTINCT FROM %({role}_old)s::text
                OR run.started_at >= %({role}_since)s::timestamptz + %(commit_within)s::interval)
            AND outcome.served_{role}_digest <> ''
        ORDER BY outcome.id DESC LIMIT {LOOKED_AT})
    """  # noqa: S608  constants of our own, and placeholders
    for role in Role
)


def _read_served(
    *, since: Mapping[str, datetime], applies: Mapping[str, LiveApply]
) -> dict[str, list[tuple[int, str]]]:
    """By role, (outcome, served digest) of the newest live outcomes since its switch, newest first. One query."""
    served: dict[str, list[tuple[int, str]]] = {role: [] for role in since}
    values: dict[str, Any] = {"commit_within": COMMIT_WITHIN}
    for role in Role:
        last = applies.get(role)
        values[f"{role}_since"] = since.get(role)
        values[f"{role}_after"] = last.after_outcome_id if last else 0
        values[f"{role}_old"] = last.from_digest if last else None
    rows = run_statement(_SERVED, values) if since else []
    for role, outcome, digest in sorted(rows, key=lambda row: -row[1]):
        served[role].append((outcome, digest))
    return served


def judge_role(*, role: str, tag: str, digest: str, since: datetime | None, served: list[tuple[int, str]]) -> RoleProof:
    """Pure: (outcome, served digest) pairs, newest first, against the digest that routing claims."""
    wrong = next((outcome for outcome, found in served if found != digest), None)
    matching = sum(found == digest for _, found in served)
    if wrong is not None:
        state = RED
        sentence = f"Outcome {wrong} was not served by {tag}: its digest is another than {digest[:19]}."
    elif matching >= NEEDED:
        state, sentence = GREEN, f"The last {matching} live outcomes were served by {tag}, {digest[:19]}."
    else:
        state = AMBER
        sentence = f"{matching} of {NEEDED} live outcomes carry the digest of {tag} so far."
    return RoleProof(role, tag, digest, since, len(served), matching, NEEDED, state, sentence, wrong)
