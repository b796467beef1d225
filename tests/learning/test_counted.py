"""Which successes are built on: verified ones, and supported ones while the setting admits them."""

from __future__ import annotations

import pytest

from lealife.core.actors import command_line
from learning.ingest import ingest_outcome
from learning.models import MemoryItem, RunLearningOutcome
from tests.factories import PASSAGE, START, later, make_choices, make_html, make_outcome, make_step
from training.counters import read_counters
from training.models import Host, TrainingOutcome
from training.runtime_settings import apply_settings

FOX = make_html("Foxes", PASSAGE)


def count_supported(value: bool) -> None:
    apply_settings(changes={"count_supported": value}, version=None, by=command_line("ada"), origin="cli")


def learn(host: Host, *, page: str = "fox", hour: int = 0, checked: bool = False, **changes) -> TrainingOutcome:
    """The ingested outcome of a run that quoted this page, which it had chosen among two."""
    urls = [f"{host.base_url}{name}" for name in ("wolf", "fox")]
    step = make_step(url=f"{host.base_url}{page}", body=FOX, shortlist=make_choices(*urls))
    quote = {"text": PASSAGE, "url": step.url, "digest": step.body_digest}
    check = {"expected_urls": [step.url]} if checked else None
    values = {"quotes": (quote,), "check_spec": check, **changes}
    outcome = make_outcome(host, steps=[step], now=later(hours=hour), **values)
    ingest_outcome(outcome_id=outcome.pk, now=START)
    return outcome


def read_claims() -> dict[str, str]:
    return dict(MemoryItem.objects.filter(kind__in=MemoryItem.CLAIMS).values_list("kind", "status"))


def test_a_verified_success_counts_and_what_it_teaches_is_trusted(host):
    outcome = learn(host, checked=True)
    assert (outcome.answer_state, outcome.is_counted) == ("verified", True)
    assert RunLearningOutcome.objects.get().is_counted
    assert read_claims() == {"route": "trusted", "exemplar": "trusted"}


def test_a_supported_success_does_not_count_and_what_it_teaches_waits_for_a_check_or_a_person(host):
    outcome = learn(host)
    assert (outcome.success, outcome.answer_state, outcome.is_counted) == (True, "supported", False)
    assert not RunLearningOutcome.objects.get().is_counted
    assert read_claims() == {"route": "quarantined", "exemplar": "quarantined"}


def test_while_the_setting_is_on_a_supported_success_counts_and_is_trusted(host):
    count_supported(True)
    outcome = learn(host)
    assert outcome.is_counted
    assert read_claims() == {"route": "trusted", "exemplar": "trusted"}


def test_only_the_page_of_the_quote_that_was_scored_is_trusted(host):
    count_supported(True)
    other = {"text": "Hello.", "url": f"{host.base_url}start", "digest": ""}
    step = make_step(url=f"{host.base_url}fox", body=FOX)
    start = make_step(url=other["url"], body=make_html("Start", "Hello."), index=1)
    quotes = ({"text": PASSAGE, "url": step.url, "digest": step.body_digest}, {**other, "digest": start.body_digest})
    outcome = make_outcome(host, steps=[step, start], quotes=quotes)
    ingest_outcome(outcome_id=outcome.pk, now=START)
    routes = MemoryItem.objects.filter(kind="route")
    assert dict(routes.values_list("text", "status")) == {PASSAGE: "trusted", "Hello.": "quarantined"}


def test_a_change_of_the_setting_changes_nothing_that_was_written(host):
    outcome = make_outcome(host)
    count_supported(True)
    ingest_outcome(outcome_id=outcome.pk, now=START)
    assert not RunLearningOutcome.objects.get().is_counted
    later_on = learn(host, hour=1)
    count_supported(False)
    assert TrainingOutcome.objects.get(pk=later_on.pk).is_counted
    assert [ingest.is_counted for ingest in RunLearningOutcome.objects.order_by("id")] == [False, True]


def test_a_failure_never_counts(host):
    count_supported(True)
    assert not learn(host, success=False, answer_state="unsure").is_counted


def test_the_counters_tell_sure_successes_from_all(host):
    learn(host, checked=True)
    learn(host, hour=1)
    learn(host, hour=2, success=False)
    count_supported(True)
    learn(host, hour=3)
    counts = read_counters()
    assert (counts["ingested.success"], counts["ingested.failure"], counts["ingested.total"]) == (3, 1, 4)
    assert (counts["ingested.verified"], counts["ingested.supported"], counts["ingested.counted"]) == (1, 1, 2)


@pytest.mark.parametrize("is_setting_on", [False, True])
def test_an_unchecked_success_does_not_change_what_a_trusted_exemplar_says(host, is_setting_on):
    first = learn(host, checked=True)
    count_supported(is_setting_on)
    # The same question and the same choices, but the other page is taken for the right one.
    second = learn(host, page="wolf", hour=1)
    exemplar = MemoryItem.objects.get(kind="exemplar")
    assert exemplar.sightings == 2
    assert exemplar.data["run"] == (second if is_setting_on else first).run_id
    assert exemplar.data["right"] == (0 if is_setting_on else 1)
