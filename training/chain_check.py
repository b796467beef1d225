"""The chain walked again while the product runs, so that the page can say up to which row outcomes are proven."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from lealife.core.announce import announce
from training.anchors import count_seals, find_anchor_fault, read_anchors
from training.models import ChainCheck, OutcomeSeal
from training.seals import GENESIS, hash_outcome

# Rows that one piece of work walks: a fraction of a second.
WALK_ROWS = 2_000
# New rows are looked at so often, and everything from the first row on so often: what is changed behind the triggers
# is found within a day.
LOOK_EVERY = timedelta(seconds=10)
PASS_EVERY = timedelta(days=1)


def read_chain_check() -> ChainCheck:
    """The row; made when it is missing."""
    return ChainCheck.objects.first() or ChainCheck.objects.get_or_create(id=1)[0]


def is_chain_check_due(*, now: datetime) -> bool:
    """Whether rows wait to be walked, or the last walk from the first row on is a day old."""
    check = read_chain_check()
    if _is_pass_over(check, now=now):
        return OutcomeSeal.objects.exists() or bool(read_anchors())
    if check.broken_at is not None or (check.checked_at and check.checked_at <= now < check.checked_at + LOOK_EVERY):
        return False
    return count_seals() != check.verified_rows


def check_chain(*, now: datetime, limit: int = WALK_ROWS) -> int:
    """Walks the next rows of the chain, at most `limit`; returns how many it found in order.

    The first row that does not follow is kept and ends the walk until the next pass, a day after the last began.
    """
    with transaction.atomic():
        read_chain_check()
        check = ChainCheck.objects.select_for_update().get(id=1)
        if _is_pass_over(check, now=now):
            check.verified_rows, check.last_hash, check.broken_at, check.pass_started_at = 0, "", None, now
            check.fault = ""
        anchors = read_anchors()
        before, previous = check.verified_rows, check.last_hash or GENESIS
        # Read first: what is sealed meanwhile is for the next walk.
        newest = count_seals()
        until = min(newest, before + limit) if check.broken_at is None else before
        seals = OutcomeSeal.objects.select_related("outcome").filter(row__gt=before, row__lte=until)
        for seal in seals.order_by("row"):
            if not _does_follow(seal, row=check.verified_rows + 1, previous=previous):
                break
            check.verified_rows, previous = seal.row, seal.hash
        # The walk does not meet a seal whose outcome is gone. At the chain's end only the count shows it.
        if check.broken_at is None and (check.verified_rows < until or newest < before):
            check.broken_at = min(check.verified_rows, newest) + 1
        if newest <= check.verified_rows or check.broken_at is not None:
            # All rows are walked, or the walk has ended: what is missing at the end is named before a broken row is.
            check.fault = find_anchor_fault(anchors) or _name_break(check.broken_at)
            check.broken_at = check.broken_at or (newest + 1 if check.fault else None)
        check.last_hash, check.checked_at = previous, now
        check.save()
        announce("outcomes")
        return check.verified_rows - before


def _is_pass_over(check: ChainCheck, *, now: datetime) -> bool:
    return check.pass_started_at is None or not check.pass_started_at <= now < check.pass_started_at + PASS_EVERY


def _does_follow(seal: OutcomeSeal, *, row: int, previous: str) -> bool:
    """Whether `seal` is row `row`, follows the hash before it and still hashes its outcome."""
    linked = seal.row == row and seal.previous_hash == previous
    return linked and hash_outcome(seal.outcome, previous=previous) == seal.hash


def _name_break(row: int | None) -> str:
    """What a row that does not follow means; empty without one."""
    return f"Row {row:,} does not match its seal: outcomes were changed or removed." if row else ""
