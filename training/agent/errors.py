"""The closed list of errors of a run."""

from __future__ import annotations

from enum import StrEnum


class ErrorCode(StrEnum):
    """Why a run, or one step of it, failed."""

    NO_ROUTE = "no_route"
    BUDGET_SPENT = "budget_spent"
    FETCH_FAILED = "fetch_failed"
    BLOCKED_BY_POLICY = "blocked_by_policy"
    NOT_HTML = "not_html"
    TOO_LARGE = "too_large"
    REDIRECT_LOOP = "redirect_loop"
    MODEL_UNAVAILABLE = "model_unavailable"
    MODEL_INVALID = "model_invalid"
    SERVED_OTHER_DIGEST = "served_other_digest"
    UNSURE = "unsure"
    VERIFICATION_FAILED = "verification_failed"
    WORKER_LOST = "worker_lost"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    INTERNAL_ERROR = "internal_error"


class AgentError(Exception):
    """A failure with a code from the closed list and one sentence for the reader."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
