"""A worker that dies at any SQL statement, COMMIT or external call from window to roll back doubles nothing.

The product's own stages run against a stub site and a stub model, and die at every point from every state that a
death can leave; then the stages run again.
"""

from __future__ import annotations

from collections.abc import Iterator
from unittest import mock

import pytest
from django.utils import timezone

from promotion.evaluation.comparison import settle_evaluation
from promotion.gate.e_values import wins_needed
from promotion.gate.error_budget import alpha_for, split_alpha
from promotion.models import Canary, Evaluation, EvaluationPair, LiveApply, ModelTag, PromotionWindow, Watch
from promotion.proof.served import read_served_proof
from promotion.routing import read_routing
from tests.promotion.voyage import MINIMUM, Voyage, observe, open_voyage

# The clean wins that the first candidate of a lifetime needs.
DECIDED_BY = wins_needed(0, 0, split_alpha(alpha_for(k=1)).better)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def voyage(tmp_path, settings, transactional_db) -> Iterator[Voyage]:
    with open_voyage(folder=tmp_path, settings=settings) as voyage:
        yield voyage


def window_is(*states: str):
    return lambda: PromotionWindow.objects.order_by("number")[0].state in states


@pytest.mark.timeout(600)
@pytest.mark.parametrize("stride", [17, pytest.param(1, marks=pytest.mark.soak)])
def test_a_kill_at_any_point_from_window_to_roll_back_leaves_one_of_everything(voyage, stride, record_property):
    voyage.stride = stride
    base = read_routing().controller
    voyage.reach_window()
    voyage.die_everywhere(lambda: voyage.work("window"), until=window_is("building"))
    voyage.die_everywhere(lambda: voyage.work("build"), until=window_is("evaluating"))
    candidate = ModelTag.objects.get(status="candidate")
    assert voyage.ollama.digests[candidate.name] == candidate.digest

    # The first pair to its end, then undisturbed until those that decide wait to be taken as evidence.
    voyage.die_everywhere(lambda: voyage.work("evaluate"), until=EvaluationPair.objects.exists)
    evaluation = Evaluation.objects.get()
    with mock.patch("promotion.evaluation.comparison.settle_evaluation", return_value=None):
        while evaluation.pairs.count() + evaluation.work.exclude(candidate_arm=None).count() < DECIDED_BY:
            voyage.work("evaluate")
    voyage.die_everywhere(
        lambda: settle_evaluation(evaluation_id=evaluation.pk, changed=[], now=timezone.now()),
        until=window_is("canary"),
    )
    evaluation.refresh_from_db()
    assert (evaluation.verdict, evaluation.losses) == ("promote", 0)

    voyage.die_everywhere(lambda: voyage.work("canary"), until=Canary.objects.exists)
    canary = Canary.objects.get()
    for lane in ("canary", "training"):
        observe(voyage.host, times=MINIMUM, lane=lane, canary_id=canary.pk)
    voyage.die_everywhere(lambda: voyage.work("canary"), until=window_is("applying"))
    voyage.die_everywhere(lambda: voyage.work("apply"), until=window_is("applied"))
    apply = LiveApply.objects.get()
    assert (apply.canary, apply.from_tag, apply.to_tag) == (canary, base, candidate)
    assert read_routing().controller == candidate
    assert voyage.ollama.digests[candidate.name] == evaluation.candidate_digest == apply.to_digest

    observe(voyage.host, times=3, served=candidate.digest, watch=apply.watch)
    controller = next(role for role in read_served_proof().roles if role.role == "controller")
    assert (controller.state, controller.matching) == ("green", 3)
    observe(voyage.host, times=14, success=False, served=candidate.digest, watch=apply.watch)
    observe(voyage.host, times=10, served=base.digest, watch=apply.watch, held_back=True)
    voyage.die_everywhere(lambda: voyage.work("watch"), until=lambda: not Watch.objects.filter(state="open").exists())
    assert Watch.objects.get().state == "harmed"
    assert LiveApply.objects.get(rolls_back=apply).to_tag == base == read_routing().controller

    assert set(PromotionWindow.objects.values_list("state", flat=True)) <= {"applied", "collecting"}
    assert voyage.find_doubles() == []
    for kind, number in sorted(voyage.points.items()):
        record_property(f"crash_points_{kind}", number)
    assert voyage.points["statement"] >= 200 // stride
    assert voyage.points["commit"] >= max(1, 15 // stride)
    assert voyage.points["call"] >= 20 // stride
