"""Translates every family of errors to RFC 9457 problem+json, all in this file."""

from __future__ import annotations

import http
import logging
import math
import secrets
from collections.abc import Callable
from typing import Any

from django.core.exceptions import BadRequest, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from ninja import NinjaAPI
from ninja.errors import HttpError, Throttled, ValidationError

from lealife.api.rendering import render_json
from lealife.core.errors import Refused

CONTENT_TYPE = "application/problem+json"
RESERVED = {"type", "title", "status", "detail", "code", "errors"}
log = logging.getLogger(__name__)


def build_problem(
    *, status: int, detail: str, code: str = "", errors: list[dict[str, str]] | None = None, **extension: Any
) -> HttpResponse:
    """A problem+json response with `errors` (`{field, message}`) and further members from `extension`."""
    title = http.HTTPStatus(status).phrase
    code = code or title.lower().replace(" ", "_")
    problem: dict[str, Any] = {
        "type": f"urn:lealife:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
    }
    if errors:
        problem["errors"] = errors
    problem |= {name: value for name, value in extension.items() if name not in RESERVED}
    response = HttpResponse(render_json(problem), status=status, content_type=CONTENT_TYPE)
    if status == http.HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = 'Bearer realm="lealife"'
    return response


def on_refused(_request: HttpRequest, refused: Refused) -> HttpResponse:
    """A refusal by LeaLife's own rules."""
    details = dict(refused.details)
    field = details.pop("field", None)
    errors = [{"field": str(field), "message": str(refused)}] if field else None
    return build_problem(status=refused.status, detail=str(refused), code=refused.code, errors=errors, **details)


def on_invalid(_request: HttpRequest, invalid: ValidationError) -> HttpResponse:
    """Input that does not fit the schema, with one entry per field; the input itself is not repeated."""
    errors = [
        {"field": _name_field(error.get("loc", ())), "message": str(error.get("msg", "invalid"))}
        for error in invalid.errors
    ]
    detail = f"{errors[0]['field']}: {errors[0]['message']}" if errors else "The input is not valid."
    return build_problem(status=422, detail=detail, code="invalid_input", errors=errors)


def on_http_error(_request: HttpRequest, error: HttpError) -> HttpResponse:
    """Errors of authentication and permission, and a body that is not JSON."""
    detail = str(error)
    if error.status_code == http.HTTPStatus.UNAUTHORIZED and detail == "Unauthorized":
        detail = "Send an API key as `Authorization: Bearer …`, or sign in."
    return build_problem(status=error.status_code, detail=detail)


def on_throttled(_request: HttpRequest, throttled: Throttled) -> HttpResponse:
    """Too many requests; the Retry-After header says when."""
    response = build_problem(status=429, detail="Too many requests: wait, then try again.", wait_s=throttled.wait)
    if throttled.wait is not None:
        response["Retry-After"] = str(math.ceil(throttled.wait))
    return response


def on_missing(_request: HttpRequest, _missing: Http404) -> HttpResponse:
    """No such row."""
    return build_problem(status=404, detail="There is nothing at this address.")


def on_denied(_request: HttpRequest, _denied: PermissionDenied) -> HttpResponse:
    """Django's own PermissionDenied."""
    return build_problem(status=403, detail="You may not do this.")


def on_too_big(_request: HttpRequest, _error: RequestDataTooBig) -> HttpResponse:
    """A body past Django's limit."""
    return build_problem(status=413, detail="The request body is too large.", code="too_large")


def on_malformed(_request: HttpRequest, _error: Exception) -> HttpResponse:
    """A body that is incomplete or not of its stated type, or a request that only an attacker sends."""
    return build_problem(status=400, detail="The request is malformed.")


def on_database_away(_request: HttpRequest, error: Exception) -> HttpResponse:
    """Postgres is restarting or cannot be reached: nothing was changed, and the client may try again."""
    log.error("database unavailable: %s", error)
    response = build_problem(status=503, detail="The database is unavailable just now.", code="database_unavailable")
    response["Retry-After"] = "5"
    return response


def on_unexpected(request: HttpRequest, error: Exception) -> HttpResponse:
    """An error in LeaLife. The log has it under the incident number; the client gets only that number."""
    incident = secrets.token_hex(4)
    log.error("incident %s at %s %s", incident, request.method, request.path, exc_info=error)
    return build_problem(
        status=500,
        detail=f"Something went wrong here. The log has it as incident {incident}.",
        incident=incident,
    )


def add_problem_handlers(api: NinjaAPI) -> None:
    """Registers a translation for every error family of `api`; an error's most specific class decides."""
    handlers: list[tuple[type[Exception], Callable[..., HttpResponse]]] = [
        (Refused, on_refused),
        (ValidationError, on_invalid),
        (HttpError, on_http_error),
        (Throttled, on_throttled),
        (Http404, on_missing),
        (PermissionDenied, on_denied),
        (RequestDataTooBig, on_too_big),
        (SuspiciousOperation, on_malformed),
        (BadRequest, on_malformed),
        (MultiPartParserError, on_malformed),
        (UnreadablePostError, on_malformed),
        (OperationalError, on_database_away),
        (InterfaceError, on_database_away),
        (Exception, on_unexpected),
    ]
    for family, handler in handlers:
        api.add_exception_handler(family, handler)


def _name_field(location: tuple[Any, ...]) -> str:
    """`("body", "task", "prompt")` → `prompt`: the source and the parameter say nothing to a client."""
    parts = [str(part) for part in location]
    named = parts[2:] if parts[:1] == ["body"] and len(parts) > 2 else parts[1:]
    return ".".join(named) or ".".join(parts)
