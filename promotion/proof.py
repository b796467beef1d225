"""Served-digest proof: do the latest live outcomes carry the digest that routing claims?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from promotion.models import LiveApply, ModelTag, Role
from promotion.routing import read_routing
from training.models import Run, TrainingOutcome

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


def read_served_proof() -> ServedProof:
    """Green only when every role's latest outcomes carry the claimed digest."""
    routing = read_routing()
    roles = tuple(
        _prove_role(role, tag) for role, tag in ((Role.CONTROLLER, routing.controller), (Role.TASK, routing.task))
    )
    worst = min(roles, key=lambda proof: _ORDER.index(proof.state))
    return ServedProof(roles=roles, state=worst.state, sentence=worst.sentence)


def _prove_role(role: str, tag: ModelTag | None) -> RoleProof:
    if tag is None:
        return RoleProof(role, "", "", None, 0, 0, NEEDED, UNKNOWN, f"No active {role} tag yet.")
    last = LiveApply.objects.filter(role=role).order_by("-id").first()
    since = last.applied_at if last else tag.created_at
    served = _read_served(role, last=last, since=since)
    return judge_role(role=role, tag=tag.name, digest=tag.digest, since=since, served=served)


def _read_served(role: str, *, last: LiveApply | None, since: datetime) -> list[tuple[int, str]]:
    # Runs that began before the switch were promised the old tag; they prove nothing either way.
    live = TrainingOutcome.objects.filter(lane=Run.Lane.TRAINING, run__started_at__gte=since).order_by("-pk")
    if last is not None:
        promised_old = {f"{role}_digest": last.from_digest, "run__started_at__lt": since + COMMIT_WITHIN}
        live = live.filter(pk__gt=last.after_outcome_id).exclude(**promised_old)
    column = f"served_{role}_digest"
    # A run that never reached the model was served by nothing. Told apart here, so that a long row of such runs
    # is not searched for its end.
    latest = live.values_list("pk", column)[: LOOKED_AT * 10]
    return [(outcome, digest) for outcome, digest in latest if digest][:LOOKED_AT]


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
