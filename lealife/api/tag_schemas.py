"""Schemas of the API about model tags, and what the agent is given with them."""

from __future__ import annotations

from datetime import datetime

from ninja import Schema


class SupportOut(Schema):
    """When an answer counts as supported: a logistic model of how likely the quotes answer, and the least it must say.

    `right` of `answers` such answers were right where it was measured, which `measured_on` says.
    """

    threshold: float
    right: int
    answers: int
    measured_on: str
    lead_intercept: float
    lead: float
    intercept: float
    score: float
    words_intercept: float
    words: float


class WeightsOut(Schema):
    """What each feature of a page adds to its rank."""

    bm25: float
    cosine: float
    text: float
    heading: float
    title: float
    path: float
    link: float
    phrase: float
    record: float
    exact: float
    pitfall: float


class CheckedOut(Schema):
    """How many of this installation's checked answers at or above the threshold were right, among the newest."""

    threshold: float
    right: int
    answers: int


class LiveTagOut(Schema):
    """A model tag at one digest. `weights` are the ranker's, of a controller; `support` is a task model's."""

    role: str
    name: str
    digest: str
    status: str
    pinned: bool
    created_at: datetime
    weights: WeightsOut | None
    support: SupportOut | None
