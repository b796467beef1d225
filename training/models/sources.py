"""Training sources and the campaigns that multiply them."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from training.models.definitions import TaskDefinition
from training.models.hosts import Host

# A waiting source gains one priority level for every quarter of an hour, so that nothing starves.
AGEING_S = 900
PRIORITY_MIN, PRIORITY_MAX = -100, 100


def queue_rank(*, queued_at: datetime, priority: int) -> float:
    """Sort key of a waiting source, lowest first, in seconds.

    Ageing adds the same amount to every waiting source, so the order of any two never changes while they
    wait: `queued_at - priority * AGEING_S` is that order, needs no clock and can be indexed.
    """
    return queued_at.timestamp() - priority * AGEING_S


class Campaign(models.Model):
    """One task definition times N: N queue sources that run independently."""

    title = models.CharField(max_length=200)
    prompt = models.TextField()
    host = models.ForeignKey(Host, on_delete=models.PROTECT, related_name="+")
    check_spec = models.JSONField(default=dict, blank=True, verbose_name="success check")
    pages_target = models.PositiveSmallIntegerField(null=True, blank=True)
    size = models.PositiveIntegerField()
    definition = models.ForeignKey(
        TaskDefinition, on_delete=models.PROTECT, null=True, blank=True, related_name="campaigns"
    )
    queued_from = models.CharField(max_length=40)
    created_by = models.CharField(max_length=150)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    cancelled_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        permissions = [("manage_campaign", "May queue, requeue and cancel campaigns")]
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(size__gte=1, size__lte=10_000), name="campaign_size_1_to_10000"),
        ]

    def __str__(self) -> str:
        return f"{self.title} ×{self.size}"


class SourceQuerySet(models.QuerySet["TrainingSource"]):
    def pending(self) -> SourceQuerySet:
        return self.filter(status=TrainingSource.Status.PENDING)

    def ready(self, *, now: datetime) -> SourceQuerySet:
        """Pending, not resting, on an enabled host."""
        return self.pending().filter(Q(not_before=None) | Q(not_before__lte=now), host__enabled=True)

    def operator_queue(self) -> SourceQuerySet:
        """Queued by an operator."""
        return self.filter(kind=TrainingSource.Kind.QUEUE)

    def curriculum(self) -> SourceQuerySet:
        """Seeded from websites."""
        return self.filter(kind=TrainingSource.Kind.CURRICULUM)


class TrainingSource(models.Model):
    """One thing to train on."""

    class Kind(models.TextChoices):
        QUEUE = "queue", "queue"  # an operator's prompt
        CURRICULUM = "curriculum", "curriculum"  # seeded from a website

    class Status(models.TextChoices):
        PENDING = "pending", "pending"  # → claimed, disabled, cancelled
        CLAIMED = "claimed", "claimed"  # → done, failed, pending (retry), disabled
        DONE = "done", "done"  # → pending (requeued)
        FAILED = "failed", "failed"  # → pending (requeued)
        DISABLED = "disabled", "disabled"  # → pending (enabled)
        CANCELLED = "cancelled", "cancelled"  # terminal

    kind = models.CharField(max_length=12, choices=Kind, default=Kind.QUEUE)
    title = models.CharField(max_length=200)
    prompt = models.TextField()
    # Without an index of its own: while statistics know few sources, Postgres would read all of a host by it and sort
    # them, instead of reading the head of its queue.
    host = models.ForeignKey(Host, on_delete=models.PROTECT, related_name="sources", db_index=False)
    check_spec = models.JSONField(default=dict, blank=True, verbose_name="success check")
    pages_target = models.PositiveSmallIntegerField(null=True, blank=True)
    queued_from = models.CharField(max_length=40, default="admin")
    queued_by = models.CharField(max_length=150, blank=True)
    priority = models.SmallIntegerField(default=0)
    queue_rank = models.FloatField(editable=False)
    failed_attempts = models.PositiveSmallIntegerField(default=0)
    scenario_marker = models.CharField(max_length=80, null=True, blank=True)  # noqa: DJ001  unique where there is one
    # Most sources have neither: partial indexes below serve them, and the others cost nothing.
    campaign = models.ForeignKey(
        Campaign, on_delete=models.PROTECT, null=True, blank=True, related_name="sources", db_index=False
    )
    definition = models.ForeignKey(
        TaskDefinition, on_delete=models.PROTECT, null=True, blank=True, related_name="sources", db_index=False
    )
    status = models.CharField(max_length=10, choices=Status, default=Status.PENDING)
    status_reason = models.CharField(max_length=300, blank=True)
    not_before = models.DateTimeField(null=True, blank=True, help_text="Not picked before this time.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    claimed_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="When it was first claimed.")
    finished_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = SourceQuerySet.as_manager()

    class Meta:
        permissions = [
            ("queue_source", "May queue and correct training sources"),
            ("disable_source", "May disable and enable training sources"),
            ("cancel_source", "May cancel training sources"),
        ]
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(priority__gte=PRIORITY_MIN, priority__lte=PRIORITY_MAX), name="source_priority_in_bounds"
            ),
            models.CheckConstraint(condition=~Q(prompt=""), name="source_has_a_prompt"),
            models.UniqueConstraint(
                fields=["scenario_marker"],
                condition=Q(scenario_marker__isnull=False),
                name="one_source_per_scenario_marker",
            ),
        ]
        indexes = [
            # The claim: head of the queue of one kind on one host.
            models.Index(
                fields=["kind", "host", "queue_rank", "id"], condition=Q(status="pending"), name="source_waiting"
            ),
            # The same on a fair turn, when the one that has waited longest is next. Only a query that says `id > 0` can
            # use it. Otherwise Postgres, while its statistics know of few sources, finds the head of the queue by
            # reading all that wait through this index and sorting them.
            models.Index(
                fields=["kind", "host", "created_at", "id"],
                condition=Q(status="pending", id__gt=0),
                name="source_waiting_longest",
            ),
            models.Index(fields=["campaign", "status"], condition=Q(campaign__isnull=False), name="source_of_campaign"),
            # How many of a definition's sources wait, and whether a definition may be deleted.
            models.Index(
                fields=["definition", "status"], condition=Q(definition__isnull=False), name="source_of_definition"
            ),
        ]

    def __str__(self) -> str:
        return self.title

    def save(self, **kwargs) -> None:
        """Keeps the queue rank in step with the priority."""
        # A row that is being made has no time yet: the database gives it one.
        queued_at = self.created_at if isinstance(self.created_at, datetime) else timezone.now()
        self.queue_rank = queue_rank(queued_at=queued_at, priority=self.priority)
        if kwargs.get("update_fields") is not None:
            kwargs["update_fields"] = {*kwargs["update_fields"], "queue_rank"}
        super().save(**kwargs)
