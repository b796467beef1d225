"""The tables of work in progress: pairs that are being run, and requested drills of the gate."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from promotion.models.tags import Role


class PairWork(models.Model):
    """A pair that a worker is running or has finished.

    Pairs become evidence strictly in the order of their index. A pair that is finished early waits here.
    """

    evaluation = models.ForeignKey("promotion.Evaluation", on_delete=models.PROTECT, related_name="work")
    index = models.PositiveIntegerField()
    worker = models.CharField(max_length=150)
    lease_until = models.DateTimeField(help_text="After this time another worker may take the pair.")
    candidate_arm = models.ForeignKey("promotion.EvaluationArm", on_delete=models.PROTECT, null=True, related_name="+")
    baseline_arm = models.ForeignKey("promotion.EvaluationArm", on_delete=models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ["evaluation", "index"]
        verbose_name_plural = "pair work"
        constraints = [models.UniqueConstraint(fields=["evaluation", "index"], name="one_worker_per_pair")]

    def __str__(self) -> str:
        return f"{self.evaluation_id}/{self.index} by {self.worker}"


class DrillQuerySet(models.QuerySet["GateDrill"]):
    """Queries of drills."""

    def open(self) -> DrillQuerySet:
        """Requested drills and those in evaluation now, oldest first."""
        return self.filter(
            Q(state=GateDrill.State.REQUESTED) | Q(state=GateDrill.State.RUNNING, evaluation__verdict="pending")
        ).order_by("pk")


class GateDrill(models.Model):
    """A test of the gate: a tag whose quality is known goes through it like any candidate."""

    class Kind(models.TextChoices):
        CLONE = "clone", "identical clone"
        SABOTAGED = "sabotaged", "sabotaged copy"

    class State(models.TextChoices):
        REQUESTED = "requested", "requested"  # → running, refused
        RUNNING = "running", "running"  # its evaluation says how it ends
        REFUSED = "refused", "refused"

    kind = models.CharField(max_length=10, choices=Kind)
    role = models.CharField(max_length=10, choices=Role)
    state = models.CharField(max_length=10, choices=State, default=State.REQUESTED)
    reason = models.TextField(blank=True)
    evaluation = models.OneToOneField(
        "promotion.Evaluation", on_delete=models.PROTECT, null=True, blank=True, related_name="gate_drill"
    )
    requested_by = models.CharField(max_length=150)
    requested_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = DrillQuerySet.as_manager()

    class Meta:
        permissions = [("drill_gate", "May drill the gate")]
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["kind"], condition=Q(state="requested"), name="one_requested_drill_of_a_kind"
            ),
        ]

    def __str__(self) -> str:
        return f"drill {self.pk}: {self.get_kind_display()}"
