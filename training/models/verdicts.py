"""Operator verdicts: what people say of answers."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from lealife.core.triggers import keep_rows
from training.models.runs import Run


class OperatorVerdict(models.Model):
    """“Was this right?”, answered by a person or a key. Append-only: the latest of a run counts."""

    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="verdicts")
    right = models.BooleanField(help_text="Whether the answer was right.")
    note = models.TextField(blank=True, help_text="For people only: it never becomes memory.")
    right_url = models.TextField(
        blank=True, db_default="", help_text="With a “no”: the page that would have been right, where it is known."
    )
    right_text = models.TextField(
        blank=True, db_default="", help_text="With a “no”: the words of that page that answer, where they are known."
    )
    by = models.CharField(max_length=150)
    origin = models.CharField(max_length=40, help_text="page, api, admin, …")
    effect = models.JSONField(default=dict, help_text="Ids of the memory items that it changed, by their new status.")
    at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        permissions = [("give_verdict", "May judge answers")]
        ordering = ["-id"]
        triggers = keep_rows()

    def __str__(self) -> str:
        return f"run {self.run_id} is {'right' if self.right else 'wrong'}"
