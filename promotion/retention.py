"""Retention: which of LeaLife's tags may be deleted from the model servers, and how. Never one that is referenced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Q

from lealife.core.actors import Actor, requires
from lealife.core.announce import announce
from lealife.core.gateway import ModelError, OllamaPool, TagInfo
from lealife.core.model_names import normalise_name
from promotion.applies import lock_role
from promotion.models import Canary, Evaluation, LiveApply, ModelTag, PromotionWindow, ReserveMeasurement, Role
from promotion.tags import KEEP_TAGS
from training.audit import record_audit
from training.models import Run

# Both tags of each role's newest live applies are kept, so that a recently used tag can serve again.
KEEP_APPLIES = 3
Status = ModelTag.Status
IN_USE = {
    Status.ACTIVE: "It serves now.",
    Status.CANDIDATE: "It is the candidate.",
    Status.CONFIGURED: "It is configured for routing.",
}


@dataclass(frozen=True, slots=True)
class PruningRow:
    """One tag and retention's decision about it.

    `digest` as registered; `bytes`: the sum over `servers` servers, as they report it. Tags of one base share its
    weights on disk.
    """

    tag_id: int
    tag: str
    role: str
    status: str
    digest: str
    bytes: int
    servers: int
    goes: bool
    reason: str


@dataclass(frozen=True, slots=True)
class PruningResult:
    """The result for a tag that was to be pruned; `bytes` as in its row."""

    tag: str
    bytes: int
    pruned: bool
    sentence: str


def plan_pruning(*, server: OllamaPool, keep: int = KEEP_TAGS) -> tuple[PruningRow, ...]:
    """Every registered tag with its bytes and why it is kept or may be deleted, oldest first. Changes nothing.

    `keep`: how many of the newest unreferenced tags of each role stay.
    Raises ModelUnavailable when no server answers; servers that are away count no bytes.
    """
    installed = server.list_tags()
    kept = read_kept(keep=keep)
    rows = []
    for tag in ModelTag.objects.order_by("pk"):
        found = installed.get(tag.name, {})
        reason = kept.get(tag.pk) or _find_drift(tag.digest, found)
        # A pruned row whose tag is still there was left by a process that died: it is finished now.
        if tag.status == Status.PRUNED and (not found or reason):
            continue
        rows.append(
            PruningRow(
                tag_id=tag.pk,
                tag=tag.name,
                role=tag.role,
                status=tag.status,
                digest=tag.digest,
                bytes=sum(info.size for info in found.values()),
                servers=len(found),
                goes=not reason,
                reason=reason or _say_why(tag, found),
            )
        )
    return tuple(rows)


@requires("promotion.prune_tags")
def prune_tags(*, server: OllamaPool, by: Actor, origin: str, keep: int = KEEP_TAGS) -> tuple[PruningResult, ...]:
    """Deletes on every server what the plan allows, oldest first, and marks it pruned; returns the results.

    The row is marked before the tag is deleted, under the role's switch lock and only while nothing refers to it, so
    that no tag in use is ever deleted. After a crash in between, the row is pruned but the tag still exists: the next
    run deletes it. When a server fails, the row gets its old status back. Raises as `plan_pruning` does.
    """
    going = [row for row in plan_pruning(server=server, keep=keep) if row.goes]
    return tuple(_prune(row, server=server, keep=keep, by=by, origin=origin) for row in going)


def read_kept(*, keep: int = KEEP_TAGS) -> dict[int, str]:
    """Tags that must stay, by id, each with the reason in one sentence. No network."""
    tags = list(ModelTag.objects.exclude(status=Status.PRUNED).order_by("-pk"))
    bases = {normalise_name(tag.base) for tag in tags}
    parents = {tag.parent_id for tag in tags if tag.status == Status.ACTIVE}
    judged, switched, running = _read_judged(), _read_switched(), _read_running()
    kept: dict[int, str] = {}
    newest: Counter[str] = Counter()
    for tag in tags:
        rules = (
            (tag.status in IN_USE, IN_USE.get(tag.status, "")),
            (tag.pinned, "It is pinned."),
            (tag.parent_id is None, "It is the first tag of its role."),
            (tag.name in bases, "Other tags are made from it."),
            (tag.pk in judged, "An open window, evaluation, canary or measurement refers to it."),
            (
                tag.pk in switched,
                f"One of the last {KEEP_APPLIES} live applies refers to it: it can be rolled back to.",
            ),
            (tag.pk in parents, "The active tag descends from it."),
            (tag.name in running, "A run that is not finished uses it."),
        )
        reason = next((sentence for applies, sentence in rules if applies), "")
        if not reason and newest[tag.role] < keep:
            newest[tag.role] += 1
            reason = f"It is among the newest {keep} of its role."
        if reason:
            kept[tag.pk] = reason
    return kept


def _read_judged() -> set[int]:
    waiting = Q(canary__state=Canary.State.PASSED, canary__apply=None) | Q(canary__state=Canary.State.OPEN)
    # A drill has no window: only its verdict is waited for.
    windowed = Q(window__isnull=False) & ~Q(window__state__in=PromotionWindow.CLOSED)
    opened = Q(verdict=Evaluation.Verdict.PENDING) | windowed
    pairs = Evaluation.every.filter(opened | waiting).values_list("candidate_id", "baseline_id")
    measured = ReserveMeasurement.objects.filter(state=ReserveMeasurement.State.OPEN).values_list(
        "beside_id", flat=True
    )
    return {tag for pair in pairs for tag in pair} | set(measured)


def _read_switched() -> set[int]:
    found: set[int | None] = set()
    for role in Role.values:
        applies = LiveApply.objects.filter(role=role).order_by("-pk").values_list("from_tag_id", "to_tag_id")
        found.update(tag for pair in applies[:KEEP_APPLIES] for tag in pair)
    return found - {None}


def _read_running() -> set[str]:
    names = Run.objects.exclude(status__in=Run.TERMINAL).values_list("controller_tag", "task_tag")
    return {name for pair in names for name in pair if name}


def _find_drift(digest: str, found: Mapping[str, TagInfo]) -> str:
    changed = [host for host, info in found.items() if info.digest != digest]
    return f"It was changed outside LeaLife on {', '.join(changed)}, so it is not deleted there." if changed else ""


def _say_why(tag: ModelTag, found: Iterable[str]) -> str:
    if tag.status == Status.PRUNED:
        return "It was pruned before, but is still there."
    if not found:
        return "No answering server has it, so it is only marked as pruned."
    return f"It is {tag.status}, and nothing refers to it."


def _prune(row: PruningRow, *, server: OllamaPool, keep: int, by: Actor, origin: str) -> PruningResult:
    if row.status != Status.PRUNED and not _claim(row, keep=keep, by=by, origin=origin):
        return PruningResult(row.tag, row.bytes, False, f"{row.tag} is kept: it has come into use in the meantime.")
    try:
        # The plan may be minutes old: someone may have made the tag again since.
        fault = _find_drift(row.digest, server.list_tags().get(row.tag, {}))
        if not fault:
            server.delete_tag(tag=row.tag)
    except ModelError as error:
        fault = str(error)
    if fault:
        _give_back(row, reason=fault, by=by, origin=origin)
        return PruningResult(row.tag, row.bytes, False, f"{row.tag} is not pruned: {fault}")
    return PruningResult(row.tag, row.bytes, True, f"{row.tag} is pruned.")


def _claim(row: PruningRow, *, keep: int, by: Actor, origin: str) -> bool:
    """Marks the row pruned unless something refers to it by now. The role's lock makes concurrent switches wait."""
    with transaction.atomic():
        lock_role(row.role)
        if row.tag_id in read_kept(keep=keep):
            return False
        free = ModelTag.objects.filter(pk=row.tag_id, status=row.status, pinned=False)
        if not free.update(status=Status.PRUNED):
            return False
        told = {"bytes": row.bytes, "servers": row.servers, "was": row.status}
        record_audit(actor=by, origin=origin, action="prune tag", subject=row.tag, details=told)
        announce("promotion")
    return True


def _give_back(row: PruningRow, *, reason: str, by: Actor, origin: str) -> None:
    with transaction.atomic():
        if ModelTag.objects.filter(pk=row.tag_id, status=Status.PRUNED).update(status=row.status):
            told = {"reason": reason}
            record_audit(actor=by, origin=origin, action="fail to prune tag", subject=row.tag, details=told)
            announce("promotion")
