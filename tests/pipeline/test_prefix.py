"""What an evaluation costs the real model, on few pairs; `python -m benchmarks prefix` does sixty."""

from __future__ import annotations

import pytest

from benchmarks.prefix import compare_candidates
from promotion.evaluation.repeatability import PROBES
from promotion.models import Evaluation, EvaluationArm

pytestmark = [
    pytest.mark.soak,
    pytest.mark.model,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(300),
]
# As few pairs as can hold the wins that the second candidate would need.
PAIRS = 11


def test_a_second_candidate_pays_for_its_own_arm_alone_and_mostly_from_the_cache(ollama):
    calls, cached = compare_candidates(pairs=PAIRS)
    assert calls.holds, calls
    assert EvaluationArm.objects.count() == 3 * PAIRS + 2 * PROBES
    # The embedded server repeats itself: what was remembered is what a fresh run gives.
    assert set(Evaluation.every.values_list("repeats_differed", flat=True)) == {0}
    # The first run pays for the prefix that the others find: with so few it weighs heavily.
    assert cached.figure >= 0.4, cached.setup
