"""API keys, counts of wrong keys, and stored answers to requests with an Idempotency-Key."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class ApiKey(models.Model):
    """A bearer key, stored as its digest: the key itself is shown once, when it is made."""

    class Scope(models.TextChoices):
        READ = "read", "read"
        OPERATE = "operate", "operate"
        ADMIN = "admin", "admin"

    name = models.CharField(max_length=100, unique=True)
    prefix = models.CharField(max_length=12, editable=False)
    key_digest = models.CharField(max_length=64, unique=True, editable=False)
    scope = models.CharField(max_length=10, choices=Scope, default=Scope.READ)
    # The key may do no more than this user, and only while they may sign in. Empty once the user is deleted.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    # True for a key made on the command line while there was no superuser: it is valid without an owner.
    ownerless = models.BooleanField(default=False, editable=False)
    expires_at = models.DateTimeField(editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_by = models.CharField(max_length=150, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["name"]
        verbose_name = "API key"

    def __str__(self) -> str:
        return self.name


class WrongKeys(models.Model):
    """How many wrong keys one address sent in one minute. In the database, because all processes count together."""

    KEPT_FOR = timedelta(hours=1)

    address = models.CharField(
        max_length=45, help_text="The client's address (of IPv6 only the first half); empty when unknown."
    )
    minute = models.DateTimeField(help_text="When the minute began.")
    count = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["address", "minute"], name="one_count_of_wrong_keys_per_minute"),
        ]
        verbose_name_plural = "wrong keys"

    def __str__(self) -> str:
        return f"{self.count} from {self.address} at {self.minute:%Y-%m-%d %H:%M}"


class IdempotentAnswerQuerySet(models.QuerySet["IdempotentAnswer"]):
    """Queries of stored answers."""

    def expired(self, *, now: datetime) -> IdempotentAnswerQuerySet:
        """Answers that are older than the time in which a client may repeat its request."""
        return self.filter(created_at__lt=now - IdempotentAnswer.KEPT_FOR)


class IdempotentAnswer(models.Model):
    """The answer to a POST with an `Idempotency-Key`, written in the transaction that did the work."""

    KEPT_FOR = timedelta(hours=24)

    caller = models.CharField(max_length=200)
    path = models.TextField()
    key = models.CharField(max_length=255)
    body_digest = models.CharField(max_length=64, help_text="sha256 of the request's body.")
    status = models.PositiveSmallIntegerField(null=True)
    answer = models.JSONField(null=True)
    created_at = models.DateTimeField(db_default=Now(), db_index=True)

    objects = IdempotentAnswerQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["caller", "path", "key"], name="one_answer_per_idempotency_key"),
        ]

    def __str__(self) -> str:
        return f"{self.path} {self.key}"
