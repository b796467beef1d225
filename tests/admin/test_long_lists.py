"""Lists that grow for ever are searched by what people remember, at a cost that does not grow."""

from __future__ import annotations

import pytest
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from lealife.core import long_lists
from tests.factories import make_host, make_outcome, make_source
from training.models import Host, Run, TrainingOutcome, TrainingSource


def search(client: Client, model: type[Model], term: str) -> set[int]:
    """The ids of the rows that the list shows."""
    listing = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return {row.pk for row in client.get(listing, {"q": term}).context["cl"].result_list}


def ask(host: Host, prompt: str, *, lane: str = "standard") -> int:
    return Run.objects.create(lane=lane, host=host, prompt=prompt, pages_target=1, max_calls=1).pk


def test_a_run_is_found_by_all_the_words_of_its_question(staff: Client, host: Host) -> None:
    zips = ask(host, "What does the ZipFile module do?")
    ask(host, "What does the queue module do?")
    assert search(staff, Run, "zipfile module") == {zips}


def test_a_run_is_found_by_its_number(staff: Client, host: Host) -> None:
    first, _ = ask(host, "Which page?"), ask(host, "Which other page?")
    assert search(staff, Run, str(first)) == {first}


def test_a_persons_question_is_found_however_many_runs_training_has_made_since(
    staff: Client, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_lists, "LOOKED_AT", 2)
    asked = ask(host, "Which page explains queues?")
    trained = [ask(host, "Which page explains queues?", lane="training") for _ in range(4)]
    assert search(staff, Run, "queues") == {asked, *trained[-2:]}


def test_an_outcome_is_found_by_the_name_of_its_host(staff: Client, host: Host) -> None:
    outcome = make_outcome(make_host(name="Django manual"))
    make_outcome(host)
    assert search(staff, TrainingOutcome, "django man") == {outcome.pk}


@pytest.mark.parametrize("term", ["no_route", "river was shut"])
def test_an_outcome_is_found_by_its_error(staff: Client, host: Host, term: str) -> None:
    failed = make_outcome(host, success=False, error="The river was shut for the winter.")
    make_outcome(host)
    assert search(staff, TrainingOutcome, term) == {failed.pk}


@pytest.mark.parametrize("term", ["explains queues", "Prices", "marker-1"])
def test_a_source_is_found_by_its_prompt_title_or_scenario_marker(staff: Client, host: Host, term: str) -> None:
    source = make_source(host, title="Prices", prompt="Which page explains queues?", scenario_marker="marker-1")
    make_source(host, title="Others")
    assert search(staff, TrainingSource, term) == {source.pk}


def test_no_list_counts_the_whole_history(staff: Client, host: Host) -> None:
    make_outcome(host)
    for model in (Run, TrainingOutcome, TrainingSource):
        for term in ("", "queue", "1"):
            with CaptureQueriesContext(connection) as queries:
                search(staff, model, term)
            table = model._meta.db_table
            counts = [each["sql"] for each in queries if "COUNT(*)" in each["sql"] and table in each["sql"]]
            assert counts or term
            assert [sql for sql in counts if "LIMIT" not in sql] == []


def test_a_number_is_looked_up_by_an_index(staff: Client, host: Host) -> None:
    run = ask(host, "Which page?")
    with CaptureQueriesContext(connection) as queries:
        search(staff, Run, str(run))
    assert not any("UPPER(" in each["sql"] for each in queries)


def test_a_list_is_paged_as_far_as_it_is_counted(staff: Client, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_lists, "COUNTED", 60)
    for _ in range(70):
        ask(host, "Which page?")
    changes = staff.get(reverse("admin:training_run_changelist")).context["cl"]
    assert (changes.result_count, changes.paginator.num_pages) == (60, 2)


def test_an_action_on_all_rows_of_a_list_too_long_to_count_is_refused(
    staff: Client, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_lists, "COUNTED", 2)
    sources = [make_source(host) for _ in range(3)]
    sent = {"action": "cancel_selected", "_selected_action": [str(sources[0].pk)], "select_across": "1"}
    answer = staff.post(reverse("admin:training_trainingsource_changelist"), sent, follow=True)
    assert [str(each) for each in answer.context["messages"]] == ["There are more than 2 rows. Narrow the list first."]
    assert TrainingSource.objects.pending().count() == 3
