"""Served-digest proof: do the latest live outcomes carry the digest that routing claims?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import Exists, OuterRef, Q, Subquery

from promotion.models import LiveApply, ModelTag, Role, WatchedRun
from promotion.routing import Routing, read_routing
from training.models import Run, TrainingOutcome

# Live outcomes that must carry the digest before the proof is green.
NEEDED = 3
# A switch commits a moment after its recorded time: a run that started in between rightly claims the old tag.
COMMIT_WITHIN = timedelta(seconds=5)
LOOKED_AT = 20
GREEN, AMBER, RED, UNKNOWN = "green", "amber", "red", "unknown"
# What a run records when servers disagree about a tag or its digest changed during the run; and when no server has it.
MIXED, MISSING = "mixed", "missing"
_ORDER = (RED, UNKNOWN, AMBER, GREEN)


class Served(NamedTuple):
    """The digest that answered a live outcome, "" when it asked no model; `held_back`: promised the previous tag."""

    outcome_id: int
    digest: str
    held_back: bool = False


@dataclass(frozen=True, slots=True)
class RoleProof:
    """One role: the digest that routing claims, and the digests that served the last live outcomes."""

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

    A caller that has read the routing and each role's newest live apply passes them: two queries with both.
    """
    routing = routing or read_routing()
    applies = read_last_applies() if applies is None else applies
    roles = tuple(
        _prove_role(role, tag=tag, last=applies.get(role))
        for role, tag in ((Role.CONTROLLER, routing.controller), (Role.TASK, routing.task))
    )
    worst = min(roles, key=lambda proof: _ORDER.index(proof.state))
    return ServedProof(roles=roles, state=worst.state, sentence=worst.sentence)


def _prove_role(role: str, *, tag: ModelTag | None, last: LiveApply | None) -> RoleProof:
    if tag is None:
        return RoleProof(role, "", "", None, 0, 0, NEEDED, UNKNOWN, f"No active {role} tag yet.")
    since = last.applied_at if last else tag.created_at
    return judge_role(
        role=role,
        tag=tag.name,
        digest=tag.digest,
        since=since,
        served=_read_served(role=role, since=since, last=last),
        before=_name_previous(last),
    )


def read_last_applies() -> dict[str, LiveApply]:
    """Each role's newest live apply, with its tags and measurement. One query."""
    newest = (
        LiveApply.objects.order_by("role", "-id").distinct("role").select_related("from_tag", "to_tag", "measurement")
    )
    return {apply.role: apply for apply in newest}


def _name_previous(last: LiveApply | None) -> tuple[str, str]:
    return (last.from_tag.name, last.from_digest) if last is not None and last.from_tag is not None else ("", "")


def _read_served(*, role: str, since: datetime, last: LiveApply | None) -> list[Served]:
    """What served the newest live outcomes since the role's `last` switch, newest first. One query."""
    run = Run.objects.filter(pk=OuterRef("run_id"))
    # Each run is looked up from its outcome, newest first, until there are enough. A join would let Postgres read
    # every outcome since the switch when it expects that few match.
    outcomes = TrainingOutcome.objects.filter(lane=Run.Lane.TRAINING).annotate(
        run_started_at=Subquery(run.values("started_at")),
        promised=Subquery(run.values(f"{role}_digest")),
        was_held=Exists(WatchedRun.objects.filter(run=OuterRef("run_id"), held_back=True, watch__apply=last)),
    )
    outcomes = outcomes.filter(run_started_at__gte=since)
    if last is not None:
        # Runs that began before the switch were promised the old tag. They prove nothing either way, unless they were
        # held back for it: those are marked as such, however early they began.
        began_after = Q(run_started_at__gte=since + COMMIT_WITHIN)
        promised_new = ~Q(promised=last.from_digest)
        outcomes = outcomes.filter(Q(was_held=True) | promised_new | began_after, pk__gt=last.after_outcome_id)
    served = outcomes.order_by("-id").values_list("pk", f"served_{role}_digest", "was_held")
    return [Served(*row) for row in served[:LOOKED_AT]]


def judge_role(
    *,
    role: str,
    tag: str,
    digest: str,
    since: datetime | None,
    served: Sequence[Served | tuple[int, str]],
    before: tuple[str, str] = ("", ""),
) -> RoleProof:
    """Pure: compares the digests that served the outcomes, newest first, with the digest that routing claims.

    `before` is the name and digest of the tag before the last switch. It rightly served the runs that were held back
    for it; they prove nothing about the active tag.
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
    """A sentence about the outcome, and about what answered under the promised name."""
    tag, digest = promised
    if wrong.digest == MIXED:
        found = f"the servers of the pool disagree about {tag}, or it was changed during the run"
    elif wrong.digest == MISSING:
        found = "no model server had it"
    elif wrong.digest == other[1]:
        found = f"{other[0]}, {other[1][:19]}, answers under its name"
    else:
        found = f"the tag was made again with other content, {wrong.digest[:19]}, or the model never was this tag"
    return f"Outcome {wrong.outcome_id} was not served by {tag}, {digest[:19]}: {found}."
