"""Fitting: the ranker's weights and how sure they make an answer, from natural questions about other manuals.

numpy and scipy are development requirements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import minimize  # type: ignore[import-untyped]  # it ships no types

from benchmarks.manuals import Manual, Question
from lealife.pipeline.pool import embed_texts
from learning.index.search import READ, search_passages
from promotion.candidates import fitting
from promotion.candidates.fitting import Seen
from training.agent.quoting import BEST, OTHERS
from training.agent.ranking import FIRST_SUPPORT, FIRST_WEIGHTS, Features, Support, Weights
from training.agent.reading.words import fold, read_question
from training.models import Host

PAGES, QUOTES = 3, 3
# The penalty of a steep curve of how sure an answer is.
SUPPORT_L2 = 0.0002
PRECISION = 0.8
# What is below this share of the questions is too few to say how many are right.
LEAST_SHARE = 0.15


@dataclass(frozen=True, slots=True)
class Found:
    """A passage that was found: its features, and whether its page and its text answer the question."""

    url: str
    features: Features
    has_right_page: bool
    has_right_text: bool


@dataclass(frozen=True, slots=True)
class Case:
    """A question and the passages found for it."""

    question: Question
    found: tuple[Found, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """For how many questions a right page comes first, among three and among five, and a quote holds a right text."""

    first: int
    in_three: int
    in_five: int
    quoted: int

    def __str__(self) -> str:
        return f"{self.first} / {self.in_three} / {self.in_five}, {self.quoted}"


def read_cases(host: Host, manual: Manual, *, address: str) -> list[Case]:
    """The questions of a manual with what the site index finds for each; `address` is where it was served."""
    return [_read_case(question, host=host, address=address) for question in manual.questions]


def _read_case(question: Question, *, host: Host, address: str) -> Case:
    asked = read_question(question.prompt)
    [vector] = embed_texts([question.prompt])
    passages = search_passages(host_id=host.pk, question=asked, weights=FIRST_WEIGHTS, vector=vector, limit=READ)
    found = []
    for each in passages:
        url = each.url.removeprefix(address)
        is_right = url in question.pages
        has_text = is_right and any(fold(text) in fold(each.text) for text in question.texts)
        found.append(Found(url, each.features, is_right, has_text))
    return Case(question, tuple(found))


def fit_weights(cases: Sequence[Case]) -> Weights:
    """The product's own fit, of passages that hold a right text, and where none does of those of a right page."""
    tasks = []
    for number, case in enumerate(cases):
        has_text = any(each.has_right_text for each in case.found)
        right = [each.has_right_text if has_text else each.has_right_page for each in case.found]
        seen = (Seen(each.url, each.features, is_right) for each, is_right in zip(case.found, right, strict=True))
        tasks.append(fitting.Case(str(number), tuple(seen)))
    return fitting.fit_weights(tasks, start=FIRST_WEIGHTS)


def fit_support(cases: Sequence[Case], weights: Weights, *, precision: float = PRECISION) -> Support:
    """How sure an answer is by the lead of its quotes: a logistic model, and the lowest threshold from which at least
    `precision` of the answers were right. The parts for words alone and for few passages stay as they are.
    """
    measured = [measure_quotes(case, weights) for case in cases]
    leads = np.array([lead for lead, _ in measured])
    right = np.array([is_right for _, is_right in measured], dtype=float)

    def lose(parameters: Any) -> float:
        logits = parameters[0] + parameters[1] * leads
        return float(np.mean(np.logaddexp(0, logits) - right * logits)) + SUPPORT_L2 * float(parameters[1]) ** 2

    intercept, slope = minimize(lose, np.array([0.0, 1.0]), method="L-BFGS-B").x
    support = replace(FIRST_SUPPORT, lead_intercept=round(float(intercept), 3), lead=round(float(slope), 3))
    least = find_threshold(measured, precision=precision)
    above = [is_right for lead, is_right in measured if lead >= least]
    return replace(
        support,
        threshold=measure_lead(support, least),
        right=sum(above),
        answers=len(above),
        measured_on=f"{len(cases)} questions about other manuals",
    )


def measure_lead(support: Support, lead: float) -> float:
    """How likely an answer is right whose quotes lead by so much."""
    return support.measure(score=lead, others=0.0, words=0.0, has_vectors=True)


def find_threshold(measured: Sequence[tuple[float, bool]], *, precision: float) -> float:
    """The lowest lead from which at least `precision` of the answers are right; the highest when none is."""
    ranked = sorted(measured, key=lambda each: -each[0])
    least, good = ranked[0][0], 0
    for place, (score, is_right) in enumerate(ranked, start=1):
        good += is_right
        if good >= precision * place and place >= LEAST_SHARE * len(ranked):
            least = score
    return least


def measure_quotes(case: Case, weights: Weights) -> tuple[float, bool]:
    """How far a question's quotes lead the passages that come next, and whether one of them answers."""
    ranked = _rank(case, weights)
    quotes = _choose_quotes(ranked)
    scores = [weights.score(each.features) for each in ranked[BEST : BEST + OTHERS]]
    lead = float(np.mean([weights.score(each.features) for each in quotes]) - np.mean(scores)) if scores else 0.0
    return lead, any(each.has_right_text for each in quotes)


def judge_ranking(cases: Sequence[Case], weights: Weights) -> Standing:
    """How weights rank the questions that the manual answers."""
    places, quoted = [], 0
    for case in cases:
        if not case.question.is_answerable:
            continue
        ranked = _rank(case, weights)
        pages = list(dict.fromkeys(each.url for each in ranked))
        right = [place for place, url in enumerate(pages) if url in case.question.pages]
        places.append(right[0] if right else len(pages))
        quoted += any(each.has_right_text for each in _choose_quotes(ranked))
    first, in_three, in_five = (sum(place < most for place in places) for most in (1, 3, 5))
    return Standing(first, in_three, in_five, quoted)


def _rank(case: Case, weights: Weights) -> list[Found]:
    return sorted(case.found, key=lambda each: -weights.score(each.features))


def _choose_quotes(ranked: Sequence[Found]) -> list[Found]:
    pages = list(dict.fromkeys(each.url for each in ranked))[:PAGES]
    return [each for each in ranked if each.url in pages][:QUOTES]
