"""Reads the records of a proof bundle from the database, one at a time, in the order that the rules need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from operator import attrgetter
from pathlib import Path
from typing import Any

from django.db import connection, transaction
from django.db.models import Model

from promotion.models import Canary, Evaluation, EvaluationPair, LiveApply, Watch, WatchedRun
from promotion.proof.bundle import chain_records
from promotion.proof.bundle_watches import COUNTED
from training.anchors import read_anchors
from training.models import RuntimeSettingsChange, TrainingOutcome
from training.runtime_settings import read_settings
from training.seals import read_columns

CHUNK = 2_000
Record = tuple[str, dict[str, Any]]


def export_bundle(*, path: Path, version: str, now: datetime) -> int:
    """Writes all evidence to `path`, as it was at one moment; returns the number of bytes.

    While the file is incomplete, its name ends in `.part`.
    """
    part = path.with_name(f"{path.name}.part")
    # Read the anchors before the snapshot, so that all anchored rows are in it.
    anchors = read_anchors()
    with transaction.atomic():
        _take_snapshot()
        lines = chain_records(
            read_records(),
            made_at=now.isoformat(),
            version=version,
            counts=count_records(),
            alpha_life=read_settings().lifetime_alpha,
            anchors=[asdict(anchor) for anchor in anchors],
        )
        with part.open("wb") as stream:
            size = sum(stream.write(line) for line in lines)
    part.replace(path)
    return size


def count_records() -> dict[str, int]:
    """How many records of each kind there are."""
    return {
        "setting": RuntimeSettingsChange.objects.count(),
        "watched": WatchedRun.objects.count(),
        "outcome": TrainingOutcome.objects.count(),
        "pair": EvaluationPair.objects.count(),
        "verdict": Evaluation.every.count(),
        "canary": Canary.objects.count(),
        "apply": LiveApply.objects.count(),
        "watch": Watch.objects.count(),
    }


def read_records() -> Iterator[Record]:
    """Settings, watched runs, outcomes, evaluations each with pairs, verdict and canary, live applies, watches.

    Memory is constant.
    """
    for change in RuntimeSettingsChange.objects.order_by("version").iterator(chunk_size=CHUNK):
        yield "setting", describe_setting(change)
    for watched in WatchedRun.objects.order_by("id").iterator(chunk_size=CHUNK):
        yield "watched", describe_watched(watched)
    outcomes = TrainingOutcome.objects.select_related("seal")
    for outcome in outcomes.filter(seal__isnull=False).order_by("seal__row").iterator(chunk_size=CHUNK):
        yield "outcome", {"row": outcome.seal.row, "seal": outcome.seal.hash, "columns": read_columns(outcome)}
    for outcome in TrainingOutcome.objects.filter(seal__isnull=True).order_by("id").iterator(chunk_size=CHUNK):
        yield "outcome", {"row": None, "seal": None, "columns": read_columns(outcome)}
    evaluations = Evaluation.every.select_related("candidate", "baseline", "canary").order_by("id")
    for evaluation in evaluations.iterator(chunk_size=CHUNK):
        pairs = evaluation.pairs.select_related("candidate_arm", "baseline_arm").order_by("index")
        for pair in pairs.iterator(chunk_size=CHUNK):
            yield "pair", describe_pair(pair)
        yield "verdict", describe_verdict(evaluation)
        if (canary := getattr(evaluation, "canary", None)) is not None:
            yield "canary", describe_canary(canary)
    applies = LiveApply.objects.select_related("from_tag", "to_tag").order_by("id")
    for apply in applies.iterator(chunk_size=CHUNK):
        yield "apply", describe_apply(apply)
    for watch in Watch.objects.order_by("id").iterator(chunk_size=CHUNK):
        yield "watch", describe_watch(watch)


def describe_setting(change: RuntimeSettingsChange) -> dict[str, Any]:
    """Changes of settings: who changed what and when."""
    renamed = {"by": "changed_by", "from": "changed_from", "at": "changed_at"}
    return _copy(change, "version", "changes", **renamed)


def describe_pair(pair: EvaluationPair) -> dict[str, Any]:
    """Both arms, with the digests of what their results depend on."""
    arms = {"candidate": pair.candidate_arm, "baseline": pair.baseline_arm}
    renamed = {"inputs": "inputs_digest", "run": "run_id", "calls": "controller_calls"}
    return {
        **_copy(pair, "index", "candidate_first", "result", evaluation="evaluation_id", at="created_at"),
        **{name: _copy(arm, "success", "invalid", **renamed) for name, arm in arms.items()},
    }


def describe_verdict(evaluation: Evaluation) -> dict[str, Any]:
    """Both tags, the level and the budget of an evaluation, and its result."""
    return _copy(
        evaluation,
        *("id", "candidate_digest", "baseline_digest", "candidate_number", "alpha", "pair_budget", "seed"),
        *("drill", "freeze_id", "settings_digest", "repeats_differed", "verdict", "hypothesis", "reason"),
        *("wins", "losses", "ties", "fewer_calls", "more_calls", "e_value", "e_cheaper", "started_at", "finished_at"),
        role="candidate.role",
        candidate="candidate.name",
        baseline="baseline.name",
    )


def describe_canary(canary: Canary) -> dict[str, Any]:
    """The counts of a canary on real traffic, and its result."""
    return _copy(
        canary,
        *("id", "role", "share_percent", "ramp_percent", "min_observations", "first_outcome_id", "state", "reason"),
        *("candidate_successes", "candidate_observations", "baseline_successes", "baseline_observations"),
        *("deadline_at", "opened_at", "closed_at"),
        evaluation="evaluation_id",
    )


def describe_watched(watched: WatchedRun) -> dict[str, Any]:
    """Which tag a run under a watch was promised."""
    return _copy(watched, "held_back", watch="watch_id", run="run_id", at="created_at")


def describe_watch(watch: Watch) -> dict[str, Any]:
    """The counts of both tags after an apply, and the result of the watch."""
    return _copy(
        watch,
        *("id", "role", "share_percent", "wanted_observations", "state", "reason", "e_harm"),
        *(*COUNTED, "deadline_at", "opened_at", "closed_at"),
        apply="apply_id",
    )


def describe_apply(apply: LiveApply) -> dict[str, Any]:
    """A switch: from which tag and digest to which, and on what grounds."""
    return {
        **_copy(apply, "id", "role", "reason", rolls_back="rolls_back_id", after_outcome="after_outcome_id"),
        **_copy(apply, canary="canary_id", by="applied_by", at="applied_at"),
        "from": {"tag": apply.from_tag.name if apply.from_tag else "", "digest": apply.from_digest},
        "to": {"tag": apply.to_tag.name, "digest": apply.to_digest},
    }


def _copy(row: Model, *columns: str, **renamed: str) -> dict[str, Any]:
    """Columns of a row, under their own names or others; times as text."""
    paths = {**{name: name for name in columns}, **renamed}
    found = {name: attrgetter(path)(row) for name, path in paths.items()}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in found.items()}


def _take_snapshot() -> None:
    """Makes all reads see one moment. Not possible in a transaction that has already read something."""
    if not connection.savepoint_ids:
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
