"""Proof bundles: what was exported verifies anywhere, and no byte of it can be changed unnoticed."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import DjangoDbBlocker

from lealife.core.digest import digest_value
from promotion.gate.error_budget import alpha_for
from promotion.gate.pairs import Evidence
from promotion.gate.rule import decide
from promotion.proof.bundle import BrokenBundle, Checked, chain_records, verify_bundle
from promotion.proof.bundle_records import count_records, read_records
from promotion.proof.bundle_rules import GENESIS, KINDS
from tests.factories import make_host
from tests.promotion.ledgers import History, make_history
from tests.promotion.scenes import Servers, make_outcome
from training.models import Host, TrainingOutcome

NOW = "2026-11-24T01:00:00+00:00"
Records = list[tuple[str, dict[str, Any]]]


def chain(records: Records) -> bytes:
    counts = {kind: sum(found == kind for found, _ in records) for kind in KINDS}
    return b"".join(chain_records(records, made_at=NOW, version="0", counts=counts))


def verify(data: bytes) -> Checked:
    return verify_bundle(io.BytesIO(data))


def refuse(data: bytes) -> BrokenBundle:
    with pytest.raises(BrokenBundle) as caught:
        verify(data)
    assert f"Line {caught.value.line}" in str(caught.value)
    return caught.value


def invent_records() -> Records:
    """A first candidate that wins eleven pairs in a row and is routed to nobody; no database needed."""
    columns = {"id": 1, "canary_id": None, "lane": "training", "success": True, "error_code": "", "tag": "tägli"}
    arm = {"inputs": "i", "run": 1, "success": True, "invalid": False, "calls": 2}
    lost = {**arm, "success": False}
    pairs: Records = [
        ("pair", {"evaluation": 1, "index": index, "result": "win", "candidate": arm, "baseline": lost})
        for index in range(11)
    ]
    decision = decide(evidence=Evidence(11), pair_budget=20, pairs_done=11, alpha=alpha_for(k=1))
    verdict = {
        "id": 1,
        "role": "task",
        "candidate_number": 1,
        "alpha": alpha_for(k=1),
        "pair_budget": 20,
        "verdict": decision.verdict.value,
        "hypothesis": decision.hypothesis.value,
        "reason": decision.reason,
        "wins": 11,
        **dict.fromkeys(("losses", "ties", "fewer_calls", "more_calls"), 0),
        "e_value": decision.e_value,
        "e_cheaper": decision.e_cheaper,
    }
    return [
        ("setting", {"version": 2, "changes": {"loop_interval_s": [5, 7]}}),
        ("setting", {"version": 3, "changes": {"loop_interval_s": [7, 5]}}),
        ("outcome", {"row": 1, "seal": digest_value([GENESIS, columns]), "columns": columns}),
        ("outcome", {"row": None, "seal": None, "columns": {**columns, "id": 2}}),
        *pairs,
        ("verdict", verdict),
    ]


SMALL = chain(invent_records())
LINES = SMALL.splitlines(keepends=True)


# Whatever is done to the bytes.


def test_a_small_bundle_is_sound():
    checked = verify(SMALL)
    assert checked.lines == len(LINES)
    held = "2 settings changes, 0 watched runs, 2 outcomes, 11 pairs, 1 verdict, 0 canaries, 0 applies, 0 watches"
    assert held in checked.sentence
    assert checked.counts == {**dict.fromkeys(KINDS, 0), "setting": 2, "outcome": 2, "pair": 11, "verdict": 1}


def test_a_flipped_bit_in_any_byte_is_named_with_its_line():
    starts = [sum(map(len, LINES[:number])) for number in range(len(LINES))]
    for place in range(len(SMALL)):
        edited = bytearray(SMALL)
        edited[place] ^= 1
        line = sum(start <= place for start in starts)
        assert refuse(bytes(edited)).line == line, f"byte {place}"


@given(place=st.integers(0, len(SMALL) - 1), byte=st.integers(0, 255))
def test_any_one_byte_edit_is_named(place, byte):
    edited = bytearray(SMALL)
    edited[place] = byte
    if edited != SMALL:
        refuse(bytes(edited))


@given(place=st.integers(0, len(SMALL)), byte=st.integers(0, 255))
def test_any_inserted_byte_is_named(place, byte):
    refuse(SMALL[:place] + bytes([byte]) + SMALL[place:])


@given(place=st.integers(0, len(SMALL) - 1))
def test_any_missing_byte_and_any_truncation_is_named(place):
    refuse(SMALL[:place] + SMALL[place + 1 :])
    refuse(SMALL[:place])


@pytest.mark.parametrize("number", range(len(LINES)))
def test_a_dropped_line_is_named(number):
    assert refuse(b"".join(LINES[:number] + LINES[number + 1 :])).line == number + 1


@given(first=st.integers(0, len(LINES) - 1), second=st.integers(0, len(LINES) - 1))
def test_two_swapped_lines_are_named(first, second):
    lines = list(LINES)
    lines[first], lines[second] = lines[second], lines[first]
    if first != second:
        assert refuse(b"".join(lines)).line == min(first, second) + 1


@pytest.mark.parametrize("number", range(len(LINES)))
def test_an_appended_line_is_named(number):
    assert refuse(SMALL + LINES[number]).line == len(LINES) + 1


def test_an_empty_file_is_no_bundle():
    assert str(refuse(b"")) == "Line 1, seal: the file ends before its seal."


def test_a_body_of_the_wrong_shape_is_named_not_crashed_over():
    records = invent_records()
    records[0] = ("setting", {"version": "two", "changes": {}})
    records[1] = ("setting", {})
    assert refuse(chain(records)).line == 3


# Forged and hashed again from end to end.


def forge(records: Records, kind: str, **change: Any) -> bytes:
    """The records with the last of a kind changed, chained as if they had always been so."""
    place = max(number for number, (found, _) in enumerate(records) if found == kind)
    return chain([*records[:place], (kind, {**records[place][1], **change}), *records[place + 1 :]])


def test_a_changed_arm_is_named_by_its_pair():
    broken = refuse(forge(invent_records(), "pair", candidate={"success": False, "invalid": False, "calls": 2}))
    assert str(broken) == "Line 16, pair 1/10: its arms give a tie, stored is win."


def test_a_changed_pair_is_named_by_the_verdict_of_its_evaluation():
    lost, won = ({"success": success, "invalid": False, "calls": 2} for success in (False, True))
    broken = refuse(forge(invent_records(), "pair", result="loss", candidate=lost, baseline=won))
    assert str(broken) == "Line 17, verdict of evaluation 1: the pairs give pending, stored is promote."


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"verdict": "reject"}, "the pairs give promote, stored is reject"),
        ({"wins": 8}, "the pairs give 11–0–0 (wins–losses–ties), stored is 8–0–0"),
        ({"fewer_calls": 1}, "the pairs give 0–0 (fewer–more calls), stored is 1–0"),
        ({"e_value": 1e6}, "the pairs give an e_value of"),
        ({"e_cheaper": 1e6}, "the pairs give an e_cheaper of"),
        ({"hypothesis": "cheaper"}, "the pairs speak for the hypothesis “better”, stored is “cheaper”"),
        ({"reason": "Because."}, "the pairs give the reason"),
        ({"alpha": 0.04}, "its alpha is 0.04, the error budget gives 0.00694475 to candidate 1"),
        ({"candidate_number": 2}, "it is called candidate 2"),
        ({"id": 2}, "the pairs of evaluation 1 stand before it"),
        ({"pair_budget": 3}, "its body is not that of a verdict"),
    ],
)
def test_a_forged_verdict_is_named(change, fault):
    assert fault in str(refuse(forge(invent_records(), "verdict", **change)))


def test_a_claim_that_something_changed_can_close_but_not_promote():
    claim = {"reason": "Changed during the evaluation: the active tag."}
    assert "the pairs give invalid, stored is promote" in str(refuse(forge(invent_records(), "verdict", **claim)))
    verify(forge(invent_records(), "verdict", **claim, verdict="invalid", hypothesis=""))


def test_a_changed_outcome_no_longer_fits_its_seal():
    records = [record for record in invent_records() if record[0] != "outcome" or record[1]["row"]]
    broken = refuse(forge(records, "outcome", columns={**records[2][1]["columns"], "success": False}))
    assert str(broken) == "Line 4, outcome 1: its seal in row 1 of the outcome chain does not fit."


@pytest.mark.parametrize(
    ("success", "state", "is_counted", "fault"),
    [
        (True, "verified", True, ""),
        # The setting of its time decided over these.
        (True, "supported", True, ""),
        (True, "supported", False, ""),
        (False, "unsure", False, ""),
        (True, "verified", False, "it is verified and does not count"),
        (True, "unsure", True, "it counts without being a sure success"),
        (False, "verified", True, "it counts without being a sure success"),
    ],
)
def test_what_an_outcome_counts_as_must_follow_from_how_it_ended(success, state, is_counted, fault):
    records = invent_records()
    columns = {**records[3][1]["columns"], "success": success, "answer_state": state, "is_counted": is_counted}
    if fault:
        assert fault in str(refuse(forge(records, "outcome", columns=columns)))
    else:
        verify(forge(records, "outcome", columns=columns))


def test_a_dropped_settings_change_is_missed():
    records = [*invent_records()[:1], ("setting", {"version": 4, "changes": {}})]
    assert "settings version 4 follows version 2" in str(refuse(chain(records)))


def test_a_lifetime_alpha_that_was_set_gives_other_levels_and_no_higher_one_does():
    alpha = alpha_for(k=1, alpha_life=0.01)
    decision = decide(evidence=Evidence(11), pair_budget=20, pairs_done=11, alpha=alpha)
    lower = {
        "alpha": alpha,
        "verdict": decision.verdict.value,
        "hypothesis": decision.hypothesis.value,
        "reason": decision.reason,
    }
    assert "its alpha is" in str(refuse(forge(invent_records(), "verdict", **lower)))
    records = invent_records()
    records[1] = ("setting", {"version": 3, "changes": {"lifetime_alpha": [0.05, 0.01]}})
    verify(forge(records, "verdict", **lower))


def test_a_drill_spends_nothing_and_promotes_nothing():
    kind, verdict = invent_records()[-1]
    drill = (kind, {**verdict, "drill": True, "id": 0, "candidate_number": 5, "alpha": 0.9, "verdict": "pending"})
    records = [*invent_records()[:4], drill, *invent_records()[4:]]
    assert verify(chain(records)).alpha_spent == alpha_for(k=1)
    canary = ("canary", {"id": 1, "evaluation": 1, "role": "task"})
    assert "was a drill" in str(refuse(chain([*invent_records()[:-1], (kind, {**verdict, "drill": True}), canary])))


# From the database.


@pytest.fixture
def history(host: Host, servers: Servers) -> History:
    return make_history(host, servers)


@pytest.fixture(scope="module")
def records(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Records:
    """The records of a history that is rolled back at once."""
    with django_db_blocker.unblock(), transaction.atomic():
        make_history(make_host(), Servers())
        found = list(read_records())
        transaction.set_rollback(True)
    return found


def test_a_whole_history_verifies(history, tmp_path):
    call_command("proof", "export", str(tmp_path / "proof.jsonl"))
    checked = verify((tmp_path / "proof.jsonl").read_bytes())
    assert checked.counts == count_records()
    assert (checked.counts["verdict"], checked.counts["apply"], checked.counts["setting"]) == (2, 2, 2)
    assert checked.alpha_spent == pytest.approx(alpha_for(k=1) + alpha_for(k=2))
    assert [path.name for path in tmp_path.iterdir()] == ["proof.jsonl"]


def test_the_same_history_gives_the_same_bytes(history):
    assert chain(list(read_records())) == chain(list(read_records()))


def test_what_is_written_while_it_exports_is_left_out(transactional_db, history, host, tmp_path):
    def interfere(execute: Any, sql: str, *rest: Any) -> Any:
        result = execute(sql, *rest)
        if "COUNT(" in sql and not late:
            late.append(1)
            with ThreadPoolExecutor(1) as threads:
                threads.submit(insert_outcome, host).result()
        return result

    late: list[int] = []
    before = TrainingOutcome.objects.count()
    with connection.execute_wrapper(interfere):
        call_command("proof", "export", str(tmp_path / "proof.jsonl"))
    assert verify((tmp_path / "proof.jsonl").read_bytes()).counts["outcome"] == before
    assert TrainingOutcome.objects.count() == before + 1


def insert_outcome(host: Host) -> None:
    try:
        make_outcome(host)
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("kind", "change", "fault"),
    [
        ("apply", {"rolls_back": None}, "neither a first routing, nor of a passed canary, nor a roll back"),
        ("apply", {"role": "task"}, "it does not put back the tag"),
        ("apply", {"to": {"tag": "evil", "digest": "e"}}, "it does not put back the tag"),
        ("canary", {"state": "open"}, "has not passed, or was applied before"),
        ("canary", {"candidate_observations": 30}, "it counted 3 of 30 in the candidate arm, its outcomes give 3 of 3"),
        ("canary", {"baseline_successes": 2, "baseline_observations": 2}, "the guardrail says"),
        ("canary", {"evaluation": 0}, "evaluation 0 did not promote its candidate"),
    ],
)
def test_a_forged_canary_or_apply_is_named(records, kind, change, fault):
    assert fault in str(refuse(forge(records, kind, **change)))


def test_the_command_names_the_broken_line_and_fails(history, tmp_path):
    path = tmp_path / "proof.jsonl"
    path.write_bytes(chain(list(read_records())).replace(b'"verdict":"promote"', b'"verdict":"promotE"'))
    with pytest.raises(CommandError, match=r"Broken: Line \d+, verdict of evaluation \d+: its hash does not follow"):
        call_command("proof", "verify", str(path))


def test_a_file_that_is_not_there_is_said_in_a_sentence(tmp_path):
    with pytest.raises(CommandError, match="No such file"):
        call_command("proof", "verify", str(tmp_path / "none"))


def test_what_is_exported_is_written_whole_or_not_at_all(history, tmp_path, monkeypatch):
    def fail(*arguments: Any, **options: Any) -> Any:
        yield b"half a line"
        raise OSError("disk full")

    monkeypatch.setattr("promotion.proof.bundle_records.chain_records", fail)
    with pytest.raises(CommandError, match="disk full"):
        call_command("proof", "export", str(tmp_path / "proof.jsonl"))
    assert not (tmp_path / "proof.jsonl").exists()
