"""Ranking: how far each ingredient carries a natural question to its page, with no model picking; the ablation."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.fitting import Case, fit_support, fit_weights, judge_ranking, measure_lead, measure_quotes
from benchmarks.measurement import Measurement, at_least
from benchmarks.sites import read_sites
from training.agent.ranking import FIRST_WEIGHTS, Support, Weights

IN_THREE, QUOTED = 0.74, 0.55
INGREDIENTS = {
    "BM25": Weights(bm25=1.0),
    "BM25, text, headings, title": Weights(bm25=0.5, text=0.5, heading=0.2, title=0.2),
    "cosine": Weights(cosine=1.0),
    "BM25 and cosine": Weights(bm25=0.5, cosine=2.0),
    "all, as they are": FIRST_WEIGHTS,
}


def measure_ranking() -> list[Measurement]:
    """Each manual with the weights fitted to the others. The setup says how each ingredient does by itself: questions
    whose right page is first / among three / among five, then those of which a quote holds a right text.
    """
    found = []
    with read_sites() as sites:
        for site in sites:
            others = [case for each in sites if each is not site for case in each.cases]
            weights = fit_weights(others)
            found += judge_site(site.manual.name, site.cases, weights, fit_support(others, weights))
    return found


def judge_site(name: str, cases: Sequence[Case], weights: Weights, support: Support) -> list[Measurement]:
    """The claims about one manual."""
    answerable = sum(case.question.is_answerable for case in cases)
    standing = judge_ranking(cases, weights)
    ablation = "; ".join(f"{label}: {judge_ranking(cases, each)}" for label, each in INGREDIENTS.items())
    measured = [measure_quotes(case, weights) for case in cases]
    sure = [is_right for lead, is_right in measured if measure_lead(support, lead) >= support.threshold]
    said = f"{sum(sure)} of {len(sure)} right; {support}"
    return [
        at_least(f"{name}: a right page among three", standing.in_three / answerable, IN_THREE, "", f"{weights}"),
        at_least(f"{name}: a quote holds a right text", standing.quoted / answerable, QUOTED, "", ablation),
        at_least(f"{name}: sure answers that are right", sum(sure) / max(1, len(sure)), 0.8, "", said),
        at_least(f"{name}: questions with a sure answer", len(sure) / answerable, 0.4, "", said),
    ]
