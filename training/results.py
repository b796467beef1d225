"""Results: how runs ended, written with their outcomes, each only if its fence still holds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from operator import attrgetter
from typing import Any

from django.db import connection, transaction

from lealife.core.announce import announce
from lealife.core.statements import run_statement, run_steadily
from training.agent.errors import ErrorCode
from training.agent.trajectory import Trajectory
from training.models import Run
from training.outcomes import ENDINGS, Ending, close_cycles


@dataclass(frozen=True, slots=True)
class Held:
    """A run under the fence that its holder's writes must carry."""

    run_id: int
    fence: int


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended, as its row keeps it."""

    success: bool
    error_code: str = ""
    error: str = ""
    answer: str = ""
    quotes: tuple[dict[str, Any], ...] = ()
    verifier: str = ""
    pages: int = 0
    controller_calls: int = 0
    invalid_picks: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    duration_ms: int = 0
    memory_used: tuple[int, ...] = ()

    @classmethod
    def from_trajectory(cls, trajectory: Trajectory) -> Result:
        """The row's view of what the agent did."""
        return cls(
            success=trajectory.success,
            error_code=str(trajectory.error_code),
            error=trajectory.error,
            answer=trajectory.answer,
            quotes=tuple(
                {"text": quote.text, "url": quote.url, "digest": quote.body_digest} for quote in trajectory.quotes
            ),
            verifier=trajectory.verifier,
            pages=trajectory.pages,
            controller_calls=trajectory.controller_calls,
            invalid_picks=trajectory.invalid_picks,
            prompt_tokens=trajectory.prompt_tokens,
            cached_tokens=trajectory.cached_tokens,
            completion_tokens=trajectory.completion_tokens,
            duration_ms=trajectory.duration_ms,
            memory_used=tuple(trajectory.memory_ids),
        )


@dataclass(frozen=True, slots=True)
class Finished:
    """A held run and how it ended; the digests are what the model server answered with."""

    held: Held
    result: Result
    served_controller: str
    served_task: str


_RESULT = tuple(field.name for field in fields(Result) if field.name != "success")
_COUNTS = tuple(field.name for field in fields(Result) if field.type == "int")
# What a whole number's column holds; the server behind a count is not ours.
_LARGEST = {name: 32_767 if "Small" in Run._meta.get_field(name).get_internal_type() else 2**31 - 1 for name in _COUNTS}
_read_result = attrgetter(*_RESULT)
_FINISHED = (*_RESULT, "status", "served_controller_digest", "served_task_digest")
# Only (id, fence) decide: another predicate on the status would make the plan depend on stale statistics. The new
# fence refuses whoever still holds the old one from here on, this worker's twin included.
_MOVE = f"""
    WITH finished AS (
        SELECT * FROM jsonb_to_recordset(%(finished)s::jsonb) AS finished (
            run_id bigint, held_fence bigint,
            {", ".join(f"{name} {Run._meta.get_field(name).db_type(connection)}" for name in _FINISHED)}
        )
    ), moved AS (
        UPDATE training_run AS run SET {", ".join(f"{name} = finished.{name}" for name in _FINISHED)},
            lease_until = NULL, finished_at = %(now)s::timestamptz, fence = run.fence + 1
        FROM finished WHERE run.id = finished.run_id AND run.fence = finished.held_fence
        RETURNING run.*
    )
"""  # noqa: S608  constants of our own, and placeholders
_FINISH = f"{_MOVE} {ENDINGS}"
# What becomes of a source after a success needs no look at it: then one call does it all (migration 0002).
_FINISH_WELL = "SELECT training_finish_well(%(finished)s::jsonb, %(now)s::timestamptz)"


def finish_runs(*, finished: Sequence[Finished], now: datetime) -> list[int]:
    """Finishes runs, each only if its fence still holds, with their outcomes; the ids of those that it did.

    What another digest than the claimed one has served is no success, even if `finished` says so (`judge_served`).
    Successes and failures are a transaction each: what they count would be locked in different orders.
    """
    claimed = _read_claimed(finished)
    finished = [judge_served(one, claimed=claimed.get(one.held.run_id, ("", ""))) for one in finished]
    well = [one for one in finished if one.result.success]
    badly = [one for one in finished if not one.result.success]
    return (_finish_well(well, now=now) if well else []) + (_finish_badly(badly, now=now) if badly else [])


def judge_served(one: Finished, *, claimed: tuple[str, str]) -> Finished:
    """`one`, failed with `served_other_digest` when a role was not served by the digest that routing claimed; pure.

    `claimed` are the digests of the controller and the task role; empty where nothing was claimed. A role that asked
    no model has no served digest. A run that ended without a model, or without an end, keeps its own error code.
    """
    if one.result.error_code in (ErrorCode.MODEL_UNAVAILABLE, ErrorCode.CANCELLED):
        return one
    served = zip(("controller", "task"), claimed, (one.served_controller, one.served_task), strict=True)
    wrong = [(role, told, found) for role, told, found in served if told and found and told != found]
    if not wrong:
        return one
    error = " ".join(f"The {role} was served by {found[:19]}, not by {told[:19]}." for role, told, found in wrong)
    code = str(ErrorCode.SERVED_OTHER_DIGEST)
    return replace(one, result=replace(one.result, success=False, error_code=code, error=error, verifier=""))


def _read_claimed(finished: Sequence[Finished]) -> dict[int, tuple[str, str]]:
    """By run, the controller's and the task's digest that routing claimed when it began."""
    asked = [one.held.run_id for one in finished if one.served_controller or one.served_task]
    rows = Run.objects.filter(pk__in=asked).values_list("pk", "controller_digest", "task_digest") if asked else ()
    return {pk: (controller, task) for pk, controller, task in rows}


def _finish_well(finished: Sequence[Finished], *, now: datetime) -> list[int]:
    [(moved,)] = run_statement(_FINISH_WELL, {"finished": _write_rows(finished), "now": now})
    announce("runs")
    announce("outcomes")
    return moved


def _finish_badly(finished: Sequence[Finished], *, now: datetime) -> list[int]:
    with transaction.atomic():
        endings = run_steadily((_FINISH, {"finished": _write_rows(finished), "now": now}))
        close_cycles(endings=[Ending(*row) for row in endings if row[1] is not None], now=now)
        announce("runs")
        return [row[0] for row in endings]


def _fit(name: str, value: Any) -> Any:
    """A count within the range of its column: an absurd one must not lose the result."""
    return min(max(int(value), 0), _LARGEST[name]) if name in _LARGEST else value


def _write_rows(finished: Sequence[Finished]) -> str:
    rows = [
        {
            "run_id": one.held.run_id,
            "held_fence": one.held.fence,
            "status": Run.Status.SUCCEEDED.value if one.result.success else Run.Status.FAILED.value,
            "served_controller_digest": one.served_controller,
            "served_task_digest": one.served_task,
            **{name: _fit(name, value) for name, value in zip(_RESULT, _read_result(one.result), strict=True)},
        }
        for one in finished
    ]
    written = json.dumps(rows)
    # What a model wrote may hold NUL or half a surrogate pair, and Postgres can store neither. A whole pair, or text
    # that spells such an escape, matches too: that costs time only.
    return json.dumps(_clean(rows)) if "\\u0000" in written or "\\ud" in written else written


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\x00", "").encode(errors="replace").decode()
    if isinstance(value, dict):
        return {key: _clean(each) for key, each in value.items()}
    return [_clean(each) for each in value] if isinstance(value, list | tuple) else value
