"""Anchors: the chain's length and head, kept outside the chain, so that a shortened chain is found.

One is added to a table of its own with each batch of seals. The last one is also in a file below the data folder:
a superuser of the database can empty both tables, and not the file.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

from django.db import connection, transaction

from lealife.core.digest import digest_value
from lealife.core.places import data_dir
from training.models import ChainAnchor, OutcomeSeal

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Anchor:
    """How long the chain was once, and the hash of its last row then."""

    rows: int
    hash: str


def keep_anchor(*, rows: int, head: str) -> None:
    """Adds an anchor within the caller's transaction, and writes the file once it has committed.

    Adds none while the chain does not reach or fit an earlier one: that anchor is the proof, and stays the furthest.
    """
    if find_anchor_fault(read_anchors()):
        return
    ChainAnchor.objects.create(rows=rows, hash=head)
    transaction.on_commit(lambda: _write_file(Anchor(rows=rows, hash=head)))


def count_seals() -> int:
    """The row of the newest seal: the chain's length, unless seals were taken out of it."""
    return OutcomeSeal.objects.order_by("-row").values_list("row", flat=True).first() or 0


def read_anchors() -> list[Anchor]:
    """The furthest anchor of the table and that of this machine's file, as far as they are there.

    Read them before the chain: it has then grown past them or been shortened.
    """
    kept = ChainAnchor.objects.order_by("-rows", "id").values_list("rows", "hash").first()
    return [anchor for anchor in (Anchor(*kept) if kept else None, read_file()) if anchor is not None]


def find_anchor_fault(anchors: list[Anchor]) -> str:
    """What of the chain does not reach or fit an anchor, in a sentence; empty when all is well."""
    for anchor in anchors:
        found = OutcomeSeal.objects.filter(row=anchor.rows).values_list("hash", flat=True).first()
        if found is None:
            return f"Chain is shorter than its anchor: {count_seals():,} of {anchor.rows:,} seals.{_advise(anchor)}"
        if found != anchor.hash:
            fault = f"Row {anchor.rows:,} of the chain is not the one that was anchored: the chain was rewritten."
            return fault + _advise(anchor)
    return ""


def _advise(anchor: Anchor) -> str:
    """What to do about an anchor that the file has and the database has not: perhaps it was restored on purpose."""
    if ChainAnchor.objects.filter(**asdict(anchor)).exists():
        return ""
    return (
        f" Only {anchor_file().name} in the data folder has that anchor. If you restored a backup or made the "
        "database again, move this file to another folder."
    )


def anchor_file() -> Path:
    """The file of the database at hand: one that is made again under the same name must answer for its chain."""
    database = connection.settings_dict
    told = digest_value([database["HOST"], database["PORT"], database["NAME"]])
    return data_dir() / f"chain-anchor-{told[:12]}.json"


def read_file() -> Anchor | None:
    """The anchor in this machine's file; None without one."""
    try:
        return Anchor(**json.loads(anchor_file().read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        log.warning("%s cannot be read: %s", anchor_file(), error)
        return None


def _write_file(anchor: Anchor) -> None:
    held = read_file()
    if held is not None and held.rows >= anchor.rows:
        return
    path = anchor_file()
    part = path.with_suffix(".part")
    try:
        part.write_text(json.dumps(asdict(anchor)) + "\n")
        part.replace(path)
    except OSError as error:
        log.warning("%s cannot be written: %s", path, error)
