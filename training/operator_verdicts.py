"""Operator verdicts: added, never edited; the latest of a run counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile

from django.db import transaction

from lealife.core.announce import announce
from lealife.core.errors import Conflict, InvalidInput
from training.audit import record_audit
from training.models import OperatorVerdict, Run
from training.tasks import clean_text

NOTE_MAX = 2_000


def check_judgeable(run: Run) -> None:
    """Raises Conflict, with the reason, for a run that cannot be judged."""
    if run.lane == Run.Lane.EVALUATION:
        raise Conflict(f"Run {run.pk} is a held-out evaluation. Only its checks judge it, and nothing learns from it.")
    if run.status not in Run.TERMINAL:
        raise Conflict(f"Run {run.pk} is {run.status}. It can be judged when it has ended.")
    if not run.answer and not run.quotes:
        raise Conflict(f"Run {run.pk} gave no answer to judge.")


def check_note(note: str) -> str:
    """The note, stripped. Raises InvalidInput past 2,000 characters."""
    cleaned = clean_text(note)
    if len(cleaned) > NOTE_MAX:
        raise InvalidInput(f"A note may have at most {NOTE_MAX:,} characters, not {len(cleaned):,}.", field="note")
    return cleaned


def read_latest_verdict(run_id: int) -> OperatorVerdict | None:
    """The verdict that counts; None when the run was not judged."""
    return OperatorVerdict.objects.filter(run_id=run_id).order_by("-id").first()


def read_effect(run_id: int) -> dict[str, set[int]]:
    """The memory items that the verdict that counts has changed, and those before it that said the same."""
    verdicts = OperatorVerdict.objects.filter(run_id=run_id).order_by("-id").values_list("right", "effect")
    moved: dict[str, set[int]] = {}
    for _, effect in takewhile(lambda row: row[0] == verdicts[0][0], verdicts):
        for status, ids in effect.items():
            moved.setdefault(status, set()).update(ids)
    return moved


def record_verdict(
    *,
    run: Run,
    right: bool,
    note: str,
    by: str,
    origin: str,
    effect: Mapping[str, Sequence[int]],
    right_url: str = "",
    right_text: str = "",
) -> OperatorVerdict:
    """Adds a verdict; `effect` names the memory items that it changed, by their new status.

    `right_url` and `right_text`: where the right answer stands, checked before.
    Raises Conflict for a run that cannot be judged, InvalidInput for a note that is too long.
    """
    check_judgeable(run)
    with transaction.atomic():
        verdict = OperatorVerdict.objects.create(
            run=run,
            right=right,
            note=check_note(note),
            right_url=right_url,
            right_text=right_text,
            by=by[:150],
            origin=origin,
            effect={status: list(ids) for status, ids in effect.items()},
        )
        record_audit(
            actor=by,
            origin=origin,
            action="judge run",
            subject=f"run {run.pk}",
            details={"right": right, "verdict": verdict.pk, "memory": {key: len(ids) for key, ids in effect.items()}},
        )
        announce(f"run:{run.pk}")
    return verdict
