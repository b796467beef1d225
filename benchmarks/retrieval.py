"""Retrieval: what a search of one large host costs, by words alone and with vectors, whatever the question's words."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator, Sequence
from itertools import accumulate, islice

from django.db import connection

from benchmarks.database import open_database
from benchmarks.measurement import Measurement, at_most, find_p95
from lealife.core.digest import digest_bytes
from learning.index.indexing import count_terms
from learning.index.models import HostIndex, IndexedPage, IndexedPassage
from learning.index.search import Found, search_passages
from learning.index.vectors import pack_vector
from training.agent.ranking import FIRST_WEIGHTS
from training.agent.reading.words import Question, read_question, split_words
from training.models import Host

PASSAGES, PER_PAGE, WORDS, VOCABULARY, DIMENSIONS = 100_000, 20, 120, 30_000, 384
LEXICAL_MOST_MS, VECTORS_MOST_MS = 30.0, 60.0
# Questions of each kind, and what each kind is made of.
QUESTIONS, WARM_UP = 40, 5
AT_ONCE = 2_000


def measure_retrieval(*, passages: int = PASSAGES, rounds: int = 5) -> list[Measurement]:
    """Searches a host of random passages whose words are as frequent as those of a language; three claims."""
    draw = random.Random(1)  # noqa: S311  no secret
    words = _make_words()
    with open_database():
        host = Host.objects.create(name="large", base_url="http://large.example/")
        _fill(host, passages=passages, draw=draw, words=words)
        questions = [read_question(prompt) for prompt in _ask(draw, words)]
        vector = _draw_vector(draw)
        lexical, with_vectors = [], []
        for question in questions[:WARM_UP]:
            _search(host, question, vector)
        same = 0
        for question in questions:
            lexical += [_time(host, question, None) for _ in range(rounds)]
            with_vectors += [_time(host, question, vector) for _ in range(rounds)]
            first, again = (_search(host, question, vector) for _ in range(2))
            same += first == again
    setup = f"{passages:,} passages of one host; {len(questions)} questions, {rounds} times each"
    return [
        at_most("a search by words alone, p95", find_p95(lexical), LEXICAL_MOST_MS, "ms", setup),
        at_most("a search with vectors, p95", find_p95(with_vectors), VECTORS_MOST_MS, "ms", setup),
        at_most("questions whose order changes when they are repeated", len(questions) - same, 0, "", setup),
    ]


def _ask(draw: random.Random, words: Sequence[str]) -> list[str]:
    """Questions of frequent, rare, mixed and very many words, in turn."""
    kinds = []
    for _ in range(QUESTIONS):
        frequent, rare = draw.sample(words[:50], 6), draw.sample(words[2_000:], 4)
        flood = draw.sample(words[:400], 300)
        kinds += [frequent, rare, [*frequent[:3], *rare[:2]], flood]
    return [" ".join(kind) for kind in kinds]


def _make_words() -> list[str]:
    """A vocabulary of words that stay as they are when they are stemmed."""
    consonants, vowels = "bdfgkmnprtvz", "aou"
    syllables = [consonant + vowel for consonant in consonants for vowel in vowels]
    made = (first + second + third + "k" for first in syllables for second in syllables for third in syllables)
    return list(islice((word for word in made if split_words(word) == (word,)), VOCABULARY))


def _fill(host: Host, *, passages: int, draw: random.Random, words: Sequence[str]) -> None:
    # Zipf's law: the word of rank n is as frequent as 1/n.
    totals = list(accumulate(1 / rank for rank in range(1, len(words) + 1)))
    index = IndexedPassage._meta.indexes[0]
    with connection.schema_editor() as schema:
        schema.remove_index(IndexedPassage, index)
    for start in range(0, passages, AT_ONCE):
        IndexedPassage.objects.bulk_create(_make_passages(host, start, draw=draw, words=words, totals=totals))
    HostIndex.objects.create(host=host, passages=passages)
    with connection.schema_editor() as schema:
        schema.add_index(IndexedPassage, index)
    count_terms(host.pk)
    with connection.cursor() as cursor:
        # As autovacuum leaves the tables; it would do so in the middle of the searches otherwise.
        cursor.execute("VACUUM (ANALYZE)")


def _make_passages(
    host: Host, start: int, *, draw: random.Random, words: Sequence[str], totals: Sequence[float]
) -> Iterator[IndexedPassage]:
    pages = IndexedPage.objects.bulk_create(
        IndexedPage(
            host=host,
            url=f"{host.base_url}{start + number}.html",
            url_digest=digest_bytes(f"{start + number}".encode()),
            title=" ".join(draw.sample(words[:2_000], 3)),
            content_hash=f"{start + number}",
        )
        for number in range(AT_ONCE // PER_PAGE)
    )
    for page in pages:
        for place in range(PER_PAGE):
            said = draw.choices(words, cum_weights=totals, k=WORDS)
            yield IndexedPassage(
                page=page,
                host=host,
                place=place,
                heading=page.title,
                text=" ".join(said),
                terms=[*said, *page.title.split()],
                vector=pack_vector(_draw_vector(draw)),
            )


def _draw_vector(draw: random.Random) -> list[float]:
    drawn = [draw.gauss(0, 1) for _ in range(DIMENSIONS)]
    length = math.sqrt(sum(value * value for value in drawn))
    return [value / length for value in drawn]


def _search(host: Host, question: Question, vector: Sequence[float] | None) -> list[Found]:
    return search_passages(host_id=host.pk, question=question, weights=FIRST_WEIGHTS, vector=vector, limit=30)


def _time(host: Host, question: Question, vector: Sequence[float] | None) -> float:
    began = time.perf_counter()
    _search(host, question, vector)
    return 1000 * (time.perf_counter() - began)
