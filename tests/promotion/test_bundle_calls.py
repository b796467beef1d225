"""Proof bundles hold the calls of both arms: a promotion for fewer calls is rebuilt from them."""

from __future__ import annotations

import pytest

from promotion.gate.error_budget import alpha_for
from promotion.gate.pairs import Evidence
from promotion.gate.rule import decide
from tests.promotion.test_bundle import Records, chain, invent_records, refuse, verify


def invent_cheaper(*, saved: int) -> Records:
    """A first candidate that ties 170 pairs in fewer calls, in `saved` of them, and is promoted as cheaper."""
    arms = [{"inputs": "i", "run": 1, "success": True, "invalid": False, "calls": calls} for calls in (1, 2)]
    pairs: Records = [
        (
            "pair",
            {"evaluation": 1, "index": index, "result": "tie", "candidate": arms[index >= saved], "baseline": arms[1]},
        )
        for index in range(170)
    ]
    decision = decide(evidence=Evidence(0, 0, 170, 30, 0), pair_budget=300, pairs_done=170, alpha=alpha_for(k=1))
    verdict = invent_records()[-1][1] | {
        "pair_budget": 300,
        "hypothesis": decision.hypothesis.value,
        "reason": decision.reason,
        "wins": 0,
        "ties": 170,
        "fewer_calls": 30,
        "e_value": decision.e_value,
        "e_cheaper": decision.e_cheaper,
    }
    return [*pairs, ("verdict", verdict)]


def test_a_promotion_for_fewer_calls_is_rebuilt_from_the_calls_of_its_pairs():
    assert invent_cheaper(saved=30)[-1][1]["hypothesis"] == "cheaper"
    verify(chain(invent_cheaper(saved=30)))


@pytest.mark.parametrize(
    ("saved", "fault"),
    [
        (5, "the pairs give pending, stored is promote"),
        (29, "the pairs give 29–0 (fewer–more calls), stored is 30–0"),
        (40, "the pairs give 40–0 (fewer–more calls), stored is 30–0"),
    ],
)
def test_calls_that_were_changed_are_named_by_the_verdict(saved, fault):
    assert fault in str(refuse(chain(invent_cheaper(saved=saved))))
