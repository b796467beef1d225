"""The tables of what live applies were worth, measured on tasks that nothing else is judged by."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from lealife.core.triggers import fix_columns, keep_decided, keep_rows
from learning.models import CurriculumTask
from promotion.gate.pairs import PairResult


class ReserveMeasurement(models.Model):
    """What one live apply was worth: the tags before and after it on the same reserve tasks. It decides nothing."""

    class State(models.TextChoices):
        OPEN = "open", "being measured"  # → measured, cut
        MEASURED = "measured", "measured"
        CUT = "cut", "cut short"  # the role was switched again before every task had been run

    apply = models.OneToOneField("promotion.LiveApply", on_delete=models.PROTECT, related_name="measurement")
    beside = models.ForeignKey(
        "promotion.ModelTag", on_delete=models.PROTECT, related_name="+", help_text="The other role's tag in both arms."
    )
    task_ids = ArrayField(models.BigIntegerField(), help_text="Chosen by a seed when the tag was applied.")
    freeze = models.ForeignKey("promotion.PageFreeze", on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=8, choices=State, default=State.OPEN)
    reason = models.TextField(blank=True)
    done = models.PositiveIntegerField(default=0, help_text="Pairs run, those without evidence included.")
    wins = models.PositiveIntegerField(default=0)
    losses = models.PositiveIntegerField(default=0)
    ties = models.PositiveIntegerField(default=0)
    before_successes = models.PositiveIntegerField(default=0)
    before_calls = models.PositiveIntegerField(default=0, help_text="Controller calls over all counted pairs.")
    after_calls = models.PositiveIntegerField(default=0)
    success_error = models.FloatField(default=0.0, help_text="Standard error of the mean difference of success.")
    calls_error = models.FloatField(null=True, help_text="The same of the controller calls; none of too few pages.")
    opened_at = models.DateTimeField(db_default=Now(), editable=False)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        triggers = [
            *keep_decided("OLD.state <> 'open'"),
            fix_columns("apply", "beside", "task_ids", "freeze", "opened_at"),
        ]

    def __str__(self) -> str:
        return f"worth of live apply {self.apply_id}"


class ReservePair(models.Model):
    """One reserve task done by the tags before and after a live apply. Append-only.

    A win is a task that only the tag after the apply solved.
    """

    measurement = models.ForeignKey(ReserveMeasurement, on_delete=models.PROTECT, related_name="pairs")
    task = models.ForeignKey(CurriculumTask, on_delete=models.PROTECT, related_name="+")
    before_arm = models.ForeignKey("promotion.EvaluationArm", on_delete=models.PROTECT, related_name="+")
    after_arm = models.ForeignKey("promotion.EvaluationArm", on_delete=models.PROTECT, related_name="+")
    result = models.CharField(max_length=8, choices=[(each.value, each.value) for each in PairResult])
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["measurement", "id"]
        constraints = [models.UniqueConstraint(fields=["measurement", "task"], name="one_pair_per_reserve_task")]
        triggers = keep_rows()

    def __str__(self) -> str:
        return f"{self.measurement_id}/{self.task_id}: {self.result}"
