"""A bundle says how long the outcome chain was known to be: one whose chain is shorter is broken."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from lealife.core.digest import digest_value
from promotion.proof.bundle import BrokenBundle, chain_records, verify_bundle
from promotion.proof.bundle_rules import GENESIS, KINDS
from tests.factories import later, make_host, make_outcome
from tests.guards import behind_guards
from training.seals import seal_outcomes


def write(tmp_path, *, anchors: list[dict[str, object]]):
    columns = {"id": 1, "canary_id": None, "run_id": 1}
    records = [("outcome", {"row": 1, "seal": digest_value([GENESIS, columns]), "columns": columns})]
    path = tmp_path / "proof.jsonl"
    counts = {**dict.fromkeys(KINDS, 0), "outcome": 1}
    path.write_bytes(b"".join(chain_records(records, made_at="", version="1", counts=counts, anchors=anchors)))
    return path


@pytest.mark.parametrize(
    ("anchor", "fault"),
    [
        ({"rows": 160, "hash": "f" * 64}, "the chain is shorter than its anchor: 1 of 160 seals"),
        ({"rows": 1, "hash": "f" * 64}, "row 1 of the outcome chain is not the one that was anchored"),
    ],
)
def test_a_chain_that_does_not_reach_or_fit_its_anchor_is_named(tmp_path, anchor, fault):
    path = write(tmp_path, anchors=[anchor])
    with pytest.raises(BrokenBundle, match=fault), path.open("rb") as stream:
        verify_bundle(stream)


def test_a_bundle_without_anchors_is_still_sound(tmp_path):
    with write(tmp_path, anchors=[]).open("rb") as stream:
        assert verify_bundle(stream).counts["outcome"] == 1


@pytest.mark.parametrize("emptied", ["row > 2", "true"])
def test_export_and_verify_name_outcomes_that_were_taken_away_with_their_anchors(transactional_db, tmp_path, emptied):
    host = make_host()
    for hour in range(4):
        make_outcome(host, now=later(hours=hour))
    seal_outcomes()
    call_command("proof", "export", str(tmp_path / "whole.jsonl"))
    with behind_guards(), connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM training_outcomes WHERE id IN (SELECT outcome_id FROM training_outcome_seals WHERE {emptied})"
        )
        cursor.execute(f"DELETE FROM training_outcome_seals WHERE {emptied}")
        cursor.execute("DELETE FROM training_chain_anchors")
    left = 2 if emptied == "row > 2" else 0
    with pytest.raises(CommandError, match=f"the chain is shorter than its anchor: {left} of 4 seals"):
        call_command("proof", "export", str(tmp_path / "short.jsonl"))
    with pytest.raises(CommandError, match=f"{left} of 4 seals"):
        call_command("proof", "verify", str(tmp_path / "short.jsonl"))
