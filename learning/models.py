"""The tables of what was learned."""

from __future__ import annotations

from datetime import datetime

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex, HashIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from lealife.core.triggers import Trigger, keep_rows
from learning.curriculum.models import CurriculumTask  # noqa: F401  Django finds it here
from learning.index.models import HostIndex, IndexedPage, IndexedPassage, TermCount, VectorModel  # noqa: F401
from training.models import Host, PageSnapshot, TrainingOutcome


class RunLearningOutcome(models.Model):
    """The fact that an outcome has been ingested, once. Append-only."""

    outcome = models.OneToOneField(TrainingOutcome, on_delete=models.PROTECT, related_name="+")
    success = models.BooleanField()
    is_counted = models.BooleanField(default=False, help_text="As its outcome says: towards windows.")
    items_written = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True, help_text="Why it could not be learned from; empty when it could.")
    ingested_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        db_table = "run_learning_outcomes"
        ordering = ["-id"]
        indexes = [models.Index(fields=["ingested_at"], name="ingested_by_time")]
        triggers = keep_rows()

    def __str__(self) -> str:
        return f"ingest of outcome {self.outcome_id}"


# First half of an advisory lock; the second is the slot.
COUNT_LOCK = 0x4C6543


# `changes` are the items that came (1) or went (-1). All counts of one transaction take the slot of its number.
# Statements of one transaction may count in any order: the lock of the slot, taken before the first count, keeps two
# transactions from waiting for each other's counts in a circle. It comes after the rows of the statement, so code
# that changes items locks the memory of their hosts first.
COUNT_MEMORY = """
    FOR counted IN
        SELECT kind || '/' || status AS name, sum(change) AS amount FROM ({changes}) AS moved
        GROUP BY 1 HAVING sum(change) <> 0 ORDER BY 1
    LOOP
        PERFORM pg_advisory_xact_lock({lock}, slot_taken);
        INSERT INTO memory_counts (name, slot, count) VALUES (counted.name, slot_taken, counted.amount)
        ON CONFLICT (name, slot) DO UPDATE SET count = memory_counts.count + EXCLUDED.count;
    END LOOP;
    RETURN NULL;
"""


def count_by_kind_and_status() -> list[Trigger]:
    """Triggers that keep `MemoryCount`, so that pages show it at the same cost however much memory there is."""
    gone = "SELECT kind, status, -1 AS change FROM old_rows"
    come = "SELECT kind, status, 1 AS change FROM new_rows"
    return [
        _count_items(pgtrigger.Insert, come, pgtrigger.Referencing(new="new_rows")),
        _count_items(
            pgtrigger.Update, f"{gone} UNION ALL {come}", pgtrigger.Referencing(old="old_rows", new="new_rows")
        ),
        _count_items(pgtrigger.Delete, gone, pgtrigger.Referencing(old="old_rows")),
    ]


def _count_items(event: pgtrigger.Operation, changes: str, rows: pgtrigger.Referencing) -> Trigger:
    return Trigger(
        name=f"count_memory_{str(event).lower()}",
        level=pgtrigger.Statement,
        when=pgtrigger.After,
        operation=event,
        referencing=rows,
        declare=[("slot_taken", "smallint := txid_current() % 16"), ("counted", "record")],
        func=COUNT_MEMORY.format(changes=changes, lock=COUNT_LOCK),
    )


class MemoryQuerySet(models.QuerySet["MemoryItem"]):
    def recallable(self) -> MemoryQuerySet:
        """Confirmed and not retired: what a run may see."""
        return self.filter(status=MemoryItem.Status.TRUSTED)


class MemoryItem(models.Model):
    """Shared memory: made only from page evidence and our own step records."""

    class Kind(models.TextChoices):
        PAGE = "page", "page"  # what a page says and where it is
        ROUTE = "route", "route"  # which page solved which kind of task
        EXEMPLAR = "exemplar", "exemplar"  # which pick was right in which situation
        PITFALL = "pitfall", "pitfall"  # which failure to avoid

    class Status(models.TextChoices):
        QUARANTINED = "quarantined", "quarantined"  # → trusted, when an independent sighting confirms it
        TRUSTED = "trusted", "trusted"  # → retired, when it hurts
        RETIRED = "retired", "retired"

    class Reason(models.TextChoices):
        GONE = "gone", "its page is gone"
        MOVED = "moved", "its address leads to another page now"
        CHANGED = "changed", "its page says something else now"
        SAME = "same", "another address says the same"
        ANSWERS = "answers", "the address answers again"
        NEVER_HELPED = "never_helped", "recalled often, it never helped"
        BY_HAND = "by_hand", "retired by hand"
        REPLACED = "replaced", "a person chose other words of its page"

    # What claims that an answer was right. What a page says stays true whatever was asked of it.
    CLAIMS = (Kind.ROUTE, Kind.EXEMPLAR)
    # What evidence took out of recall, evidence may bring back.
    REVIVABLE = (Reason.GONE, Reason.MOVED, Reason.CHANGED, Reason.SAME, Reason.ANSWERS)

    host = models.ForeignKey(Host, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=10, choices=Kind)
    key = models.CharField(max_length=64, help_text="sha256 of the values that identify the item: kind, URL, task.")
    status = models.CharField(max_length=12, choices=Status, default=Status.QUARANTINED)
    reason = models.CharField(max_length=12, choices=Reason, blank=True, help_text="Why it is not recalled.")
    url = models.TextField(blank=True)
    title = models.TextField(blank=True)
    text = models.TextField(blank=True, help_text="A short extract, from the page.")
    data = models.JSONField(default=dict, blank=True)
    content_hash = models.CharField(max_length=64, blank=True, help_text="sha256 of its page's content.")
    snapshot_digest = models.CharField(max_length=64, blank=True, help_text="The stored page from which it was read.")
    search = SearchVectorField(null=True, editable=False)
    sightings = models.PositiveIntegerField(default=1, help_text="Independent outcomes or fetches that confirm it.")
    recalled_count = models.PositiveIntegerField(default=0, help_text="Runs that recalled it.")
    checked_count = models.PositiveIntegerField(
        default=0, help_text="Of these runs, those whose answer a check could judge."
    )
    helped_count = models.PositiveIntegerField(
        default=0, help_text="Of these runs, those that followed it to a right answer."
    )
    first_outcome = models.ForeignKey(
        TrainingOutcome, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    # Most items were never corrected: a partial index below serves this.
    replaced_by = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="replaced", db_index=False
    )
    corrected_by = models.CharField(max_length=150, blank=True, help_text="Who chose these words of the page.")
    corrected_why = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = MemoryQuerySet.as_manager()

    class Meta:
        permissions = [
            ("retire_memory", "May retire memory"),
            ("trust_memory", "May vouch for memory"),
            ("correct_memory", "May correct memory"),
            ("purge_memory", "May purge memory"),
        ]
        db_table = "memory_items"
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["host", "key"], name="one_memory_item_per_key_of_a_host")]
        indexes = [
            GinIndex("search", name="memory_search"),
            models.Index(fields=["host", "kind"], condition=Q(status="trusted"), name="memory_trusted"),
            # Ingest asks which page says the same, and what is remembered of an address.
            models.Index(fields=["host", "content_hash"], name="memory_by_content"),
            HashIndex(fields=["url"], name="memory_by_address"),
            models.Index(fields=["replaced_by"], condition=Q(replaced_by__isnull=False), name="memory_replaced"),
        ]
        triggers = count_by_kind_and_status()

    def __str__(self) -> str:
        return f"{self.kind}: {self.title or self.url}"


class MemoryCount(models.Model):
    """One of 16 parts of how many items of a kind have a status; triggers keep it."""

    name = models.CharField(max_length=30, help_text="kind/status")
    slot = models.SmallIntegerField()
    count = models.BigIntegerField(default=0)

    class Meta:
        db_table = "memory_counts"
        constraints = [models.UniqueConstraint(fields=["name", "slot"], name="one_row_per_memory_count_slot")]

    def __str__(self) -> str:
        return f"{self.name}/{self.slot}"


class MemoryEvidence(models.Model):
    """Which outcome taught which item, from which page content. Append-only."""

    item = models.ForeignKey(MemoryItem, on_delete=models.CASCADE, related_name="evidence")
    outcome = models.ForeignKey(TrainingOutcome, on_delete=models.PROTECT, related_name="+")
    url = models.TextField(blank=True)
    content_hash = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name_plural = "memory evidence"
        constraints = [models.UniqueConstraint(fields=["item", "outcome"], name="one_evidence_per_item_and_outcome")]
        # A purge of memory deletes the evidence together with its item.
        triggers = keep_rows(deletable_while="lealife.purging")

    def __str__(self) -> str:
        return f"{self.item_id} ← outcome {self.outcome_id}"


class FrontierQuerySet(models.QuerySet["FrontierPage"]):
    def unread(self) -> FrontierQuerySet:
        """Known, not yet read, on an enabled host that wants a curriculum."""
        return self.filter(state=FrontierPage.State.KNOWN, host__enabled=True, host__seed_curriculum=True)

    def due(self, *, now: datetime) -> FrontierQuerySet:
        """Unread, and to be read by now: a page that did not come waits."""
        return self.unread().filter(not_before__lte=now)

    def rested(self, *, now: datetime) -> FrontierQuerySet:
        """Read, and to be looked at again by now; of such hosts. The longest overdue first."""
        rested = self.filter(
            state=FrontierPage.State.READ, host__enabled=True, host__seed_curriculum=True, not_before__lte=now
        )
        return rested.order_by("not_before", "id")


class FrontierPage(models.Model):
    """A page of a host that the curriculum's crawl knows of."""

    class State(models.TextChoices):
        KNOWN = "known", "known"  # → read, unreadable
        READ = "read", "read"
        # READ and UNREADABLE → known, when the page changed or is back, or the host's own rules have changed
        UNREADABLE = "unreadable", "unreadable"

    SETTLED = (State.READ, State.UNREADABLE)

    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="+")
    url = models.TextField()
    url_digest = models.CharField(max_length=64)
    depth = models.PositiveSmallIntegerField(default=0)
    state = models.CharField(max_length=12, choices=State, default=State.KNOWN)
    snapshot = models.ForeignKey(PageSnapshot, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    content_digest = models.CharField(max_length=64, blank=True, help_text="sha256 of the page's content.")
    passage_keys = ArrayField(
        models.BigIntegerField(), default=list, blank=True, help_text="What the page said first, a number a passage."
    )
    repeated_keys = ArrayField(
        models.BigIntegerField(), default=list, blank=True, help_text="What other pages had said before it."
    )
    error_code = models.CharField(max_length=40, blank=True)
    not_before = models.DateTimeField(db_default=Now(), help_text="When it is read, or looked at again.")
    etag = models.CharField(max_length=200, blank=True)
    last_modified = models.CharField(max_length=200, blank=True)
    unchanged = models.PositiveSmallIntegerField(
        default=0, help_text="Looks in a row that found the page as it was; the next one comes later after each."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = FrontierQuerySet.as_manager()

    class Meta:
        permissions = [("read_again", "May have sites read again")]
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["host", "url_digest"], name="one_frontier_row_per_page")]
        indexes = [
            models.Index(fields=["host", "depth", "id"], condition=Q(state="known"), name="frontier_due"),
            models.Index(fields=["not_before", "id"], condition=Q(state="read"), name="frontier_rested"),
            GinIndex("passage_keys", name="frontier_passages"),
        ]

    def __str__(self) -> str:
        return self.url


class MissingPage(models.Model):
    """What a host answers for an address that does not exist, when it answers with a page (a soft 404)."""

    host = models.OneToOneField(Host, on_delete=models.CASCADE, related_name="+")
    digest = models.CharField(max_length=64, blank=True, help_text="Of what it says, its address aside; or none.")
    asked_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"missing page of host {self.host_id}"
