"""Runs, their steps and pages, and the cycles that training wraps around them."""

from __future__ import annotations

import zlib
from datetime import datetime, timedelta
from functools import reduce
from operator import or_

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from lealife.core.triggers import Trigger, keep_ended, keep_table, refuse
from training.models.hosts import Host
from training.models.sources import TrainingSource

# A worker renews three times within a lease; a lapsed one means the worker is gone.
LEASE = timedelta(seconds=settings.LEALIFE_RUN_LEASE_S)


# `changes` are the lanes of runs that have begun (1) or ended (-1) to be open. All counts of one transaction take the
# slot of its number, so two transactions in a row take different ones.
COUNT_OPEN = """
    INSERT INTO training_counterslot AS kept (name, slot, count)
    SELECT 'open.' || lane, txid_current() % 16, sum(change) FROM ({changes}) AS moved
    GROUP BY lane HAVING sum(change) <> 0 ORDER BY lane
    ON CONFLICT (name, slot) DO UPDATE SET count = kept.count + EXCLUDED.count;
    RETURN NULL;
"""
# A step is written while its run goes on. A run that lost its worker is queued again without its steps so far.
KEEP_STEPS = f"""
    IF EXISTS (
        SELECT FROM training_run WHERE id = OLD.run_id AND status IN ('succeeded', 'failed', 'cancelled')
    ) THEN
        {refuse("'Step % of run % is evidence: what has ended is never changed.', OLD.index, OLD.run_id")}
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
"""


def count_open_by_lane() -> list[Trigger]:
    """Triggers that keep how many runs of each lane are open, in `CounterSlot`, whatever moves a run."""
    gone = "SELECT lane, -1 AS change FROM gone WHERE status IN ('claimed', 'running')"
    come = "SELECT lane, 1 AS change FROM come WHERE status IN ('claimed', 'running')"
    return [
        _count_open(pgtrigger.Insert, come, pgtrigger.Referencing(new="come")),
        _count_open(pgtrigger.Update, f"{gone} UNION ALL {come}", pgtrigger.Referencing(old="gone", new="come")),
        _count_open(pgtrigger.Delete, gone, pgtrigger.Referencing(old="gone")),
    ]


def _count_open(event: pgtrigger.Operation, changes: str, rows: pgtrigger.Referencing) -> Trigger:
    return Trigger(
        name=f"count_open_{str(event).lower()}",
        level=pgtrigger.Statement,
        when=pgtrigger.After,
        operation=event,
        referencing=rows,
        func=COUNT_OPEN.format(changes=changes),
    )


def keep_steps_of_ended_runs() -> list[Trigger]:
    """Steps of a run that has ended are never changed or deleted."""
    change = pgtrigger.Update | pgtrigger.Delete
    return [Trigger(name="ended", when=pgtrigger.Before, operation=change, func=KEEP_STEPS), keep_table()]


# The parts of a check that tell, by what is said, whether an answer is right.
TEXT_CHECKS = ("expected_text", "pattern")


def is_scored_freely(prefix: str = "") -> Q:
    """Of runs whose score says how likely their quotes answer. `prefix` leads to the run, such as "run__".

    A score of 1 only says that quoted words were found. A check that names its page chooses what is quoted. And an
    evaluation asks the same task again and again.
    """
    is_free = Q(**{f"{prefix}answer_score__lt": 1.0}) & ~Q(**{f"{prefix}check_spec__has_key": "expected_urls"})
    return is_free & ~Q(**{f"{prefix}lane": "evaluation"})


def is_answer_checked() -> Q:
    """Of runs with a check that tells, by what is said, whether an answer is right."""
    return reduce(or_, (Q(check_spec__has_key=name) for name in TEXT_CHECKS))


class RunQuerySet(models.QuerySet["Run"]):
    def open(self) -> RunQuerySet:
        """Holding a slot now."""
        return self.filter(status__in=Run.OPEN)

    def queued(self) -> RunQuerySet:
        return self.filter(status=Run.Status.QUEUED)

    def checked(self) -> RunQuerySet:
        """Scored, and found right or wrong by a check of the answer."""
        return self.filter(is_answer_checked(), is_scored_freely())

    def lapsed(self, *, now: datetime) -> RunQuerySet:
        """Open runs whose lease has not been renewed in time.

        A lease further ahead than this was written before the clock moved back. It counts as lapsed too: waiting for it
        would keep the run for as long as the clock jumped.
        """
        return self.open().filter(Q(lease_until__lt=now) | Q(lease_until__gt=now + 2 * LEASE))


class Run(models.Model):
    """One execution by the agent."""

    class Lane(models.TextChoices):
        TRAINING = "training", "training"
        STANDARD = "standard", "standard"
        EVALUATION = "evaluation", "evaluation"
        CANARY = "canary", "canary"  # a training cycle served by the candidate
        MANUAL = "manual", "manual"

    class Status(models.TextChoices):
        QUEUED = "queued", "queued"  # → claimed, cancelled
        CLAIMED = "claimed", "claimed"  # → running, failed
        RUNNING = "running", "running"  # → succeeded, failed
        SUCCEEDED = "succeeded", "succeeded"
        FAILED = "failed", "failed"
        CANCELLED = "cancelled", "cancelled"

    class AnswerState(models.TextChoices):
        VERIFIED = "verified", "verified"  # a check or a person found it right
        SUPPORTED = "supported", "supported"  # its quote answers, by the calibrated score
        UNSURE = "unsure", "unsure"  # the closest text is no answer for certain
        NOT_FOUND = "not_found", "not found"

    OPEN = (Status.CLAIMED, Status.RUNNING)
    TERMINAL = (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)
    CYCLE_LANES = (Lane.TRAINING, Lane.CANARY)
    QUESTION_LANES = (Lane.STANDARD, Lane.MANUAL)  # what people and programs ask

    lane = models.CharField(max_length=12, choices=Lane)
    status = models.CharField(max_length=10, choices=Status, default=Status.QUEUED)
    host = models.ForeignKey(Host, on_delete=models.PROTECT, related_name="+")
    prompt = models.TextField()
    check_spec = models.JSONField(default=dict, blank=True, verbose_name="success check")
    pages_target = models.PositiveSmallIntegerField()
    max_calls = models.PositiveSmallIntegerField(help_text="Controller calls allowed.")
    requested_by = models.CharField(max_length=150, blank=True)
    canary_id = models.BigIntegerField(null=True, blank=True)

    claimed_by = models.CharField(max_length=100, blank=True)
    fence = models.PositiveBigIntegerField(default=0, help_text="Grows with every claim; every write must give it.")
    attempts = models.PositiveSmallIntegerField(default=0, help_text="Claims so far, counted when claimed.")
    lease_until = models.DateTimeField(null=True, blank=True)

    controller_tag = models.CharField(max_length=200, blank=True)
    controller_digest = models.CharField(
        max_length=80, blank=True, help_text="The digest that routing claimed at the start."
    )
    task_tag = models.CharField(max_length=200, blank=True)
    task_digest = models.CharField(max_length=80, blank=True)
    served_controller_digest = models.CharField(
        max_length=80, blank=True, help_text="The digest that the server answered with."
    )
    served_task_digest = models.CharField(max_length=80, blank=True)
    memories = models.JSONField(default=list, blank=True, help_text="Memory items recalled for this run.")
    memory_used = models.JSONField(default=list, blank=True, help_text="Ids of the recalled items that were followed.")
    memory_withheld = models.JSONField(default=list, blank=True, help_text="Ids withheld to measure their uplift.")

    answer = models.TextField(blank=True)
    answer_state = models.CharField(
        max_length=10, choices=AnswerState, blank=True, help_text="How sure the answer is; empty without one."
    )
    answer_score = models.FloatField(null=True, blank=True, help_text="How likely the best quote answers, 0 to 1.")
    is_quoted = models.BooleanField(default=False, help_text="The answer is the best quote, word for word.")
    quotes = models.JSONField(default=list, blank=True)
    verifier = models.CharField(max_length=60, blank=True, help_text="The check that decided.")
    error_code = models.CharField(max_length=40, blank=True)
    error = models.TextField(blank=True)
    pages = models.PositiveSmallIntegerField(default=0)
    controller_calls = models.PositiveSmallIntegerField(default=0)
    invalid_picks = models.PositiveSmallIntegerField(default=0)
    prompt_tokens = models.PositiveIntegerField(default=0)
    cached_tokens = models.PositiveIntegerField(default=0)
    completion_tokens = models.PositiveIntegerField(default=0)
    duration_ms = models.PositiveIntegerField(default=0)

    created_at = models.DateTimeField(db_default=Now(), editable=False)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = RunQuerySet.as_manager()

    class Meta:
        permissions = [("ask", "May ask questions and repeat runs")]
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["host"],
                condition=Q(lane__in=["training", "canary"], status__in=["claimed", "running"]),
                name="one_running_training_run_per_host",
            ),
        ]
        indexes = [
            # Slots and the sweep read the few open rows, whatever the table's size.
            models.Index(
                fields=["lane", "lease_until"], condition=Q(status__in=["claimed", "running"]), name="run_open"
            ),
            models.Index(fields=["id"], condition=Q(status="queued"), name="run_queued"),
            models.Index(fields=["id"], condition=Q(status="claimed", claimed_by=""), name="run_to_begin"),
            models.Index(fields=["lane", "-id"], name="run_of_lane"),
            # How often answers were right, by their score.
            models.Index(fields=["-id"], condition=is_answer_checked() & is_scored_freely(), name="run_checked"),
            models.Index(fields=["canary_id"], condition=Q(canary_id__isnull=False), name="run_of_canary"),
        ]
        triggers = [
            *keep_ended("OLD.status IN ('succeeded', 'failed', 'cancelled')"),
            *count_open_by_lane(),
        ]

    def __str__(self) -> str:
        return f"run {self.pk} ({self.lane})"

    @property
    def given_answer(self) -> str:
        """The answer of a run that succeeded. What another one wrote from the closest text is no answer."""
        return self.answer if self.status == self.Status.SUCCEEDED else ""

    @property
    def draft(self) -> str:
        """What the model wrote in a run that did not succeed; empty when that is only a quote."""
        return "" if self.given_answer or self.is_quoted else self.answer


class PageSnapshot(models.Model):
    """A page as it was, kept once per content."""

    digest = models.CharField(max_length=64, primary_key=True, help_text="sha256 of the body.")
    media_type = models.CharField(max_length=100)
    size = models.PositiveIntegerField(help_text="Bytes before compression.")
    body_zlib = models.BinaryField(editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.digest[:12]

    @property
    def body(self) -> bytes:
        return zlib.decompress(self.body_zlib)


class Step(models.Model):
    """One page visit of a run: what was offered, what was picked, what came."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="steps")
    index = models.PositiveSmallIntegerField()
    url = models.TextField()
    final_url = models.TextField(blank=True)
    title = models.TextField(blank=True)
    status_code = models.PositiveSmallIntegerField(default=0)
    snapshot = models.ForeignKey(PageSnapshot, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    shortlist = models.JSONField(default=list, blank=True)
    picked_by = models.CharField(max_length=12)
    recalled = models.JSONField(default=list, blank=True)
    latency_ms = models.PositiveIntegerField(default=0)
    prompt_tokens = models.PositiveIntegerField(default=0)
    cached_tokens = models.PositiveIntegerField(default=0)
    completion_tokens = models.PositiveIntegerField(default=0)
    served_digest = models.CharField(max_length=80, blank=True)
    error_code = models.CharField(max_length=40, blank=True)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["run", "index"]
        constraints = [models.UniqueConstraint(fields=["run", "index"], name="one_step_per_index_of_a_run")]
        triggers = keep_steps_of_ended_runs()

    def __str__(self) -> str:
        return f"{self.run_id}/{self.index} {self.url}"


class TrainingCycle(models.Model):
    """One source turned into one run and finalised into one outcome."""

    class Status(models.TextChoices):
        OPEN = "open", "open"  # → succeeded, failed
        SUCCEEDED = "succeeded", "succeeded"
        FAILED = "failed", "failed"

    source = models.ForeignKey(TrainingSource, on_delete=models.PROTECT, related_name="cycles")
    run = models.OneToOneField(Run, on_delete=models.PROTECT, related_name="cycle")
    status = models.CharField(max_length=10, choices=Status, default=Status.OPEN)
    error_code = models.CharField(max_length=40, blank=True)
    error = models.TextField(blank=True)
    opened_at = models.DateTimeField(db_default=Now(), editable=False)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["source"], condition=Q(status="open"), name="one_open_cycle_per_source"),
        ]
        triggers = keep_ended("OLD.status <> 'open'")

    def __str__(self) -> str:
        return f"cycle {self.pk}"
