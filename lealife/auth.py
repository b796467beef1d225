"""Authentication of the API: bearer keys, and the sessions of signed-in staff."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from ninja.errors import AuthenticationError, AuthorizationError, Throttled
from ninja.security import HttpBearer
from ninja.security.base import AuthBase
from ninja.utils import check_csrf

from lealife.core.actors import Action, Actor, read_actor
from lealife.core.clients import read_address
from lealife.keys import count_wrong_key, create_api_key, find_key, read_key, why_not_good

# Scripts that use the API make their key here.
__all__ = ["ActorRequest", "BearerKey", "StaffSession", "allow", "create_api_key"]

# How many invalid keys one address may send per minute; each costs a database lookup.
WRONG_KEYS = 30


class ActorRequest(HttpRequest):
    """A request that `allow` has let through: `auth` is who asks."""

    auth: Actor


class BearerKey(HttpBearer):
    """`Authorization: Bearer <key>`."""

    openapi_description = "A key made with `manage.py create_api_key`; scopes read < operate < admin."

    def __init__(self, permission: str) -> None:
        self.permission = permission
        super().__init__()

    def authenticate(self, request: HttpRequest, token: str) -> Actor:
        """The key's actor. A wrong key is always refused: the request's session, if any, is not tried."""
        key = find_key(token.strip())
        refusal = why_not_good(key) if key else "The API key is unknown."
        if key is None or refusal:
            now = timezone.now()
            if not count_wrong_key(address=read_address(request), now=now, most=WRONG_KEYS):
                raise Throttled(wait=60 - now.second)
            raise AuthenticationError(message=refusal)
        return _check(read_key(key), self.permission)


class StaffSession(AuthBase):
    """The session cookie of signed-in staff; anything but a read also needs the CSRF token."""

    openapi_type = "apiKey"
    openapi_in = "cookie"
    openapi_name = settings.SESSION_COOKIE_NAME

    def __init__(self, permission: str) -> None:
        self.permission = permission
        super().__init__()

    def __call__(self, request: HttpRequest) -> Any | None:
        """The actor, None for an anonymous caller."""
        user = request.user
        if not user.is_authenticated:
            return None
        if not user.is_staff:
            raise AuthorizationError(message=f"{user.get_username()} is not a member of staff.")
        # Checked last: an anonymous caller must get 401, not an error about a CSRF token.
        if check_csrf(request) is not None:
            raise AuthorizationError(message="The CSRF token is missing or wrong: send it as X-CSRFToken.")
        return _check(read_actor(request), self.permission)


def allow(action: Action[..., Any] | None) -> list[AuthBase]:
    """The authentication of an endpoint that calls `action`, or that only reads (None). Keys come before sessions.

    With this order a session's CSRF check never refuses a bearer request. The action checks the permission too; the
    check here keeps callers without it from learning what exists.
    """
    permission = action.permission if action else ""
    return [BearerKey(permission), StaffSession(permission)]


def _check(actor: Actor, permission: str) -> Actor:
    if permission:
        actor.require(permission)
    return actor
