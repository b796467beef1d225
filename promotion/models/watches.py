"""The tables of watches over live applies."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from lealife.core.triggers import keep_decided, keep_rows
from promotion.models.tags import Role


class Watch(models.Model):
    """The time after a live apply in which the previous tag still serves a small share, for comparison."""

    class State(models.TextChoices):
        OPEN = "open", "open"  # → cleared, harmed, ended
        CLEARED = "cleared", "no harm found"
        HARMED = "harmed", "harm found"
        ENDED = "ended", "ended early"  # the tag was switched meanwhile, or there was too little traffic to tell

    apply = models.OneToOneField("promotion.LiveApply", on_delete=models.PROTECT, related_name="watch")
    role = models.CharField(max_length=10, choices=Role)
    share_percent = models.PositiveSmallIntegerField(
        help_text="Share of runs that the previous tag still serves, in percent."
    )
    wanted_observations = models.PositiveIntegerField()
    deadline_at = models.DateTimeField()
    state = models.CharField(max_length=8, choices=State, default=State.OPEN)
    reason = models.TextField(blank=True)
    e_harm = models.FloatField(default=1.0)
    applied_successes = models.PositiveIntegerField(default=0)
    applied_observations = models.PositiveIntegerField(default=0)
    held_successes = models.PositiveIntegerField(default=0)
    held_observations = models.PositiveIntegerField(default=0)
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "watches"
        constraints = [
            models.UniqueConstraint(fields=["role"], condition=Q(state="open"), name="one_open_watch_per_role"),
        ]
        triggers = keep_decided("OLD.state <> 'open'")

    def __str__(self) -> str:
        return f"watch {self.pk} over {self.apply}"


class WatchedRun(models.Model):
    """A run that started under a watch, and the tag it was promised: the applied or the previous one. Append-only."""

    watch = models.ForeignKey(Watch, on_delete=models.PROTECT, related_name="runs")
    run = models.ForeignKey("training.Run", on_delete=models.PROTECT, related_name="+")
    held_back = models.BooleanField(help_text="Served by the previous tag.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["run", "watch"], name="one_arm_per_watched_run")]
        triggers = keep_rows()

    def __str__(self) -> str:
        return f"run {self.run_id}: {'held back' if self.held_back else 'applied'}"
