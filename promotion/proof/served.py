"""Served-digest proof: do the latest live outcomes carry the digest that routing claims?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import QuerySet

from lealife.core.kept_queries import KeptQuery
from lealife.core.statements import run_statement
from promotion.models import LiveApply, Role
from promotion.routing import Routing, read_routing
from training.models import Run

# Live outcomes that must carry the digest before the proof is green.
NEEDED = 3
# A switch commits a moment after the time it bears: a run that began in between may rightly claim the old tag.
COMMIT_WITHIN = timedelta(seconds=5)
LOOKED_AT = 20
GREEN, AMBER, RED, UNKNOWN = "green", "amber", "red", "unknown"
# What a run records when its servers, or its beginning and its end, disagree about a tag; and when none has it.
MIXED, MISSING = "mixed", "missing"
_ORDER = (RED, UNKNOWN, AMBER, GREEN)


class Served(NamedTuple):
    """What answered a live outcome, empty when it asked no model; `held_back` when it was promised the previous tag."""

    outcome_id: int
    digest: str
    held_back: bool = False


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
        judge_role(
            role=role,
            tag=tag.name,
            digest=tag.digest,
            since=since[role],
            served=served[role],
            before=_name_previous(applies.get(role)),
        )
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
# Runs that began before the switch were promised the old tag; they prove nothing either way, unless they were held
# back for it: those say so themselves, however early they began. A run that asked no model has no served digest. Each
# run is looked up from its outcome, newest first, until there are enough: joined freely, a planner that expects few to
# match reads all since the switch.
_SERVED = " UNION ALL ".join(
    f"""
    (SELECT '{role}', outcome.id, outcome.served_{role}_digest, run.was_held
    FROM training_outcomes AS outcome CROSS JOIN LATERAL (
        SELECT {role}_digest AS promised, started_at, EXISTS (
            SELECT FROM promotion_watchedrun AS watched JOIN promotion_watch AS watch ON watch.id = watched.watch_id
            WHERE watched.run_id = training_run.id AND watched.held_back AND watch.apply_id = %({role}_apply)s::bigint
        ) AS was_held
        FROM training_run WHERE id = outcome.run_id LIMIT 1
    ) AS run
    WHERE outcome.lane = '{Run.Lane.TRAINING}' AND outcome.id > %({role}_after)s::bigint
        AND run.started_at >= %({role}_since)s::timestamptz
        AND (run.was_held OR run.promised IS DISTINCT FROM %({role}_old)s::text
            OR run.started_at >= %({role}_since)s::timestamptz + %(commit_within)s::interval)
    ORDER BY outcome.id DESC LIMIT {LOOKED_AT})
    """  # noqa: S608  constants of our own, and placeholders
    for role in Role
)


def _name_previous(last: LiveApply | None) -> tuple[str, str]:
    return (last.from_tag.name, last.from_digest) if last is not None and last.from_tag is not None else ("", "")


def _read_served(*, since: Mapping[str, datetime], applies: Mapping[str, LiveApply]) -> dict[str, list[Served]]:
    """By role, what served the newest live outcomes since its switch, newest first. One query."""
    served: dict[str, list[Served]] = {role: [] for role in since}
    values: dict[str, Any] = {"commit_within": COMMIT_WITHIN}
    for role in Role:
        last = applies.get(role)
        values[f"{role}_since"] = since.get(role)
        values[f"{role}_apply"] = last.pk if last else None
        values[f"{role}_after"] = last.after_outcome_id if last else 0
        values[f"{role}_old"] = last.from_digest if last else None
    rows = run_statement(_SERVED, values) if since else []
    for role, *row in sorted(rows, key=lambda row: -row[1]):
        served[role].append(Served(*row))
    return served


def judge_role(
    *,
    role: str,
    tag: str,
    digest: str,
    since: datetime | None,
    served: Sequence[Served | tuple[int, str]],
    before: tuple[str, str] = ("", ""),
) -> RoleProof:
    """Pure: what served the outcomes, newest first, against the digest that routing claims.

    `before` is the name and digest of the tag before the last switch: runs held back for it are right when it served
    them, and prove nothing about the tag in charge.
    """
    rows = [Served(*row) for row in served]
    asked = [row for row in rows if row.digest]
    counted = [row for row in asked if not row.held_back]
    wrong = next((row for row in asked if row.digest != (before[1] if row.held_back else digest)), None)
    matching = sum(row.digest == digest for row in counted)
    if wrong is not None:
        state = RED
        promised, other = ((tag, digest), before) if not wrong.held_back else (before, (tag, digest))
        sentence = _name_wrong(wrong, promised=promised, other=other)
    elif not asked:
        state = AMBER
        looked = f"none of the last {len(rows)} live outcomes asked the {role}" if rows else "no live outcome yet"
        sentence = f"Not asked: {looked}; {NEEDED} must carry the digest of {tag}."
    else:
        state = GREEN if matching >= NEEDED else AMBER
        looked = f"{len(asked)} of the last {len(rows)} live outcomes asked the {role}"
        needed = "" if state == GREEN else f"; {NEEDED} are needed"
        sentence = f"{looked}; {matching} carry the digest of {tag}, {digest[:19]}{needed}."
    return RoleProof(
        role, tag, digest, since, len(counted), matching, NEEDED, state, sentence, wrong.outcome_id if wrong else None
    )


def _name_wrong(wrong: Served, *, promised: tuple[str, str], other: tuple[str, str]) -> str:
    """Which outcome it was, and what answered under the promised name."""
    tag, digest = promised
    if wrong.digest == MIXED:
        found = f"the servers of the pool disagree about {tag}, or it was changed during the run"
    elif wrong.digest == MISSING:
        found = "no model server had it"
    elif wrong.digest == other[1]:
        found = f"{other[0]}, {other[1][:19]}, answers under its name"
    else:
        found = f"it was made anew with other content, {wrong.digest[:19]}, or never was this tag"
    return f"Outcome {wrong.outcome_id} was not served by {tag}, {digest[:19]}: {found}."
