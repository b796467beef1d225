"""Fitting: the ranker's weights by which right pages come before others. Pure, in plain Python, and deterministic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import mul

from training.agent.ranking import Features, Weights

# The features of passages. Those of links and of memory keep their weights.
FITTED = ("bm25", "cosine", "text", "heading", "title")
# The penalty of weights far from the active ones. With a weak one, or of the distance from 0, weights fitted to some
# thirty questions lost right pages on another site (decision 33).
L2 = 0.1
# Steps down the gradient, and their size. The loss of features between 0 and 1 bends by less than 1/RATE, so that no
# step goes past the lowest point.
STEPS, RATE = 100, 0.65
# How many parts the pages are divided into, of which each is judged by weights that were fitted to the others.
FOLDS = 5
AMONG = 3
Values = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """A passage that was found for a question: its page, its features, and whether it is a right one."""

    url: str
    features: Features
    is_right: bool


@dataclass(frozen=True, slots=True)
class Case:
    """A question with the passages found for it. `group`: cases of one group are left out together."""

    group: str
    found: tuple[Seen, ...]

    def rank_pages(self, weights: Weights) -> list[str]:
        """The addresses of the pages, best first; a page counts by its best passage."""
        return list(dict.fromkeys(each.url for each in self._rank(weights)))

    def is_among_first(self, weights: Weights) -> bool:
        """Whether a right page is among the first three."""
        right = {each.url for each in self.found if each.is_right}
        return not right.isdisjoint(self.rank_pages(weights)[:AMONG])

    def compare(self, weights: Weights) -> list[Values]:
        """By how much the best right passage exceeds the best of each other page, feature by feature."""
        ranked = self._rank(weights)
        right = next((each for each in ranked if each.is_right), None)
        if right is None:
            return []
        avoided = {each.url for each in ranked if each.is_right}
        others: dict[str, Seen] = {}
        for each in ranked:
            if each.url not in avoided:
                others.setdefault(each.url, each)
        mine = _read_values(right.features)
        return [
            tuple(a - b for a, b in zip(mine, _read_values(other.features), strict=True)) for other in others.values()
        ]

    def _rank(self, weights: Weights) -> list[Seen]:
        return sorted(self.found, key=lambda each: -weights.score(each.features))


def fit_weights(cases: Sequence[Case], *, start: Weights) -> Weights:
    """The weights under which right passages lead others: pairwise logistic loss, each question counting alike.

    RankNet's loss for a linear model (Burges and others, Learning to Rank using Gradient Descent, 2005) with an L2
    penalty of the distance from `start`; no weight falls below 0. They are rounded, and have the sum of those of
    `start`: the scores keep their scale, on which how sure an answer is depends. A feature in which no two passages
    differ, such as the cosine where no vectors are made, keeps its weight.
    """
    compared = [pairs for pairs in (case.compare(start) for case in cases) if pairs]
    told = [at for at in range(len(FITTED)) if any(pair[at] for pairs in compared for pair in pairs)]
    if not told:
        return start
    pairs = [(tuple(pair[at] for at in told), 1 / (len(compared) * len(pairs))) for pairs in compared for pair in pairs]
    names = [FITTED[at] for at in told]
    first = [getattr(start, name) for name in names]
    fitted = _descend(pairs, start=first)
    scale = sum(first) / sum(fitted) if any(fitted) else 0.0
    if not scale:
        return start
    return replace(start, **{name: round(weight * scale, 2) for name, weight in zip(names, fitted, strict=True)})


def _descend(pairs: Sequence[tuple[Values, float]], *, start: Sequence[float]) -> list[float]:
    """The lowest point of the loss, by steps of one size down the gradient; the weights stay at 0 or above."""
    weights = list(start)
    for _ in range(STEPS):
        slope = [2 * L2 * (weight - first) for weight, first in zip(weights, start, strict=True)]
        for pair, share in pairs:
            # How far the pair is from being told apart: the logistic function of minus its lead.
            wrong = share / (1 + math.exp(min(30.0, sum(map(mul, weights, pair)))))
            for at, value in enumerate(pair):
                slope[at] -= wrong * value
        weights = [max(0.0, weight - RATE * down) for weight, down in zip(weights, slope, strict=True)]
    return weights


def count_among_first(cases: Sequence[Case], weights: Weights) -> int:
    """In how many cases a right page is among the first three."""
    return sum(case.is_among_first(weights) for case in cases)


def count_left_out(cases: Sequence[Case], *, start: Weights) -> int:
    """The same, each group of cases judged by weights that were fitted to other groups."""
    place = {group: number % FOLDS for number, group in enumerate(sorted({case.group for case in cases}))}
    found = 0
    for fold in range(FOLDS):
        left_out = [case for case in cases if place[case.group] == fold]
        others = [case for case in cases if place[case.group] != fold]
        found += count_among_first(left_out, fit_weights(others, start=start)) if left_out else 0
    return found


def _read_values(features: Features) -> Values:
    return tuple(getattr(features, name) for name in FITTED)
