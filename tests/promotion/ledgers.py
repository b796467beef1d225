"""A small history to be proven: a promotion applied and rolled back, a rejection, settings, sealed outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils import timezone

from lealife.core.actors import command_line
from lealife.core.digest import digest_value
from promotion.applies import apply_canary, roll_back
from promotion.canary import open_canary, settle_canary
from promotion.evaluation.comparison import settle_evaluation
from promotion.gate.error_budget import alpha_for
from promotion.gate.pairs import judge_pair
from promotion.models import Canary, Evaluation, EvaluationArm, EvaluationPair, LiveApply, ModelTag, PageFreeze
from tests.promotion.scenes import Servers, change_settings, make_base_tags, make_candidate, make_outcome, make_window
from training.models import Host, Run
from training.runtime_settings import apply_settings, read_settings
from training.seals import seal_outcomes

WIN, LOSS, TIE = (True, False), (False, True), (True, True)
MINIMUM = 3


@dataclass(frozen=True, slots=True)
class History:
    """What was made."""

    promoted: Evaluation
    rejected: Evaluation
    canary: Canary
    applied: LiveApply
    rolled_back: LiveApply


def make_history(host: Host, servers: Servers) -> History:
    """Everything through the product's own actions, but for the arms, whose results are given."""
    read_settings()
    for interval in (7, 8):
        apply_settings(
            changes={"loop_interval_s": interval},
            version=read_settings().version,
            by=command_line("ada"),
            origin="page",
        )
    change_settings(canary_min_observations=MINIMUM)
    baseline, _ = make_base_tags(servers)
    make_outcome(host, served=baseline.digest)
    promoted = evaluate(host, servers, baseline, number=1, pairs=[TIE, *[WIN] * 11])
    canary = open_canary(evaluation_id=promoted.pk, now=timezone.now())
    for lane, tag in (("canary", promoted.candidate), ("training", baseline)):
        for _ in range(MINIMUM):
            make_outcome(host, lane=lane, canary_id=canary.pk, served=tag.digest)
    seal_outcomes()
    settle_canary(canary_id=canary.pk, now=timezone.now())
    applied = apply_canary(canary_id=canary.pk, now=timezone.now())
    make_outcome(host, served=applied.to_digest, watch=applied.watch)
    make_outcome(host, served=applied.from_digest, watch=applied.watch, held_back=True)
    rolled_back = roll_back(role="controller", by=command_line("ada"), reason="Just in case.")
    rejected = evaluate(host, servers, baseline, number=2, pairs=[LOSS] * 7)
    canary.refresh_from_db()
    return History(promoted, rejected, canary, applied, rolled_back)


def evaluate(
    host: Host, servers: Servers, baseline: ModelTag, *, number: int, pairs: Sequence[tuple[bool, bool]]
) -> Evaluation:
    """An evaluation of given (candidate, baseline) successes, settled after every pair."""
    candidate = make_candidate(servers, baseline, saying=f"candidate {number}")
    evaluation = Evaluation.objects.create(
        window=make_window("evaluating", number=number),
        candidate=candidate,
        candidate_digest=candidate.digest,
        baseline=baseline,
        baseline_digest=baseline.digest,
        candidate_number=number,
        alpha=alpha_for(k=number),
        pair_budget=30,
        seed=0,
        freeze=PageFreeze.objects.create(memory_digest=f"m{number}"),
        settings_digest="s",
    )
    for index, successes in enumerate(pairs):
        arms = [make_arm(host, name=f"{number}/{index}/{arm}", success=won) for arm, won in enumerate(successes)]
        EvaluationPair.objects.create(
            evaluation=evaluation,
            index=index,
            candidate_arm=arms[0],
            baseline_arm=arms[1],
            candidate_first=True,
            result=judge_pair(candidate=arms[0], baseline=arms[1]).value,
        )
        settle_evaluation(evaluation_id=evaluation.pk, changed=[], now=timezone.now())
        evaluation.refresh_from_db()
        if evaluation.verdict != "pending":
            break
    return evaluation


def make_arm(host: Host, *, name: str, success: bool, calls: int = 0, invalid: bool = False) -> EvaluationArm:
    run = Run.objects.create(lane="evaluation", status="succeeded", host=host, prompt="p", pages_target=1, max_calls=1)
    return EvaluationArm.objects.create(
        inputs_digest=digest_value(name), run=run, success=success, controller_calls=calls, invalid=invalid
    )
