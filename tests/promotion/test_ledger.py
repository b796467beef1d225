"""The ledger of the lifetime error budget."""

from __future__ import annotations

import pytest

from promotion.gate.error_budget import alpha_for
from promotion.models import Evaluation
from promotion.proof.ledger import read_error_budget
from tests.promotion.scenes import change_settings, forging, make_promoted


def test_before_the_first_candidate_all_is_left(db):
    budget = read_error_budget()
    assert (budget.spent, budget.alpha_life, budget.candidates, budget.lines) == (0, 0.05, 0, ())
    assert budget.sentence.startswith("0 candidates spent 0.0000 of 0.05; at most 0.0000 false promotions expected")
    assert budget.sentence.endswith(f"; the next is judged at {alpha_for(k=1):.2g}.")


def test_every_candidate_stands_in_the_ledger_with_its_level_and_verdict(db, servers, django_assert_num_queries):
    for number in (1, 2):
        make_promoted(servers, number=number)
    with forging():
        Evaluation.objects.filter(candidate_number=1).update(verdict="reject", wins=1, losses=9)
    change_settings(lifetime_alpha=0.05)
    with django_assert_num_queries(3):
        budget = read_error_budget()
    assert budget.spent == pytest.approx(0.04)
    assert budget.sentence.startswith("2 candidates spent 0.0400 of 0.05; at most 0.0400 false promotions expected")
    assert (budget.candidates, budget.promoted, budget.rejected) == (2, 1, 1)
    assert budget.spent_percent == pytest.approx(80)
    newest, first = budget.lines
    assert (newest.k, newest.verdict, newest.threshold) == (2, "promote", pytest.approx(75))
    assert newest.threshold_cheaper == pytest.approx(150)
    assert (first.k, first.verdict, first.wins, first.losses) == (1, "reject", 1, 9)


def test_the_lifetime_alpha_is_a_setting_and_rewrites_nothing_that_was_spent(db, servers):
    make_promoted(servers)
    change_settings(lifetime_alpha=0.01)
    budget = read_error_budget()
    assert (budget.alpha_life, budget.spent, budget.spent_percent) == (0.01, pytest.approx(0.02), 100)
    assert budget.sentence.endswith("; nothing is left for another.")
