"""API keys: making them, revoking them, and what each may do now."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from lealife.core.actors import Actor, command_line, read_user, requires
from lealife.core.digest import digest_bytes
from lealife.core.errors import Conflict, Forbidden, InvalidInput, NotFound
from lealife.models import ApiKey, WrongKeys
from lealife.pipeline.launching import ask
from lealife.run_actions import judge_run
from promotion.steering import evaluate_now, hold_promotion, request_drill
from training.audit import record_audit
from training.campaigns import create_campaign
from training.coordinator import start_training, stop_training
from training.definitions import save_definition
from training.runtime_settings import apply_settings
from training.sources import cancel_source, disable_source, queue_source

KEY_MARK = "lea_"
KEY_BYTES = 32  # 256 random bits: a plain digest needs no salt and no slow hash
PREFIX_LENGTH = 12
DAYS, DAYS_MAX = 90, 3650
SEEN_EVERY = timedelta(minutes=1)
Scope = ApiKey.Scope
# The permissions of scope `operate`. `read` has none, `admin` has all. A key never has more than its owner.
OPERATING = frozenset(
    action.permission
    for action in (
        start_training,
        stop_training,
        queue_source,
        disable_source,
        cancel_source,
        create_campaign,
        save_definition,
        apply_settings,
        ask,
        judge_run,
        hold_promotion,
        evaluate_now,
        request_drill,
    )
)


def create_api_key(
    *, name: str, scope: str, by: Actor | str, origin: str, owner: User | None = None, days: int = DAYS
) -> tuple[ApiKey, str]:
    """Makes a key; returns its row and the key itself, which is stored nowhere and cannot be shown again.

    On the command line (`origin="cli"`) `by` may be a plain name, and a key without an owner becomes the first
    superuser's, or has none while there is no superuser.
    Raises Forbidden for a scope above the maker's own permissions, InvalidInput for an empty name, an unknown scope,
    no owner or another number of days, Conflict when the name is taken.
    """
    if origin == "cli":
        by = command_line(by) if isinstance(by, str) else by
        owner = owner or User.objects.filter(is_superuser=True, is_active=True, is_staff=True).order_by("pk").first()
    return _make_key(name=name, scope=scope, by=by, origin=origin, owner=owner, days=days)  # type: ignore[arg-type]


@requires("lealife.add_apikey")
def _make_key(*, name: str, scope: str, by: Actor, origin: str, owner: User | None, days: int) -> tuple[ApiKey, str]:
    cleaned = name.replace("\x00", "").strip()
    if not 1 <= len(cleaned) <= 100:
        raise InvalidInput("A key's name must have between 1 and 100 characters.", field="name")
    if scope not in Scope.values:
        raise InvalidInput(f"The scope must be one of {', '.join(Scope.values)}, not {scope!r}.", field="scope")
    check_scope(scope, by=by)
    if owner is None and origin != "cli":
        raise InvalidInput("A key needs an owner.", field="owner")
    if not 1 <= days <= DAYS_MAX:
        raise InvalidInput(f"A key must expire after 1 to {DAYS_MAX:,} days, not {days:,}.", field="days")
    secret = KEY_MARK + secrets.token_urlsafe(KEY_BYTES)
    with transaction.atomic():
        key, made = ApiKey.objects.get_or_create(
            name=cleaned,
            defaults={
                "prefix": secret[:PREFIX_LENGTH],
                "key_digest": digest_bytes(secret.encode()),
                "scope": scope,
                "owner": owner,
                "ownerless": owner is None,
                "expires_at": timezone.now() + timedelta(days=days),
                "created_by": by.name,
            },
        )
        if not made:
            raise Conflict(f"There is already a key named {cleaned!r}.", field="name")
        record_audit(
            actor=by,
            origin=origin,
            action="create api key",
            subject=f"key {cleaned}",
            details={"scope": scope, "owner": owner.get_username() if owner else None, "days": days},
        )
    return key, secret


def check_scope(scope: str, *, by: Actor) -> None:
    """Raises Forbidden for a scope that gives more than `by` may do."""
    if scope == Scope.ADMIN and not by.may_everything:
        raise Forbidden(f"{by} may not make a key of scope admin: only a superuser may do that.", field="scope")
    if scope == Scope.OPERATE and (lacking := sorted(needed for needed in OPERATING if not by.may(needed))):
        raise Forbidden(f"{by} may not make a key of scope operate: it needs {', '.join(lacking)}.", field="scope")


def may_give(scope: str, *, by: Actor) -> bool:
    """Whether `by` may make a key of this scope."""
    try:
        check_scope(scope, by=by)
    except Forbidden:
        return False
    return True


@requires("lealife.change_apikey")
def revoke_api_key(*, key_id: int, by: Actor, origin: str) -> None:
    """Revokes a key, at once and permanently. Raises NotFound, or Conflict when it was revoked before."""
    with transaction.atomic():
        name = ApiKey.objects.filter(pk=key_id).values_list("name", flat=True).first()
        if name is None:
            raise NotFound(f"There is no API key {key_id}.")
        if not ApiKey.objects.filter(pk=key_id, revoked_at=None).update(revoked_at=timezone.now()):
            raise Conflict(f"Key {name!r} is already revoked.")
        record_audit(actor=by, origin=origin, action="revoke api key", subject=f"key {name}")


def find_key(secret: str) -> ApiKey | None:
    """The stored key, valid or not; None when there is none.

    The lookup is by digest, so its duration reveals nothing about stored keys.
    """
    return ApiKey.objects.select_related("owner").filter(key_digest=digest_bytes(secret.encode())).first()


def why_not_good(key: ApiKey) -> str:
    """Why a key is refused now, in one sentence; empty when it is valid."""
    if key.revoked_at is not None:
        return f"The API key {key.name!r} is revoked."
    if key.expires_at <= timezone.now():
        return f"The API key {key.name!r} expired on {key.expires_at:%Y-%m-%d}. Make a new one."
    owner = key.owner
    if owner is None:
        return "" if key.ownerless else f"The API key {key.name!r} is no longer valid: its owner was deleted."
    if not (owner.is_active and owner.is_staff):
        return f"The API key {key.name!r} is no longer valid: its owner {owner.get_username()} may no longer sign in."
    return ""


def count_wrong_key(*, address: str | None, now: datetime, most: int) -> bool:
    """Counts a wrong key from this address; False once the address has sent `most` in the current minute.

    Past the limit the address is only looked up: its further keys cost no write.
    """
    minute = now.replace(second=0, microsecond=0)
    row = WrongKeys(address=address or "", minute=minute)
    same = WrongKeys.objects.filter(address=row.address, minute=minute)
    if same.filter(count__gte=most).exists():
        return False
    # Insert, then let the database count up: two processes at once cannot lose each other's count.
    WrongKeys.objects.bulk_create([row], ignore_conflicts=True)
    return bool(same.filter(count__lt=most).update(count=F("count") + 1))


def read_key(key: ApiKey) -> Actor:
    """What a valid key may do now: the permissions of its scope that its owner still has. Notes that it was used."""
    now = timezone.now()
    # At most one write per minute and key; two racing requests write the same value.
    ApiKey.objects.filter(Q(last_used_at=None) | Q(last_used_at__lt=now - SEEN_EVERY), pk=key.pk).update(
        last_used_at=now
    )
    name = f"key:{key.name}"
    owner = read_user(key.owner) if key.owner else command_line(name)
    if key.scope == Scope.ADMIN:
        return Actor(name, owner.permissions, owner.may_everything)
    if key.scope == Scope.OPERATE:
        return Actor(name, frozenset(needed for needed in OPERATING if owner.may(needed)))
    return Actor(name)
