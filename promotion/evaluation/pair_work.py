"""Pair work: several workers run pairs of one evaluation at once; evidence is taken strictly in order."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet

from lealife.core.digest import unit_interval
from promotion.gate.pairs import judge_pair
from promotion.models import Evaluation, EvaluationArm, EvaluationPair, PairWork
from training.models.runs import LEASE

# Longer than a run's lease, because a pair is two runs. Running one twice costs little: its arms are stored.
PAIR_LEASE = 2 * LEASE
# How many pairs a worker may run ahead of the evidence: an early verdict makes them useless.
AHEAD = 8


def claim_pair(evaluation: Evaluation, *, worker: str, at_once: int, now: datetime) -> int | None:
    """Claims for this worker the lowest pair that has not been run and that no worker is running; None without one.

    `at_once`: how many workers may run its pairs at a time. Two that claim at the same moment may exceed it by one, but
    the slots still limit them. A worker gets its own earlier claim again, after a crash or a failed attempt.
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
            # When two workers insert at once, the first one's row is kept.
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
    # A lease further ahead than this was written before the clock moved back, so ignore it.
    return held.worker == worker or not now <= held.lease_until <= now + 2 * PAIR_LEASE


def release_pair(evaluation: Evaluation, *, index: int, worker: str) -> None:
    """Releases a pair that could not be run now."""
    _claims_of(evaluation, index, worker).delete()


def keep_pair(evaluation: Evaluation, *, index: int, candidate: EvaluationArm, baseline: EvaluationArm) -> None:
    """Stores a pair's arms until its turn comes. When two workers ran it, the first one's arms are kept."""
    evaluation.work.filter(index=index, candidate_arm=None).update(candidate_arm=candidate, baseline_arm=baseline)


def goes_first(evaluation: Evaluation, *, index: int) -> bool:
    """Whether the candidate's arm runs before the baseline's: drawn at random for every two pairs, and reversed in the
    second.

    So both arms go first equally often, the order cannot be predicted, and the second pair starts with the tag with
    which the first ended, whose prompt is still in the server's cache.
    """
    return (index % 2 == 0) == (unit_interval("order", evaluation.pk, index // 2) < 0.5)


def take_next_pair(evaluation: Evaluation, *, index: int) -> bool:
    """Makes pair `index` evidence when its arms are stored. The caller must hold the evaluation's lock."""
    ran = evaluation.work.filter(index=index, candidate_arm__isnull=False)
    work = ran.select_related("candidate_arm", "baseline_arm").first()
    if work is None:
        return False
    EvaluationPair.objects.create(
        evaluation=evaluation,
        index=index,
        candidate_arm=work.candidate_arm,
        baseline_arm=work.baseline_arm,
        candidate_first=goes_first(evaluation, index=index),
        result=judge_pair(candidate=work.candidate_arm, baseline=work.baseline_arm).value,
    )
    return True


def clear_work(evaluation: Evaluation, *, below: int | None = None) -> None:
    """Deletes claims on pairs that are evidence, or on all pairs when the evaluation has closed."""
    rows = evaluation.work.all()
    (rows if below is None else rows.filter(index__lt=below)).delete()
