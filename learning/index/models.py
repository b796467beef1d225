"""The tables of the site index: pages, their passages, and how many passages hold each word."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models.functions import Now

from training.models import Host


class IndexedPage(models.Model):
    """A page of a host that can be searched. It is made from the kept page and can be made again from it."""

    host = models.ForeignKey(Host, on_delete=models.PROTECT, related_name="+")
    url = models.TextField()
    url_digest = models.CharField(max_length=64)
    title = models.TextField(blank=True)
    content_hash = models.CharField(max_length=64, help_text="sha256 of the page's content.")
    snapshot_digest = models.CharField(max_length=64, blank=True, help_text="The stored page from which it was read.")
    updated_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        db_table = "indexed_pages"
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["host", "url_digest"], name="one_indexed_page_per_address")]
        indexes = [models.Index(fields=["host", "content_hash"], name="indexed_by_content")]

    def __str__(self) -> str:
        return self.title or self.url


class IndexedPassage(models.Model):
    """At most 180 words of one section of a page."""

    page = models.ForeignKey(IndexedPage, on_delete=models.CASCADE, related_name="passages")
    host = models.ForeignKey(Host, on_delete=models.PROTECT, related_name="+")
    place = models.PositiveSmallIntegerField(help_text="Its place on the page, from 0.")
    heading = models.TextField(blank=True, help_text="The headings above it, outermost first.")
    text = models.TextField(help_text="A line per block.")
    terms = ArrayField(
        models.TextField(), help_text="The stemmed words of its text, then twice those of its title and headings."
    )
    vector = models.BinaryField(null=True, help_text="What it means: numbers of 16 bits; null until it was made.")
    vector_by = models.PositiveIntegerField(
        db_default=0, help_text="The number of the model that made the vector; 0 until one did."
    )

    class Meta:
        db_table = "indexed_passages"
        ordering = ["page_id", "place"]
        constraints = [models.UniqueConstraint(fields=["page", "place"], name="one_passage_per_place")]
        indexes = [
            GinIndex("terms", name="passage_terms"),
            # Vectors are made in the background: first those that were never made, of the newest passages first.
            models.Index(fields=["vector_by", "-id"], name="passages_by_vector"),
        ]

    def __str__(self) -> str:
        return self.heading or self.text[:80]


class VectorModel(models.Model):
    """A model that made vectors from some moment on. The newest one makes them now; those of others are stale."""

    name = models.CharField(max_length=200)
    digest = models.CharField(max_length=80, help_text="What the model servers say of it.")
    noted_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        db_table = "index_vector_models"
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.name} {self.digest[:12]}"


class TermCount(models.Model):
    """How many passages of a host hold a word."""

    host = models.ForeignKey(Host, on_delete=models.PROTECT, related_name="+")
    term = models.TextField()
    passages = models.PositiveIntegerField()

    class Meta:
        db_table = "index_term_counts"
        constraints = [models.UniqueConstraint(fields=["host", "term"], name="one_count_per_term")]

    def __str__(self) -> str:
        return f"{self.term}: {self.passages}"


class HostIndex(models.Model):
    """The size of a host's index, and the size at which its words were counted last."""

    host = models.OneToOneField(Host, on_delete=models.PROTECT, related_name="+")
    passages = models.PositiveIntegerField(default=0)
    counted_passages = models.PositiveIntegerField(default=0, help_text="Passages when the words were counted.")
    changed_since = models.PositiveIntegerField(default=0, help_text="Passages that came or went since then.")
    average_terms = models.FloatField(default=0.0, help_text="Words of a passage, on average.")

    class Meta:
        db_table = "host_indexes"
        verbose_name_plural = "host indexes"

    def __str__(self) -> str:
        return f"{self.passages} passages of host {self.host_id}"
