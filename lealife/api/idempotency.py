"""`Idempotency-Key`: a POST that a client repeats, because the answer was lost, is carried out only once."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from ninja import Status
from pydantic_core import to_jsonable_python

from lealife.core.digest import digest_bytes
from lealife.core.errors import InvalidInput
from lealife.models import IdempotentAnswer, IdempotentAnswerQuerySet

HEADER = "Idempotency-Key"
KEY_MAX = 255
# How the OpenAPI document describes the header.
PARAMETER: dict[str, Any] = {
    "in": "header",
    "name": HEADER,
    "required": False,
    "description": "A name for this request, chosen by the client. When the request is sent again within 24 hours "
    "with the same body, it is not carried out again and gets the first answer; with another body it is refused (422).",
    "schema": {"type": "string", "minLength": 1, "maxLength": KEY_MAX},
}
Endpoint = Callable[..., Any]


def answer_once(endpoint: Endpoint) -> Endpoint:
    """Wraps an endpoint so that a POST with an `Idempotency-Key` is carried out once per caller, address and key.

    The answer is stored in the transaction that does the work, so a crash loses both or neither. When two requests
    arrive at once, the second waits for the first and then repeats its answer. A refusal is not stored.
    """

    @wraps(endpoint)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        key = request.headers.get(HEADER)
        if request.method != "POST" or key is None:
            return endpoint(request, *args, **kwargs)
        if not (1 <= len(key) <= KEY_MAX and key.isprintable()):
            raise InvalidInput(f"An {HEADER} must have between 1 and {KEY_MAX} printable characters.", field=HEADER)
        digest = digest_bytes(request.body)
        caller = str(getattr(request, "auth", ""))
        row = IdempotentAnswer(caller=caller, path=request.path_info, key=key, body_digest=digest)
        with transaction.atomic():
            kept = _find_kept(row) or _claim(row)
            if kept is None:
                answer = endpoint(request, *args, **kwargs)
                _keep(row, answer)
                return answer
        if kept.body_digest != digest:
            raise InvalidInput(f"This {HEADER} was used before with another body.", field=HEADER)
        return Status(kept.status, kept.answer)

    return guarded


def _find_kept(row: IdempotentAnswer) -> IdempotentAnswer | None:
    same = _find_same(row)
    # The coordinator deletes old answers once a minute, but only while one is running.
    same.expired(now=timezone.now()).delete()
    return same.first()


def _claim(row: IdempotentAnswer) -> IdempotentAnswer | None:
    """Inserts the row and returns None, or returns the committed row of a request that was faster."""
    # The insert waits for the other request's transaction. When that rolls back, this request does the work.
    IdempotentAnswer.objects.bulk_create([row], ignore_conflicts=True)
    kept = _find_same(row).get()
    return None if kept.status is None else kept


def _keep(row: IdempotentAnswer, answer: Any) -> None:
    status, value = (answer.status_code, answer.value) if isinstance(answer, Status) else (200, answer)
    _find_same(row).update(status=status, answer=to_jsonable_python(value, inf_nan_mode="null"))


def _find_same(row: IdempotentAnswer) -> IdempotentAnswerQuerySet:
    return IdempotentAnswer.objects.filter(caller=row.caller, path=row.path, key=row.key)
