"""The ranker: one linear score for passages of the site index and for links, over named features."""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from dataclasses import dataclass, fields

from training.agent.reading.words import Question, Rarity, measure_coverage

K1, B = 1.2, 0.5
# The cosine of what has nothing in common: 0 stands for what was not compared.
LEAST_COSINE = 0.001


@dataclass(frozen=True, slots=True)
class Features:
    """What is known of a passage or a link, each 0 to 1.

    `bm25`: its BM25 score as a share of the highest that the question's words could reach. `cosine`: how alike it
    and the question are in meaning. `text`, `heading`, `title`, `path`, `link` (the text of its links): the share of
    the question's words, by rarity, that stands in each. `phrase`: it holds the quoted words literally. `record`: how
    often its page answered such questions right. `exact`: a name of it is spelled as in the question. `pitfall`: its
    address failed before.
    """

    bm25: float = 0.0
    cosine: float = 0.0
    text: float = 0.0
    heading: float = 0.0
    title: float = 0.0
    path: float = 0.0
    link: float = 0.0
    phrase: float = 0.0
    record: float = 0.0
    exact: float = 0.0
    pitfall: float = 0.0


@dataclass(frozen=True, slots=True)
class Weights(Features):
    """What each feature adds to the score."""

    def score(self, features: Features) -> float:
        """The sum of the features, each times its weight."""
        return sum(getattr(self, each.name) * getattr(features, each.name) for each in fields(Features))


def measure_share(question: Question, words: Set[str], *, rarity: Rarity) -> float:
    """The share of the question's words, by their rarity, that is among `words`: 0 to 1."""
    share, _ = measure_coverage(question.weights, words, rarity=rarity)
    return share


def score_bm25(counts: Mapping[str, int], *, length: int, average: float, question: Question, rarity: Rarity) -> float:
    """Okapi BM25 of one passage, as a share of the highest score that the question's words could reach.

    Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond (2009), formula 3.15, with
    k1 = 1.2 and b = 0.5: passages are all short.
    """
    total = best = 0.0
    for word, weight in question.weights.items():
        worth = weight * rarity.values.get(word, rarity.unseen)
        best += worth * (K1 + 1)
        count = counts.get(word, 0)
        if count:
            total += worth * count * (K1 + 1) / (count + K1 * (1 - B + B * length / average))
    return total / best if best else 0.0


# Fitted to natural questions about three manuals; the links' weights are set by hand. docs/explanation/answers.md says
# how, and what each is worth.
FIRST_WEIGHTS = Weights(
    bm25=0.5,
    cosine=2.0,
    text=0.5,
    heading=0.2,
    title=0.2,
    path=0.3,
    link=1.0,
    phrase=1.0,
    record=0.5,
    exact=0.15,
    pitfall=-0.5,
)


@dataclass(frozen=True, slots=True)
class Support:
    """How likely it is that the best passages answer, and the threshold from which an answer counts as supported.

    A logistic model, with `lead_intercept` and `lead`, of how far the quotes' mean score is above that of the passages
    that come next on the whole site: what answers stands out (weighted information gain, Zhou and Croft, Query
    Performance Prediction in Web Search Environments, 2007). Where too few passages are known to compare with, the
    mean score alone, by `intercept` and `score`. Where no vectors are made, words alone tell little: a passage then has
    to hold nearly all of the question, by `words_intercept` and `words`.

    `right` of `answers` at or above the threshold were right, among `measured_on`.
    """

    lead_intercept: float
    lead: float
    intercept: float
    score: float
    words_intercept: float
    words: float
    threshold: float
    right: int
    answers: int
    measured_on: str

    def measure(self, *, score: float, others: float | None, words: float, has_vectors: bool) -> float:
        """How likely the best passages answer, 0 to 1.

        `score` is their mean score, `others` that of the passages that come next; None when there are too few. `words`
        is the share of the question's words in the best.
        """
        if not has_vectors:
            logit = self.words_intercept + self.words * words
        elif others is None:
            logit = self.intercept + self.score * score
        else:
            logit = self.lead_intercept + self.lead * (score - others)
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, logit))))


# Fitted as the weights were, and as the same page says. The part for words alone is set by hand.
FIRST_SUPPORT = Support(
    lead_intercept=-2.2,
    lead=9.7,
    intercept=-2.28,
    score=2.0,
    words_intercept=-17.2,
    words=20.0,
    threshold=0.63,
    right=29,
    answers=34,
    measured_on="90 questions about three manuals",
)
