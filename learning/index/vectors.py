"""Vectors: what a passage means, in numbers of 16 bits, and how alike two meanings are."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from operator import mul

from learning.index.models import IndexedPassage
from training.agent.quoting import Embed
from training.agent.reading.passages import Passage, describe_text

# Passages whose vectors are made with one request.
AT_ONCE = 16


def lack_vectors() -> bool:
    """Whether some passage has no vector yet."""
    return IndexedPassage.objects.filter(vector=None).exists()


def make_vectors(*, embed: Embed) -> int:
    """Makes the vectors of a few passages, newest first; returns how many. The model is asked outside transactions."""
    waiting = IndexedPassage.objects.filter(vector=None).select_related("page").order_by("-pk")
    rows = list(waiting.only("heading", "text", "page__title")[:AT_ONCE])
    made = embed([describe_text(row.page.title, Passage(row.heading, row.text)) for row in rows]) if rows else ()
    for row, vector in zip(rows, made, strict=False):
        # A page that changed meanwhile has other passages by now.
        IndexedPassage.objects.filter(pk=row.pk, vector=None).update(vector=pack_vector(vector))
    return len(made)


def pack_vector(vector: Sequence[float]) -> bytes:
    """A vector as it is stored: two bytes a number."""
    return struct.pack(f"<{len(vector)}e", *vector)


def unpack_vector(stored: bytes) -> tuple[float, ...]:
    """A stored vector."""
    return struct.unpack(f"<{len(stored) // 2}e", stored)


def measure_cosines(stored: Sequence[bytes | None], vector: Sequence[float] | None) -> list[float]:
    """The cosine of each stored unit vector and `vector`, at least 0.

    A passage whose vector was not made yet, or by a model of another size, counts as the average of the others.
    """
    if vector is None:
        return [0.0] * len(stored)
    measured: list[float | None] = []
    for each in stored:
        if each is None or len(each) != 2 * len(vector):
            measured.append(None)
        else:
            measured.append(max(0.0, sum(map(mul, unpack_vector(each), vector))))
    known = [cosine for cosine in measured if cosine is not None]
    average = sum(known) / len(known) if known else 0.0
    return [average if cosine is None else cosine for cosine in measured]
