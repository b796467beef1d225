"""The tables of frozen pages: what every arm of an evaluation sees of the hosts."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from lealife.core.triggers import keep_rows
from training.models import PageSnapshot


class PageFreeze(models.Model):
    """One frozen view of the hosts. Each page is fetched once and then reused by every arm that shares the freeze."""

    memory_digest = models.CharField(max_length=64, help_text="Digest of its tasks and their recalled memory.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return f"freeze {self.pk}"


class FrozenPage(models.Model):
    """The answer of one URL when an arm first fetched it, kept for all other arms. Append-only."""

    freeze = models.ForeignKey(PageFreeze, on_delete=models.PROTECT, related_name="pages")
    url_digest = models.CharField(max_length=64)
    url = models.TextField()
    final_url = models.TextField(blank=True)
    status_code = models.PositiveSmallIntegerField(default=0)
    snapshot = models.ForeignKey(PageSnapshot, on_delete=models.PROTECT, null=True, related_name="+")
    error_code = models.CharField(max_length=40, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["freeze", "url_digest"], name="one_answer_per_frozen_url")]
        triggers = keep_rows()

    def __str__(self) -> str:
        return self.url
