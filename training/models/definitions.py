"""Task definitions that are saved to be queued again and again."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from training.models.hosts import Host


class TaskDefinition(models.Model):
    """A saved training task. It may be written before its host is known; enabled, it has one."""

    title = models.CharField(
        max_length=200, unique=True, help_text="The name of the definition and its sources in lists."
    )
    prompt = models.TextField(help_text="What the LLM follows during training execution.")
    host = models.ForeignKey(
        Host,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="The website to visit. Without one the definition cannot be enabled.",
    )
    check_spec = models.JSONField(default=dict, blank=True, verbose_name="success check")
    pages_target = models.PositiveSmallIntegerField(null=True, blank=True)
    enabled = models.BooleanField(default=False, help_text="Disabled definitions are never queued.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    created_by = models.CharField(max_length=150)
    updated_at = models.DateTimeField(auto_now=True)
    updated_by = models.CharField(max_length=150)

    class Meta:
        permissions = [("manage_definition", "May write, enable and delete task definitions")]
        ordering = ["title"]
        constraints = [
            models.CheckConstraint(condition=~Q(prompt=""), name="definition_has_a_prompt"),
            models.CheckConstraint(
                condition=Q(enabled=False) | Q(host__isnull=False), name="an_enabled_definition_has_a_host"
            ),
        ]

    def __str__(self) -> str:
        return self.title
