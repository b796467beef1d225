"""Actions on a run: repeat it, turn it into a training source, say whether it was right."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.db import transaction
from django.utils import timezone

from lealife.core.actors import Actor, requires
from lealife.core.errors import Conflict, NotFound
from lealife.pipeline.launching import ask
from learning.cases import check_right_answer, keep_case
from learning.corrections import read_quoted
from learning.judgement import Effect, judge_outcome
from learning.memory import lock_memory
from training.agent.task import TEXT_MAX, URLS_MAX, SuccessCheck
from training.audit import record_audit
from training.models import OperatorVerdict, Run, TrainingOutcome, TrainingSource
from training.operator_verdicts import check_judgeable, read_latest_verdict, record_verdict
from training.sources import queue_source
from training.tasks import check_success_check

QUEUED_FROM = "run"
# A training run is repeated in the manual lane, all others in their own.
REPEATED_IN = {
    Run.Lane.STANDARD: Run.Lane.STANDARD,
    Run.Lane.MANUAL: Run.Lane.MANUAL,
    Run.Lane.TRAINING: Run.Lane.MANUAL,
}
KEPT_APART = {
    Run.Lane.EVALUATION: "is a held-out evaluation and cannot be repeated: a repeat would not use its frozen pages",
    Run.Lane.CANARY: "belongs to a canary and cannot be repeated: chance decides which runs a canary serves",
}


def find_run(run_id: int) -> Run:
    """The run, with its host. Raises NotFound."""
    run = Run.objects.select_related("host").filter(pk=run_id).first()
    if run is None:
        raise NotFound(f"There is no run {run_id}.")
    return run


def why_not_repeat(run: Run) -> str:
    """Why a run cannot be repeated, in one sentence; empty when it can."""
    reason = KEPT_APART.get(Run.Lane(run.lane))
    return f"Run {run.pk} {reason}." if reason else ""


def why_not_train(run: Run) -> str:
    """Why a run cannot become a training source, in one sentence; empty when it can."""
    if run.lane in Run.CYCLE_LANES:
        return f"Run {run.pk} comes from a training source. Requeue that source instead."
    if run.lane == Run.Lane.EVALUATION:
        return f"Run {run.pk} is a held-out evaluation. Held-out tasks are never used for training."
    return "" if run.status in Run.TERMINAL else f"Run {run.pk} is {run.status}. Wait until it has ended."


def why_not_judge(run: Run) -> str:
    """Why a run cannot be judged, in one sentence; empty when it can."""
    try:
        check_judgeable(run)
    except Conflict as refused:
        return str(refused)
    return ""


@requires("training.ask")
def repeat_run(*, run_id: int, by: Actor, origin: str) -> Run:
    """Queues the same task again, with the tags and memory of today. Raises NotFound or Conflict."""
    run = find_run(run_id)
    _refuse(why_not_repeat(run))
    with transaction.atomic():
        again = ask(
            prompt=run.prompt,
            host=run.host,
            check_spec=run.check_spec,
            pages_target=run.pages_target,
            by=by,
            lane=REPEATED_IN[Run.Lane(run.lane)],
        )
        record_audit(
            actor=by, origin=origin, action="repeat run", subject=f"run {run_id}", details={"queued": again.pk}
        )
    return again


@requires("training.queue_source")
def train_on_run(
    *, run_id: int, by: Actor, origin: str, title: str = "", check_spec: dict[str, Any] | None = None
) -> TrainingSource:
    """Queues the run's task for training, with `check_spec` or, when that is None, with what `suggest_check` gives.

    Raises NotFound, InvalidInput, or Conflict for a run that must not be trained on.
    """
    run = find_run(run_id)
    _refuse(why_not_train(run))
    given = suggest_check(run, verdict=read_latest_verdict(run_id)) if check_spec is None else check_spec
    check = check_success_check(given, host=run.host)
    waiting = TrainingSource.objects.pending().filter(
        host=run.host, prompt=run.prompt, check_spec=check, queued_from=QUEUED_FROM
    )
    if (same := waiting.first()) is not None:
        raise Conflict(f"Training source {same.pk} with the same task is already waiting.")
    with transaction.atomic():
        source = queue_source(
            title=title,
            prompt=run.prompt,
            host=run.host,
            check_spec=check,
            pages_target=run.pages_target,
            queued_from=QUEUED_FROM,
            by=by,
        )
        record_audit(
            actor=by, origin=origin, action="train on run", subject=f"run {run_id}", details={"source": source.pk}
        )
    return source


def suggest_check(run: Run, *, verdict: OperatorVerdict | None) -> dict[str, Any]:
    """The success check for a training source made from the run: the run's own, or one made from its quotes.

    A run whose answer was judged right, or that succeeded and was not judged, gives this check: visit one of the
    pages that it quoted, and find what answers in its first quote. Any other run proves nothing and gives no check.
    """
    if not SuccessCheck.from_json(run.check_spec).checks_nothing:
        return run.check_spec
    stands = verdict.right if verdict else run.status == Run.Status.SUCCEEDED
    if not stands or not run.quotes:
        return run.check_spec
    urls = list(dict.fromkeys(str(quote["url"]) for quote in run.quotes))[:URLS_MAX]
    best = run.quotes[0]
    return {
        **run.check_spec,
        "expected_urls": urls,
        "expected_text": str(best.get("highlight") or best["text"])[:TEXT_MAX],
    }


@requires("training.give_verdict")
def judge_run(
    *, run_id: int, right: bool, note: str = "", right_url: str = "", right_text: str = "", by: Actor, origin: str
) -> OperatorVerdict:
    """Stores a verdict on the run's answer, moves the memory that came from it, and keeps the question as a case
    where it is known what is right (docs/decisions/0019 and 0030).

    With a “no”, `right_url` and `right_text` may say which page would have been right, and its words. Raises
    NotFound, InvalidInput, or Conflict for a run that cannot be judged now.
    """
    named = check_right_answer(run=find_run(run_id), right=right, url=right_url, text=right_text)
    with transaction.atomic():
        # The lock orders verdicts on one run: each sees what the one before it changed.
        run = Run.objects.select_for_update(of=("self",)).select_related("host").get(pk=run_id)
        check_judgeable(run)
        # And this one verdicts on other runs with the same question: the later one makes the case.
        lock_memory(run.host_id)
        now = timezone.now()
        outcome = TrainingOutcome.objects.filter(run=run).first()
        effect = judge_outcome(outcome=outcome, right=right, now=now) if outcome else Effect()
        verdict = record_verdict(
            run=run,
            right=right,
            note=note,
            right_url=named.url if named else "",
            right_text=named.text if named else "",
            by=by.name,
            origin=origin,
            effect=asdict(effect),
        )
        keep_case(run=run, verdict=verdict, answer=read_quoted(run.quotes) if right else named, now=now)
        return verdict


def _refuse(sentence: str) -> None:
    if sentence:
        raise Conflict(sentence)
