"""Pair work: several workers run pairs of one evaluation at once; evidence is taken strictly in order."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q, QuerySet

from lealife.core.digest import unit_interval
from promotion.gate import rule
from promotion.models import Evaluation, EvaluationArm, EvaluationPair, PairWork
from training.models.runs import LEASE

# Longer than a run's lease: a pair is two runs, and to run one twice costs little, for its arms are remembered.
PAIR_LEASE = 2 * LEASE
# How far a worker may run ahead of the evidence: what an early verdict makes superfluous was run for nothing.
AHEAD = 8


def claim_pair(evaluation: Evaluation, *, worker: str, at_once: int, now: datetime) -> int | None:
    """The lowest pair that nobody runs and that has not been run, now this worker's; None when there is none.

    `at_once`: how many workers may run pairs of it at a time; two who look at the same moment may be one too many,
    and the slots still hold. A worker's own claim is its own again: it died and came back, or was told to try later.
    """
    done = evaluation.pairs.count()
    claims = {work.index: work for work in evaluation.work.all()}
    running = [work for work in claims.values() if work.candidate_arm_id is None and work.index >= done]
    if sum(not _is_free(work, worker=worker, now=now) for work in running) >= at_once:
        return None
    lease = now + PAIR_LEASE
    for index in range(done, min(evaluation.pair_budget, done + AHEAD)):
        held = claims.get(index)
        if held is None:
            PairWork.objects.bulk_create(
                [PairWork(evaluation=evaluation, index=index, worker=worker, lease_until=lease)], ignore_conflicts=True
            )
            # Of two who insert at once the first one's row stands.
            mine = _claims_of(evaluation, index, worker)
        elif held.candidate_arm_id is None and _is_free(held, worker=worker, now=now):
            unmoved = evaluation.work.filter(index=index, worker=held.worker, lease_until=held.lease_until)
            mine = unmoved.filter(candidate_arm=None)
        else:
            continue
        if mine.update(worker=worker, lease_until=lease):
            return index
    return None


def _claims_of(evaluation: Evaluation, index: int, worker: str) -> QuerySet[PairWork]:
    return PairWork.objects.filter(evaluation=evaluation, index=index, worker=worker, candidate_arm=None)


def _is_free(held: PairWork, *, worker: str, now: datetime) -> bool:
    # A lease further ahead than any honest one was written before a clock was put back.
    return held.worker == worker or not now <= held.lease_until <= now + 2 * PAIR_LEASE


def release_pair(evaluation: Evaluation, *, index: int, worker: str) -> None:
    """Gives a pair back that could not be run now."""
    _claims_of(evaluation, index, worker).delete()


def keep_pair(evaluation: Evaluation, *, index: int, candidate: EvaluationArm, baseline: EvaluationArm) -> None:
    """Lays a pair's arms down until its turn comes; of two workers that ran it the first one's stand."""
    evaluation.work.filter(index=index, candidate_arm=None).update(candidate_arm=candidate, baseline_arm=baseline)


def goes_first(evaluation: Evaluation, *, index: int) -> bool:
    """Whether the candidate's arm is run before the baseline's: drawn for each two pairs, reversed in the second.

    So neither arm goes first more often, no order can be foretold, and the first of two pairs ends with the tag that
    the second begins with, whose prompt a server still has in its cache.
    """
    return (index % 2 == 0) == (unit_interval("order", evaluation.pk, index // 2) < 0.5)


def take_next_pair(evaluation: Evaluation, *, index: int) -> bool:
    """Makes pair `index` evidence when its arms are there. The caller holds the evaluation's lock."""
    work = (
        evaluation.work.select_related("candidate_arm", "baseline_arm")
        .filter(Q(index=index) & Q(candidate_arm__isnull=False))
        .first()
    )
    if work is None:
        return False
    EvaluationPair.objects.create(
        evaluation=evaluation,
        index=index,
        candidate_arm=work.candidate_arm,
        baseline_arm=work.baseline_arm,
        candidate_first=goes_first(evaluation, index=index),
        result=rule.judge_pair(candidate=work.candidate_arm, baseline=work.baseline_arm).value,
    )
    return True


def clear_work(evaluation: Evaluation, *, below: int | None = None) -> None:
    """Forgets claims on pairs that are evidence, or on all when the evaluation has closed."""
    rows = evaluation.work.all()
    (rows if below is None else rows.filter(index__lt=below)).delete()
