"""Outcomes: the append-only evidence, and the hash chain over it."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from lealife.core.triggers import keep_rows
from training.models.hosts import Host
from training.models.runs import Run, TrainingCycle
from training.models.sources import TrainingSource


class TrainingOutcome(models.Model):
    """How one cycle ended. Never updated, never deleted: a trigger refuses."""

    cycle = models.OneToOneField(TrainingCycle, on_delete=models.PROTECT, related_name="outcome")
    # Copies of what the cycle and its run say: theirs are the constraints, and neither can go while the outcome stays.
    run = models.OneToOneField(Run, on_delete=models.PROTECT, related_name="outcome", db_constraint=False)
    source = models.ForeignKey(TrainingSource, on_delete=models.PROTECT, related_name="outcomes", db_constraint=False)
    host = models.ForeignKey(Host, on_delete=models.PROTECT, related_name="+", db_constraint=False)
    lane = models.CharField(max_length=12, choices=Run.Lane)
    success = models.BooleanField()
    answer_state = models.CharField(max_length=10, choices=Run.AnswerState, blank=True)
    is_counted = models.BooleanField(
        default=False,
        help_text="A verified success; or a supported one, while the settings of that moment counted those too.",
    )
    error_code = models.CharField(max_length=40, blank=True)
    verifier = models.CharField(max_length=60, blank=True)
    controller_tag = models.CharField(max_length=200, blank=True)
    controller_digest = models.CharField(max_length=80, blank=True)
    served_controller_digest = models.CharField(max_length=80, blank=True)
    task_tag = models.CharField(max_length=200, blank=True)
    task_digest = models.CharField(max_length=80, blank=True)
    served_task_digest = models.CharField(max_length=80, blank=True)
    canary_id = models.BigIntegerField(null=True, blank=True)
    memory_used = models.JSONField(default=list)
    pages = models.PositiveSmallIntegerField(default=0)
    controller_calls = models.PositiveSmallIntegerField(default=0)
    prompt_tokens = models.PositiveIntegerField(default=0)
    completion_tokens = models.PositiveIntegerField(default=0)
    duration_ms = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        db_table = "training_outcomes"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["canary_id"], condition=models.Q(canary_id__isnull=False), name="outcome_of_canary"),
            models.Index(fields=["created_at"], name="outcome_by_time"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(is_counted=False)
                | models.Q(success=True, answer_state__in=[Run.AnswerState.VERIFIED, Run.AnswerState.SUPPORTED]),
                name="only_sure_successes_are_counted",
            ),
        ]
        triggers = keep_rows()

    def __str__(self) -> str:
        return f"outcome {self.pk}: {'success' if self.success else self.error_code}"


class OutcomeSeal(models.Model):
    """Row n of the hash chain: `hash = sha256(previous hash, outcome)`. Sealed in order, by one stage."""

    row = models.PositiveBigIntegerField(primary_key=True)
    outcome = models.OneToOneField(TrainingOutcome, on_delete=models.PROTECT, related_name="seal")
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)
    sealed_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        db_table = "training_outcome_seals"
        ordering = ["-row"]
        triggers = keep_rows()

    def __str__(self) -> str:
        return f"row {self.row}"


class ChainAnchor(models.Model):
    """How long the chain was once, and its head then. Append-only: a shortened chain does not reach its anchors."""

    rows = models.PositiveBigIntegerField(db_index=True, help_text="Sealed outcomes at that moment.")
    hash = models.CharField(max_length=64, help_text="Hash of the last of them.")
    at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        db_table = "training_chain_anchors"
        ordering = ["-id"]
        triggers = keep_rows()

    def __str__(self) -> str:
        return f"{self.rows} rows"


class ChainCheck(models.Model):
    """How far the chain has been walked again: one row, no evidence itself."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    verified_rows = models.PositiveBigIntegerField(default=0)
    last_hash = models.CharField(max_length=64, blank=True, help_text="Hash of the last verified row.")
    broken_at = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="The first row whose hash does not follow from the row before."
    )
    fault = models.TextField(blank=True, help_text="What is wrong with the chain, in a sentence.")
    pass_started_at = models.DateTimeField(null=True, blank=True)
    checked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_row_of_chain_check")]

    def __str__(self) -> str:
        return f"verified up to row {self.verified_rows}"
