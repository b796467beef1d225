"""Proof bundles: one file that shows what was served and why. It can be checked without model, network or database.

JSON lines, each the canonical JSON of `{body, hash, kind, line}` with `hash = sha256([previous hash, line, kind,
body])`. The first line is the header, the last the seal, which holds the totals of all records. A change of any byte
breaks its own line or the next. Even a completely forged file needs pairs that give its verdicts under the gate's own
code. To detect such a file, keep the seal's hash elsewhere and compare it.

`python -m promotion.proof.bundle FILE` checks a file with nothing but Python's own library.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from lealife.core.digest import canonical_json, digest_value
from lealife.core.errors import Refused
from promotion.gate.error_budget import ALPHA_LIFE
from promotion.proof.bundle_rules import GENESIS, KINDS, Ledger

FORMAT = 3
HEADER, SEAL = "header", "seal"
# Far more than any real record needs; a longer line is not read into memory.
LINE_MAX = 16 * 1024 * 1024
_PLURALS = ("settings changes", "watched runs", "outcomes", "pairs", "verdicts", "canaries", "applies", "watches")
PLURALS = dict(zip(KINDS, _PLURALS, strict=True))
SINGULARS = {"watched": "watched run"}
_KEYS = {"body", "hash", "kind", "line"}
_MISSHAPEN = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)


class BrokenBundle(Refused):
    """Raised for the first faulty line. `line` counts from 1; `kind` and `subject` may be unknown."""

    code = "broken_bundle"

    def __init__(self, *, line: int, fault: str, kind: str = "", subject: str = "") -> None:
        named = " ".join(filter(None, [kind, subject]))
        super().__init__(f"Line {line}{f', {named}' if named else ''}: {fault}.")
        self.line, self.kind, self.subject = line, kind, subject


@dataclass(frozen=True, slots=True)
class Checked:
    """The contents of a sound bundle. `head` is the seal's hash, `outcome_hash` the last one of the outcome chain."""

    made_at: str
    version: str
    lines: int
    counts: dict[str, int]
    alpha_spent: float
    outcome_hash: str
    head: str

    @property
    def sentence(self) -> str:
        """The whole in one sentence."""
        held = ", ".join(
            f"{count} {SINGULARS.get(kind, kind) if count == 1 else PLURALS[kind]}"
            for kind, count in self.counts.items()
        )
        return (
            f"Sound: {self.lines} lines of {self.made_at}, {held}; "
            f"alpha spent {self.alpha_spent:.4f}; seal {self.head}."
        )


def chain_records(
    records: Iterable[tuple[str, Mapping[str, Any]]],
    *,
    made_at: str,
    version: str,
    counts: Mapping[str, int],
    alpha_life: float = ALPHA_LIFE,
    anchors: Sequence[Mapping[str, Any]] = (),
) -> Iterator[bytes]:
    """The lines of a bundle: header, the (kind, body) records in order, seal. Holds one line at a time.

    `alpha_life` is the lifetime's alpha as it is set now; `anchors` say how long the outcome chain was known to be
    (`rows`) and its last row's hash then.
    """
    alpha_spent, held = 0.0, dict.fromkeys(KINDS, 0)
    header = {
        "format": FORMAT,
        "version": version,
        "made_at": made_at,
        "counts": dict(counts),
        "alpha_life": alpha_life,
        "anchors": list(anchors),
    }
    line, previous = 1, GENESIS
    text, previous = _write_line(HEADER, header, line=line, previous=previous)
    yield text
    for kind, body in records:
        line += 1
        held[kind] += 1
        alpha_spent += body["alpha"] if kind == "verdict" and not body.get("drill") else 0.0
        text, previous = _write_line(kind, body, line=line, previous=previous)
        yield text
    text, _ = _write_line(
        SEAL, {"lines": line + 1, "counts": held, "alpha_spent": alpha_spent}, line=line + 1, previous=previous
    )
    yield text


def verify_bundle(stream: BinaryIO) -> Checked:
    """Reads a bundle from its header to its seal and rebuilds every verdict. Raises BrokenBundle."""
    ledger, previous, number = Ledger(), GENESIS, 0
    header: dict[str, Any] = {}
    sealed = False
    for number, text in enumerate(iter(lambda: stream.readline(LINE_MAX), b""), start=1):
        kind, body, previous = _read_line(text, line=number, previous=previous)
        if sealed:
            raise BrokenBundle(line=number, kind=kind, fault="it comes after the seal")
        if (number == 1) != (kind == HEADER):
            raise BrokenBundle(line=number, kind=kind, fault="the first line, and no other, is the header")
        try:
            if kind == HEADER:
                header, fault = body, "" if body["format"] == FORMAT else f"format {body['format']} is not {FORMAT}"
                ledger.alphas.add(float(body["alpha_life"]))
                # Bundles of older versions do not have it.
                ledger.anchors.update((int(anchor["rows"]), anchor["hash"]) for anchor in body.get("anchors", ()))
            elif kind == SEAL:
                sealed, fault = True, _find_seal_fault(body, header=header, ledger=ledger, line=number)
            else:
                fault = ledger.take(kind, body) or _find_anchor_fault(kind, body, ledger=ledger)
        except _MISSHAPEN as error:
            fault = f"its body is not that of a {kind} ({type(error).__name__}: {error})"
        if fault:
            raise BrokenBundle(line=number, kind=kind, subject=name_subject(kind, body), fault=fault)
    if not sealed:
        raise BrokenBundle(line=number + 1, kind=SEAL, fault="the file ends before its seal")
    return Checked(
        made_at=str(header.get("made_at", "")),
        version=str(header.get("version", "")),
        lines=number,
        counts={kind: ledger.counts[kind] for kind in KINDS},
        alpha_spent=ledger.alpha_spent,
        outcome_hash=ledger.outcome_hash,
        head=previous,
    )


def name_subject(kind: str, body: Mapping[str, Any]) -> str:
    """Which one of its kind a record is, as far as its body says."""
    columns = body.get("columns")
    if kind == "pair":
        return f"{body.get('evaluation')}/{body.get('index')}"
    if kind == "outcome" and isinstance(columns, dict):
        return str(columns.get("id"))
    if kind == "watched":
        return f"{body.get('watch')}/{body.get('run')}"
    if kind == "verdict":
        return f"of evaluation {body.get('id')}"
    return str(body.get("version" if kind == "setting" else "id", "")) if kind in KINDS else ""


def _write_line(kind: str, body: Mapping[str, Any], *, line: int, previous: str) -> tuple[bytes, str]:
    current = digest_value([previous, line, kind, body])
    return canonical_json({"body": body, "hash": current, "kind": kind, "line": line}) + b"\n", current


def _read_line(text: bytes, *, line: int, previous: str) -> tuple[str, dict[str, Any], str]:
    """Kind, body and hash of a line that is well formed and follows the one before."""
    if not text.endswith(b"\n"):
        raise BrokenBundle(line=line, fault="it does not end where a line ends")
    try:
        record = json.loads(text)
        # The same values in other bytes (an extra space, a repeated key) count as a change too.
        canonical = canonical_json(record) + b"\n" == text
    except (ValueError, RecursionError):
        raise BrokenBundle(line=line, fault="it is not readable as JSON") from None
    if not isinstance(record, dict) or set(record) != _KEYS or not isinstance(record["body"], dict):
        raise BrokenBundle(line=line, fault="it is not a record of body, hash, kind and line")
    kind, body = record["kind"], record["body"]
    if kind not in (HEADER, SEAL, *KINDS):
        raise BrokenBundle(line=line, fault=f"there is no kind of record {kind!r}")
    subject = name_subject(kind, body)
    if not canonical:
        raise BrokenBundle(line=line, kind=kind, subject=subject, fault="its bytes are not those it was written with")
    if record["line"] != line:
        raise BrokenBundle(line=line, kind=kind, subject=subject, fault=f"it was written as line {record['line']}")
    if record["hash"] != digest_value([previous, line, kind, body]):
        fault = "its hash does not follow from what it says and the line before"
        raise BrokenBundle(line=line, kind=kind, subject=subject, fault=fault)
    return kind, body, record["hash"]


def _find_anchor_fault(kind: str, body: Mapping[str, Any], *, ledger: Ledger) -> str:
    if kind != "outcome" or ledger.anchors.get(body["row"], body["seal"]) == body["seal"]:
        return ""
    return f"row {body['row']} of the outcome chain is not the one that was anchored"


def _find_seal_fault(body: Mapping[str, Any], *, header: Mapping[str, Any], ledger: Ledger, line: int) -> str:
    counts = {kind: ledger.counts[kind] for kind in KINDS}
    if (fault := ledger.find_end_fault()) or body["lines"] != line:
        return fault or f"it seals {body['lines']} lines"
    if counts != body["counts"] or counts != header["counts"]:
        return "its counts, or the header's, are not those of the records"
    # The same sum of the same numbers in the same order: to the last digit.
    return "" if body["alpha_spent"] == ledger.alpha_spent else "its alpha is not the sum of the verdicts'"


def main(arguments: list[str]) -> int:
    """`python -m promotion.proof.bundle FILE`: 0 for a sound bundle, 1 for a broken one, 2 when none can be read."""
    try:
        (path,) = map(Path, arguments)
        with path.open("rb") as stream:
            sys.stdout.write(f"{verify_bundle(stream).sentence}\n")
    except BrokenBundle as broken:
        sys.stdout.write(f"Broken: {broken}\n")
        return 1
    except (ValueError, OSError) as error:
        sys.stderr.write(f"Usage: python -m promotion.proof.bundle FILE ({error})\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
