"""Who is calling: bearer keys, stored as digests, and the sessions of signed-in staff."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from ninja.errors import AuthenticationError, AuthorizationError
from ninja.security import HttpBearer
from ninja.security.base import AuthBase
from ninja.utils import check_csrf

from lealife.lib.digest import digest_bytes
from lealife.lib.errors import Conflict, InvalidInput, NotFound
from lealife.models import ApiKey
from training.audit import record_audit

KEY_MARK = "lea_"
KEY_BYTES = 32  # 256 random bits: a plain digest needs no salt and no slow hash
PREFIX_LENGTH = 12
SEEN_EVERY = timedelta(minutes=1)
# Each scope may do all that the ones before it may.
RANKS = {ApiKey.Scope.READ.value: 0, ApiKey.Scope.OPERATE.value: 1, ApiKey.Scope.ADMIN.value: 2}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asked, as the audit log names them (a user name or `key:<name>`), and how far they may go."""

    name: str
    scope: str

    def __str__(self) -> str:
        return self.name


def create_api_key(*, name: str, scope: str, by: str, origin: str) -> tuple[ApiKey, str]:
    """Makes a key; returns its row and the key itself, which is stored nowhere and cannot be shown again.

    Raises InvalidInput for an empty name or unknown scope, Conflict when the name is taken.
    """
    cleaned = name.replace("\x00", "").strip()
    if not 1 <= len(cleaned) <= 100:
        raise InvalidInput("A key's name has between 1 and 100 characters.", field="name")
    if scope not in RANKS:
        raise InvalidInput(f"A scope is one of {', '.join(RANKS)}, not {scope!r}.", field="scope")
    secret = KEY_MARK + secrets.token_urlsafe(KEY_BYTES)
    with transaction.atomic():
        key, made = ApiKey.objects.get_or_create(
            name=cleaned,
            defaults={
                "prefix": secret[:PREFIX_LENGTH],
                "key_digest": digest_bytes(secret.encode()),
                "scope": scope,
                "created_by": by,
            },
        )
        if not made:
            raise Conflict(f"There is already a key named {cleaned!r}.", field="name")
        record_audit(
            actor=by,
            origin=origin,
            action="create api key",
            subject=f"key {cleaned}",
            details={"scope": scope},
        )
    return key, secret


def revoke_api_key(*, key_id: int, by: str, origin: str) -> None:
    """Ends a key at once and for good. Raises NotFound, or Conflict when it was revoked before."""
    with transaction.atomic():
        name = ApiKey.objects.filter(pk=key_id).values_list("name", flat=True).first()
        if name is None:
            raise NotFound(f"There is no API key {key_id}.")
        if not ApiKey.objects.filter(pk=key_id, revoked_at=None).update(revoked_at=timezone.now()):
            raise Conflict(f"Key {name!r} is revoked already.")
        record_audit(actor=by, origin=origin, action="revoke api key", subject=f"key {name}")


def find_key_caller(secret: str) -> Caller | None:
    """The caller that a bearer key stands for; None when it is unknown or revoked.

    Looked up by digest, so the time it takes tells nothing about any stored key.
    """
    now = timezone.now()
    key = ApiKey.objects.filter(key_digest=digest_bytes(secret.encode()), revoked_at=None).first()
    if key is None:
        return None
    # At most one write a minute and key; two racing requests write the same fact.
    ApiKey.objects.filter(Q(last_used_at=None) | Q(last_used_at__lt=now - SEEN_EVERY), pk=key.pk).update(
        last_used_at=now
    )
    return Caller(name=f"key:{key.name}", scope=key.scope)


def find_session_caller(request: HttpRequest) -> Caller | None:
    """The signed-in member of staff, None for nobody. Superusers may do all, other staff may operate.

    Raises AuthorizationError for a signed-in user who is not staff.
    """
    user = request.user
    if not user.is_authenticated:
        return None
    if not user.is_staff:
        raise AuthorizationError(message=f"{user.get_username()} is not a member of staff.")
    scope = ApiKey.Scope.ADMIN if user.is_superuser else ApiKey.Scope.OPERATE
    return Caller(name=user.get_username(), scope=scope.value)


def check_scope(caller: Caller, *, needed: str) -> Caller:
    """The caller, when their scope reaches. Raises AuthorizationError otherwise."""
    if RANKS[caller.scope] < RANKS[needed]:
        raise AuthorizationError(
            message=f"This needs the scope {needed!r}; {caller.name} has {caller.scope!r}.",
        )
    return caller


class BearerKey(HttpBearer):
    """`Authorization: Bearer <key>`."""

    openapi_description = "A key made with `manage.py create_api_key`; scopes read < operate < admin."

    def __init__(self, needed: str) -> None:
        self.needed = needed
        super().__init__()

    def authenticate(self, request: HttpRequest, token: str) -> Caller:
        """The key's caller. A wrong key is refused outright: it never falls back to a session."""
        caller = find_key_caller(token.strip())
        if caller is None:
            raise AuthenticationError(message="The API key is unknown or revoked.")
        return check_scope(caller, needed=self.needed)


class StaffSession(AuthBase):
    """The session cookie of signed-in staff; anything but a read also needs the CSRF token."""

    openapi_type = "apiKey"
    openapi_in = "cookie"
    openapi_name = settings.SESSION_COOKIE_NAME

    def __init__(self, needed: str) -> None:
        self.needed = needed
        super().__init__()

    def __call__(self, request: HttpRequest) -> Any | None:
        """The caller, None for nobody."""
        caller = find_session_caller(request)
        if caller is None:
            return None
        # Only now: an anonymous request is told to sign in, not that its CSRF token is missing.
        if check_csrf(request) is not None:
            raise AuthorizationError(message="The CSRF token is missing or wrong: send it as X-CSRFToken.")
        return check_scope(caller, needed=self.needed)


def require_scope(needed: str) -> list[AuthBase]:
    """The ways to be allowed, keys first: a session's CSRF check must never refuse a bearer request."""
    return [BearerKey(needed), StaffSession(needed)]
