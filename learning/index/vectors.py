"""Vectors: what a passage means, in numbers of 16 bits, and how alike two meanings are."""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping, Sequence
from operator import mul

from lealife.core.gateway import ModelInvalid
from learning.index.models import IndexedPassage, VectorModel
from training.agent.embedding import Embed
from training.agent.ranking import LEAST_COSINE
from training.agent.reading.passages import Passage, describe_text

# Passages whose vectors are made with one request.
AT_ONCE = 16
# The share of passages that must have a vector before all are compared.
COMPARED_LEAST = 0.5
# While fewer have one, the best passages by BM25 get theirs for each question: so many of them.
NEAREST = 48


def note_model(*, name: str, digests: Collection[str]) -> int:
    """The number of the model that makes vectors now. It gets a new one when its name or digest has changed.

    `digests`: those that the model servers have of it, at least one. When servers disagree, the one that was noted
    stays as long as some server has it.
    """
    newest = VectorModel.objects.first()
    if newest is not None and newest.name == name and newest.digest in digests:
        return newest.pk
    # When two processes add it at once, what the first one's number was given to is made again.
    return VectorModel.objects.create(name=name, digest=min(digests)).pk


def read_model_number() -> int:
    """The number of the model that was noted last; 0 before the first."""
    return VectorModel.objects.values_list("pk", flat=True).first() or 0


def lack_vectors(*, name: str) -> bool:
    """Whether some passage has no vector by the model of this name, as it was noted last."""
    newest = VectorModel.objects.first()
    if newest is None or newest.name != name:
        return IndexedPassage.objects.exists()
    return IndexedPassage.objects.filter(vector_by__lt=newest.pk).exists()


def make_vectors(*, embed: Embed, model: int) -> int:
    """Makes the vectors of a few passages by the model with this number, and returns how many.

    Those that were never made come first, of the newest passages first, then those by another model. Raises
    ModelUnavailable as `embed` does.
    """
    waiting = IndexedPassage.objects.filter(vector_by__lt=model).select_related("page").order_by("vector_by", "-pk")
    rows = waiting.only("heading", "text", "page__title")[:AT_ONCE]
    texts = {row.pk: describe_text(row.page.title, Passage(row.heading, row.text)) for row in rows}
    return len(make_missing_vectors(texts, embed=embed, model=model))


def make_missing_vectors(texts: Mapping[int, str], *, embed: Embed, model: int) -> dict[int, bytes]:
    """Makes and stores the vectors of these passages, given as number and text, by the model with this number.

    Returns them; fewer, or none, where `embed` makes none. The model is asked outside transactions, for a few at a
    time: what is made stays. A text that it refuses gets an empty vector. Raises ModelUnavailable as `embed` does.
    """
    made, waiting = dict[int, bytes](), list(texts.items())
    for at in range(0, len(waiting), AT_ONCE):
        batch = waiting[at : at + AT_ONCE]
        for (pk, _), vector in zip(batch, _make_vectors([text for _, text in batch], embed=embed), strict=False):
            made[pk] = vector
            # A page that changed meanwhile has other passages by now.
            IndexedPassage.objects.filter(pk=pk, vector_by__lt=model).update(vector=vector, vector_by=model)
    return made


def _make_vectors(texts: Sequence[str], *, embed: Embed) -> list[bytes]:
    try:
        return [pack_vector(vector) for vector in embed(texts)]
    except ModelInvalid:
        return [_make_vector(text, embed=embed) for text in texts]


def _make_vector(text: str, *, embed: Embed) -> bytes:
    try:
        return pack_vector(embed([text])[0])
    except ModelInvalid:
        return b""


def pack_vector(vector: Sequence[float]) -> bytes:
    """A vector as it is stored: two bytes a number."""
    return struct.pack(f"<{len(vector)}e", *vector)


def unpack_vector(stored: bytes) -> tuple[float, ...]:
    """A stored vector."""
    return struct.unpack(f"<{len(stored) // 2}e", stored)


def measure_cosines(stored: Sequence[bytes | None], vector: Sequence[float] | None) -> list[float | None]:
    """The cosine of each stored unit vector and `vector`, those of the passages nearest by words first.

    0 for all without `vector`, and otherwise a little more at least: words and meaning are not on one scale. A passage
    without a vector counts as the average of the others. While most have none, as on a site that is being read, it is
    None: it cannot be compared. While most of the `NEAREST` have none, words alone are compared.
    """
    measured = [_measure_cosine(each, vector) if vector is not None else None for each in stored]
    known = [cosine for cosine in measured if cosine is not None]
    nearest = [cosine for cosine in measured[:NEAREST] if cosine is not None]
    if not known or len(nearest) < COMPARED_LEAST * len(measured[:NEAREST]):
        return [0.0] * len(stored)
    average = sum(known) / len(known)
    are_most = len(known) >= COMPARED_LEAST * len(stored)
    # An empty vector is that of a text that was refused: it will never have another one.
    return [
        average if cosine is None and (are_most or each == b"") else cosine
        for cosine, each in zip(measured, stored, strict=True)
    ]


def lacks_most(stored: Collection[bytes | None]) -> bool:
    """Whether most of these passages have no vector yet."""
    return sum(each is not None for each in stored) < COMPARED_LEAST * len(stored)


def _measure_cosine(stored: bytes | None, vector: Sequence[float]) -> float | None:
    if stored is None or len(stored) != 2 * len(vector):
        return None
    return max(LEAST_COSINE, sum(map(mul, unpack_vector(stored), vector)))
