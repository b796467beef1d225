"""Search: the passages of a host that bear most on a question, best first. Deterministic."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

from django.db import connection

from learning.index.models import HostIndex, IndexedPassage, TermCount
from learning.index.vectors import NEAREST, lacks_most, make_missing_vectors, measure_cosines, read_model_number
from training.agent.embedding import Embed
from training.agent.ranking import Features, Weights, measure_share, score_bm25
from training.agent.reading.passages import Passage, describe_text
from training.agent.reading.words import Question, Rarity, fold, split_words

# Passages that are looked up by their words, rarest words first: words that stand nearly everywhere cost nothing.
LOOKED_UP = 10_000
# Of these so many are read and ranked: those that hold the most and the rarest of the question's words.
READ = 400
# A question has few words that matter. Of a longer one the rarest are looked up.
WORDS, NEW_WORDS = 24, 4
# However often a page repeats itself, so many of its passages are read and found at most.
READ_PER_PAGE, PER_PAGE = 20, 5
WEIGHT_UNIT = 1_000_000

# Each group of words is looked up by itself; a passage weighs what the groups that it holds do.
_LOOK_UP = """
    SELECT id FROM (
        SELECT held.id, sum(asked.weight) AS weight,
            row_number() OVER (PARTITION BY held.page_id ORDER BY sum(asked.weight) DESC, held.id) AS place
        FROM unnest(%(groups)s::text[], %(weights)s::bigint[]) AS asked (words, weight),
            LATERAL (
                SELECT id, page_id FROM indexed_passages
                WHERE host_id = %(host)s AND terms @> string_to_array(asked.words, ' ')
                ORDER BY id LIMIT %(looked_up)s
            ) AS held
        GROUP BY held.id, held.page_id
    ) AS weighed
    WHERE place <= %(read_of_page)s ORDER BY weight DESC, id LIMIT %(read)s
"""


@dataclass(frozen=True, slots=True)
class Found:
    """A passage that bears on a question. `score` is the ranker's."""

    passage_id: int
    url: str
    title: str
    heading: str
    text: str
    features: Features
    score: float


class _Row(NamedTuple):
    """What is read of a passage. Many are read for one question, so no model instances are made of them."""

    pk: int
    url: str
    title: str
    heading: str
    text: str
    terms: list[str]
    vector: bytes | None
    vector_by: int


_FIELDS = ("pk", "page__url", "page__title", "heading", "text", "terms", "vector", "vector_by")


@dataclass(frozen=True, slots=True)
class HostWords:
    """How many passages of a host hold each word of a question, how rare that makes it, and the average length.

    A word that has come since the words were counted last counts as held by none.
    """

    counts: Mapping[str, int]
    rarity: Rarity
    average: float
    passages: int

    @property
    def rarest_first(self) -> list[str]:
        """The words that are held, rarest first."""
        return sorted(
            (term for term, count in self.counts.items() if count), key=lambda term: (self.counts[term], term)
        )

    @property
    def new(self) -> list[str]:
        """The words that no passage held when they were counted."""
        return sorted(term for term, count in self.counts.items() if not count)


def search_passages(
    *,
    host_id: int,
    question: Question,
    weights: Weights,
    vector: Sequence[float] | None,
    limit: int,
    embed: Embed | None = None,
) -> list[Found]:
    """At most `limit` passages of the host, best first; at most five of a page.

    `vector` is the question's, of unit length; None: words alone are compared. While most passages have no vector,
    `embed` makes those of the nearest by words, and they are kept: a question about a site that was just added does not
    wait for the vectors of the whole site. It asks a model server, so with it this is not called within a transaction.
    """
    known = read_host_words(host_id=host_id, question=question)
    question = _keep_rarest(question, known=known)
    chosen = _look_up(question, host_id=host_id, known=known)
    passages = IndexedPassage.objects.filter(pk__in=chosen).order_by("pk")
    rows = [_Row(*values) for values in passages.values_list(*_FIELDS)]
    described = _sort_by_words([(row, _describe(row, question=question, known=known)) for row in rows])
    cosines = _compare([row for row, _ in described], vector, embed=embed)
    found = []
    for (row, features), cosine in zip(described, cosines, strict=True):
        if cosine is None:
            continue
        features = replace(features, cosine=cosine)
        score = round(weights.score(features), 6)
        found.append(Found(row.pk, row.url, row.title, row.heading, row.text, features, score))
    found.sort(key=lambda each: (-each.score, each.passage_id))
    return _keep_few_per_page(found)[:limit]


def add_up(features: Features, weights: Weights) -> str:
    """The parts of a score, each with its weight, as the ranker adds them up: “bm25 0.41 + cosine 1.22”."""
    parts = {each.name: getattr(weights, each.name) * getattr(features, each.name) for each in fields(Features)}
    return " + ".join(f"{name} {part:.2f}" for name, part in parts.items() if part) or "nothing in common"


def _sort_by_words(described: Sequence[tuple[_Row, Features]]) -> list[tuple[_Row, Features]]:
    """Best by BM25 first, the best sign among those that need no vector; what a page has too many of comes last."""
    ranked = sorted(described, key=lambda each: -each[1].bm25)
    of_page: Counter[str] = Counter()
    places = []
    for row, _ in ranked:
        places.append(of_page[row.url] >= PER_PAGE)
        of_page[row.url] += 1
    return [each for _, each in sorted(zip(places, ranked, strict=True), key=lambda placed: placed[0])]


def read_host_words(*, host_id: int, question: Question) -> HostWords:
    """What the host's index knows of the question's words."""
    size = HostIndex.objects.filter(host_id=host_id).values_list("counted_passages", "average_terms").first()
    total, average = size or (0, 0.0)
    held = TermCount.objects.filter(host_id=host_id, term__in=question.words)
    counts = {**dict.fromkeys(question.words, 0), **dict(held.values_list("term", "passages"))}
    values = {term: _weigh(count, total=total) for term, count in counts.items()}
    return HostWords(counts, Rarity(values, unseen=_weigh(0, total=total)), average or 1.0, total)


def _weigh(count: int, *, total: int) -> float:
    # The inverse document frequency of BM25, as `weigh_rarity` has it.
    return math.log(1 + (max(total, count) - count + 0.5) / (count + 0.5))


def _keep_rarest(question: Question, *, known: HostWords) -> Question:
    """The question with the words that matter. Words that came since the last count matter too, but must not take the
    place of those that are known.
    """
    held = known.rarest_first[:WORDS]
    kept = {*held, *known.new[: max(NEW_WORDS, WORDS - len(held))]}
    return replace(
        question,
        words=frozenset(kept),
        weights={word: weight for word, weight in question.weights.items() if word in kept},
    )


def _look_up(question: Question, *, host_id: int, known: HostWords) -> list[int]:
    """The passages that hold the most and the rarest words, by the database's index alone; at most `READ`."""
    groups = _group_words(question, known=known)
    asked: dict[str, Any] = {
        "groups": [" ".join(group) for group in groups],
        # Whole numbers: their sums do not depend on the order of the rows.
        "weights": [round(WEIGHT_UNIT * sum(known.rarity.values[term] for term in group)) for group in groups],
        "host": host_id,
        "looked_up": LOOKED_UP,
        "read": READ,
        "read_of_page": READ_PER_PAGE,
    }
    with connection.cursor() as cursor:
        cursor.execute(_LOOK_UP, asked)
        return [pk for (pk,) in cursor.fetchall()]


def _group_words(question: Question, *, known: HostWords) -> list[list[str]]:
    """The words to look up, rarest first, until enough passages are in hand.

    Each is looked up by itself. Where all of them are frequent, those are looked up that hold several: of a passage
    that holds one of many frequent words nothing is known.
    """
    held = [term for term in known.rarest_first if term in question.words]
    singles, expected = list[list[str]](), 0
    for term in held:
        if expected + known.counts[term] <= LOOKED_UP:
            singles.append([term])
            expected += known.counts[term]
    new = [[term] for term in known.new if term in question.words]
    return [*(singles or _group_frequent(held, known=known)), *new]


def _group_frequent(terms: Sequence[str], *, known: HostWords) -> list[list[str]]:
    """Frequent words in groups, each of so many that few enough passages hold them all, as far as chance goes."""
    groups, group, expected = list[list[str]](), list[str](), float(known.passages)
    for term in terms:
        group.append(term)
        expected *= known.counts[term] / known.passages
        if expected <= LOOKED_UP:
            groups.append(group)
            group, expected = [], float(known.passages)
    return groups or ([group] if group else [])


def _compare(rows: Sequence[_Row], vector: Sequence[float] | None, *, embed: Embed | None) -> list[float | None]:
    """The cosines of the passages, nearest by words first, and the question's vector; None: not compared.

    Vectors of another model cannot be compared with it.
    """
    if vector is None:
        return measure_cosines([None] * len(rows), None)
    newest = read_model_number()
    stored = {row.pk: bytes(row.vector) for row in rows if row.vector is not None and row.vector_by == newest}
    if embed is not None and lacks_most([stored.get(row.pk) for row in rows]):
        missing = [row for row in rows[:NEAREST] if row.vector_by < newest]
        texts = {row.pk: describe_text(row.title, Passage(row.heading, row.text)) for row in missing}
        stored |= make_missing_vectors(texts, embed=embed, model=newest)
    return measure_cosines([stored.get(row.pk) for row in rows], vector)


def _describe(row: _Row, *, question: Question, known: HostWords) -> Features:
    counts = Counter(row.terms)
    title, heading = row.title, row.heading

    def share(text: str) -> float:
        return measure_share(question, set(split_words(text)), rarity=known.rarity)

    folded = fold(row.text) if question.phrases else ""
    return Features(
        bm25=score_bm25(counts, length=len(row.terms), average=known.average, question=question, rarity=known.rarity),
        text=measure_share(question, counts.keys(), rarity=known.rarity),
        heading=share(heading),
        title=share(title),
        phrase=float(any(phrase in folded for phrase in question.phrases)),
    )


def _keep_few_per_page(found: Sequence[Found]) -> list[Found]:
    of_page: Counter[str] = Counter()
    kept = []
    for each in found:
        of_page[each.url] += 1
        if of_page[each.url] <= PER_PAGE:
            kept.append(each)
    return kept
