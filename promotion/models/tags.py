"""The table of model tags, and what a candidate may change of one."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Role(models.TextChoices):
    CONTROLLER = "controller", "controller"  # picks URLs
    TASK = "task", "task"  # writes the answer: the standard task model


class Lever(models.TextChoices):
    """What of the active recipe a candidate changes."""

    ASK = "ask", "ask"  # when the controller is asked at all
    RANKER = "ranker", "ranker"  # the weights by which pages are ranked
    BUDGET = "budget", "budget"  # the size of the shortlist
    EXEMPLARS = "exemplars", "exemplars"  # the verified situations in the tag
    BASE = "base", "base"  # the base model
    READING = "reading", "reading"  # the instruction by which an answer is written


class ModelTag(models.Model):
    """An Ollama tag known to us, at one digest."""

    class Status(models.TextChoices):
        CONFIGURED = "configured", "configured"
        UNUSED = "unused", "unused"
        CANDIDATE = "candidate", "candidate"  # → active, rejected
        ACTIVE = "active", "active"  # → retired
        RETIRED = "retired", "retired"
        REJECTED = "rejected", "rejected"
        PRUNED = "pruned", "pruned"

    role = models.CharField(max_length=10, choices=Role)
    name = models.CharField(max_length=200, unique=True)
    digest = models.CharField(max_length=80)
    base = models.CharField(max_length=200)
    recipe = models.JSONField(default=dict, help_text="Everything that is needed to make it again.")
    recipe_digest = models.CharField(max_length=64)
    parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    status = models.CharField(max_length=10, choices=Status)
    pinned = models.BooleanField(default=False, help_text="Never pruned.")
    foretold = models.TextField(
        blank=True, help_text="The cost of serving it next to its parent: empty, or why the model is reloaded."
    )
    lever = models.CharField(
        max_length=10, choices=Lever, blank=True, help_text="What a candidate changes of its parent's recipe."
    )
    why = models.TextField(blank=True, help_text="Why this lever, or why it was refused, in one sentence.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        permissions = [("pin_tag", "May pin tags"), ("prune_tags", "May prune tags")]
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["role"], condition=Q(status="active"), name="one_active_tag_per_role"),
        ]

    def __str__(self) -> str:
        return self.name
