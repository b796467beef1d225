"""Results: how a run ended, and what its row keeps of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from django.db import connection
from django.db.models import IntegerField

from training.agent.errors import ErrorCode
from training.agent.trajectory import Trajectory
from training.models import Run


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended, as its row keeps it."""

    success: bool
    error_code: str = ""
    error: str = ""
    answer: str = ""
    answer_state: str = ""
    answer_score: float | None = None
    is_quoted: bool = False
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
        renamed: dict[str, Any] = {
            "memory_used": trajectory.memory_ids,
            "quotes": tuple(
                {
                    "text": quote.text,
                    "url": quote.url,
                    "digest": quote.body_digest,
                    "heading": quote.heading,
                    "highlight": quote.highlight,
                }
                for quote in trajectory.quotes
            ),
        }
        same = [field.name for field in fields(cls) if field.name not in renamed]
        return cls(**renamed, **{name: getattr(trajectory, name) for name in same})

    def to_columns(self) -> dict[str, Any]:
        """The columns of the run's row."""
        columns = {name: _fit(name, value) for name, value in asdict(self).items() if name != "success"}
        return {**columns, "status": Run.Status.SUCCEEDED if self.success else Run.Status.FAILED}


def _fit(name: str, value: Any) -> Any:
    """The value within what its column can hold: an absurd count of a model's server must not lose the result."""
    field = Run._meta.get_field(name)
    if not isinstance(field, IntegerField):
        return _clean(value)
    least, most = connection.ops.integer_field_range(field.get_internal_type())
    return min(max(int(value), least), most)


def judge_served(result: Result, *, promised: tuple[str, str], served: tuple[str, str]) -> Result:
    """`result`, failed with `served_other_digest` when a role was not served by the digest that routing promised; pure.

    `promised` and `served` are the digests of the controller and the task role; empty where nothing was promised, or
    the role asked no model. A run that ended without a model, or without an end, keeps its own error code.
    """
    if result.error_code in (ErrorCode.MODEL_UNAVAILABLE, ErrorCode.CANCELLED):
        return result
    roles = zip(("controller", "task"), promised, served, strict=True)
    wrong = [(role, wanted, found) for role, wanted, found in roles if wanted and found and wanted != found]
    if not wrong:
        return result
    error = " ".join(f"The {role} was served by {found[:19]}, not by {wanted[:19]}." for role, wanted, found in wrong)
    return replace(
        result,
        success=False,
        error_code=str(ErrorCode.SERVED_OTHER_DIGEST),
        error=error,
        verifier="",
        answer_state=Run.AnswerState.UNSURE if result.quotes else "",
    )


def _clean(value: Any) -> Any:
    """Text without what Postgres cannot store: a model may write NUL or half of a surrogate pair."""
    if isinstance(value, str):
        return value.replace("\x00", "").encode(errors="replace").decode()
    if isinstance(value, dict):
        return {key: _clean(each) for key, each in value.items()}
    return [_clean(each) for each in value] if isinstance(value, list | tuple) else value
