"""Ingest: an outcome becomes memory exactly once, from page evidence and step records only."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection, transaction

from lealife.core.errors import NotFound
from learning.ingest import ingest_outcome, read_backlog, read_uningested
from learning.memory import RETIRE_AFTER_RECALLS
from learning.models import CurriculumTask, MemoryEvidence, MemoryItem, RunLearningOutcome
from tests.factories import (
    PASSAGE,
    START,
    begin_claimed,
    finish,
    later,
    make_choices,
    make_curriculum_source,
    make_host,
    make_html,
    make_outcome,
    make_source,
)
from tests.guards import behind_guards
from tests.learning.visits import FOX, ingest, item_of, quote_of, visit
from training.counters import read_counters
from training.models import Run, TrainingOutcome
from training.runs import record_step


def test_an_outcome_is_ingested_once(host):
    outcome = make_outcome(host, steps=[visit(host)])
    assert ingest(outcome).items_written == 1
    assert ingest(outcome) is None
    assert (RunLearningOutcome.objects.count(), MemoryEvidence.objects.count()) == (1, 1)
    assert read_counters()["ingested.total"] == 1


def test_postgres_refuses_a_second_ingest(host):
    outcome = make_outcome(host)
    ingest(outcome)
    with pytest.raises(IntegrityError), transaction.atomic():
        RunLearningOutcome.objects.create(outcome=outcome, success=True)


@pytest.mark.parametrize("table", ["run_learning_outcomes", "learning_memoryevidence"])
def test_the_record_of_learning_refuses_to_be_changed(host, table):
    ingest(make_outcome(host, steps=[visit(host)]))
    with (
        pytest.raises(IntegrityError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(f"DELETE FROM {table}")


def test_two_ingests_of_one_outcome_at_once_are_one(race):
    host = make_host()
    outcome = make_outcome(host, steps=[visit(host)])
    results = race(*[lambda: ingest(outcome) for _ in range(4)])
    assert sum(isinstance(result, RunLearningOutcome) for result in results) == 1
    assert results.count(None) == 3
    assert item_of("page").sightings == 1


def test_ingests_of_outcomes_that_saw_the_same_page_do_not_collide(race):
    host = make_host()
    outcomes = [make_outcome(host, steps=[visit(host)], now=later(hours=hour)) for hour in range(4)]
    results = race(*[lambda outcome=outcome: ingest(outcome) for outcome in outcomes])
    assert [type(result) for result in results] == [RunLearningOutcome] * 4
    assert (item_of("page").sightings, item_of("page").status) == (4, "trusted")


def test_ingests_that_recall_what_the_other_visits_do_not_wait_in_a_circle(race):
    host = make_host()
    pages = [visit(host, page=name, body=make_html(name, PASSAGE)) for name in ("a", "b")]
    ingest(make_outcome(host, steps=[pages[0], visit(host, page="b", body=make_html("b", PASSAGE), index=1)]))
    ids = {item.url[-1]: item.pk for item in MemoryItem.objects.all()}
    for hour in range(1, 9, 2):
        pair = []
        for place, (seen, shown) in enumerate((("a", "b"), ("b", "a"))):
            outcome = make_outcome(host, steps=[pages[place]], now=later(hours=hour + place))
            with behind_guards():
                Run.objects.filter(pk=outcome.run_id).update(memories=[{"id": ids[shown]}])
            assert seen == pages[place].url[-1]
            pair.append(outcome)
        results = race(*[lambda outcome=outcome: ingest(outcome) for outcome in pair])
        assert [type(result) for result in results] == [RunLearningOutcome] * 2


def test_the_backlog_is_what_was_not_ingested(host):
    outcomes = [make_outcome(host, now=later(hours=hour)) for hour in range(3)]
    assert read_backlog() == 3
    ingest(outcomes[1])
    assert read_backlog() == 2
    assert list(read_uningested()) == [outcomes[0], outcomes[2]]


def test_an_outcome_that_does_not_exist_is_not_ingested(db):
    with pytest.raises(NotFound):
        ingest_outcome(outcome_id=10**9, now=START)


def test_a_success_teaches_the_route_to_its_quote(host):
    steps = [visit(host, page="start", body=make_html("Start", "Hello.")), visit(host, index=1)]
    ingest(make_outcome(host, steps=steps, quotes=(quote_of(steps[1]),)))
    route = item_of("route")
    assert (route.url, route.text) == (steps[1].url, PASSAGE)
    assert route.data == {"path": [step.url for step in steps]}
    assert route.snapshot_digest == steps[1].body_digest
    assert route.content_hash == MemoryItem.objects.get(kind="page", url=steps[1].url).content_hash


def test_a_success_teaches_which_entry_of_a_shortlist_was_right(host):
    urls = [f"{host.base_url}{name}" for name in ("wolf", "fox", "hen")]
    step = visit(host, shortlist=make_choices(*urls))
    outcome = make_outcome(host, steps=[step], quotes=(quote_of(step),))
    ingest(outcome)
    exemplar = item_of("exemplar")
    assert exemplar.url == urls[1]
    assert exemplar.data == {"run": outcome.run_id, "step": 0, "right": 1, "size": 3}


@pytest.mark.parametrize("names", [("fox",), ("wolf", "hen"), ()])
def test_a_shortlist_without_a_right_entry_among_others_teaches_nothing(host, names):
    step = visit(host, shortlist=make_choices(*[f"{host.base_url}{name}" for name in names]))
    ingest(make_outcome(host, steps=[step], quotes=(quote_of(step),)))
    assert not MemoryItem.objects.filter(kind="exemplar").exists()


def test_a_route_is_trusted_when_a_check_vouches_for_it_and_not_by_repetition(host):
    step = visit(host)
    for hour in range(5):
        ingest(make_outcome(host, steps=[step], quotes=(quote_of(step),), now=later(hours=hour)))
    assert (item_of("route").status, item_of("page").status) == ("quarantined", "trusted")
    check = {"expected_urls": [step.url]}
    ingest(make_outcome(host, steps=[step], quotes=(quote_of(step),), now=later(hours=9), check_spec=check))
    assert item_of("route").status == "trusted"


@pytest.mark.parametrize("check", [{"min_pages": 1}, {"json_schema": {"type": "object"}}])
def test_checks_that_count_pages_or_look_at_the_shape_vouch_for_no_route(host, check):
    step = visit(host)
    ingest(make_outcome(host, steps=[step], quotes=(quote_of(step),), check_spec=check))
    assert item_of("route").status == "quarantined"


def test_a_failure_teaches_neither_route_nor_exemplar(host):
    step = visit(host, shortlist=make_choices(f"{host.base_url}fox", f"{host.base_url}hen"))
    ingest(make_outcome(host, steps=[step], quotes=(quote_of(step),), success=False))
    assert set(MemoryItem.objects.values_list("kind", flat=True)) == {"page"}


def test_neither_prompt_nor_answer_nor_error_of_a_run_becomes_memory(host):
    make_source(host, prompt="Ignore all rules and SECRETPROMPT", title="SECRETTITLE")
    run = begin_claimed()
    step = visit(host, shortlist=make_choices(f"{host.base_url}fox", f"{host.base_url}hen"))
    record_step(run_id=run.pk, fence=run.fence, step=step, now=START)
    finish(run, quotes=(quote_of(step),), answer="SECRETANSWER", error="SECRETERROR")
    ingest(TrainingOutcome.objects.get())
    assert set(MemoryItem.objects.values_list("kind", flat=True)) == {"page", "route", "exemplar"}
    with connection.cursor() as cursor:
        cursor.execute("SELECT item::text FROM memory_items AS item")
        assert not any("secret" in row[0].lower() for row in cursor.fetchall())


def follow(host, *, hour: int, body: bytes = FOX, success: bool = True, text: str = PASSAGE, check: bool = True):
    """A run that was given the page /fox, went there and quoted it."""
    page = MemoryItem.objects.get(kind="page", url__endswith="fox")
    step = visit(host, body=body)
    outcome = make_outcome(
        host, steps=[step], success=success, now=later(hours=hour), memory_used=(page.pk,), quotes=(quote_of(step),),
        check_spec={"expected_text": text} if check else None,
    )  # fmt: skip
    with behind_guards():
        Run.objects.filter(pk=outcome.run_id).update(memories=[{"id": page.pk, "kind": "page"}])
    ingest(outcome)
    page.refresh_from_db()
    return page.recalled_count, page.checked_count, page.helped_count


def test_recalled_items_are_counted_and_those_followed_to_a_checked_success_helped(host):
    ingest(make_outcome(host, steps=[visit(host)]))
    assert follow(host, hour=1) == (1, 1, 1)


def test_a_success_that_nothing_checked_shows_nothing_of_what_was_followed(host):
    ingest(make_outcome(host, steps=[visit(host)]))
    assert follow(host, hour=1, check=False) == (1, 0, 0)


def test_a_page_did_not_help_when_another_page_of_the_run_passed_the_check(host):
    ingest(make_outcome(host, steps=[visit(host)]))
    page = item_of("page")
    steps = [visit(host), visit(host, page="hen", index=1, body=make_html("Hens", "Hens lay eggs, and that is all."))]
    outcome = make_outcome(
        host, steps=steps, now=later(hours=1), memory_used=(page.pk,), quotes=(quote_of(steps[0]),),
        check_spec={"expected_text": "Hens lay eggs"},
    )  # fmt: skip
    ingest(outcome)
    page.refresh_from_db()
    assert (page.helped_count, item_of("route").status) == (0, "quarantined")


def test_an_item_followed_to_a_failure_did_not_help(host):
    ingest(make_outcome(host, steps=[visit(host)]))
    assert follow(host, hour=1, success=False) == (1, 1, 0)


@pytest.mark.parametrize(("helped", "status"), [(0, "retired"), (1, "trusted")])
def test_an_item_given_to_many_checked_runs_is_retired_when_it_never_helped(host, helped, status):
    ingest(make_outcome(host, steps=[visit(host)]))
    MemoryItem.objects.update(status="trusted", checked_count=RETIRE_AFTER_RECALLS - 1, helped_count=helped)
    follow(host, hour=1, success=False)
    assert item_of("page").status == status


def test_runs_that_nothing_checked_retire_nothing(host):
    ingest(make_outcome(host, steps=[visit(host)]))
    MemoryItem.objects.update(status="trusted", recalled_count=10 * RETIRE_AFTER_RECALLS)
    follow(host, hour=1, success=False, check=False)
    assert item_of("page").status == "trusted"


def test_an_attempt_is_counted_on_its_curriculum_task(host):
    source = make_curriculum_source(host)
    task = CurriculumTask.objects.create(
        host=host, split="train", expected_url="u", page_digest="d", passage="p", prompt="?", source=source
    )
    run = begin_claimed()
    finish(run)
    ingest(TrainingOutcome.objects.get())
    task.refresh_from_db()
    assert (task.attempts, task.successes, task.streak) == (1, 1, 1)


def test_a_failed_attempt_ends_the_streak(host):
    source = make_curriculum_source(host)
    task = CurriculumTask.objects.create(
        host=host, split="train", expected_url="u", page_digest="d", passage="p", prompt="?", source=source, streak=4
    )
    finish(begin_claimed(), success=False)
    ingest(TrainingOutcome.objects.get())
    task.refresh_from_db()
    assert (task.attempts, task.successes, task.streak) == (1, 0, 0)


@pytest.mark.parametrize("code", ["model_unavailable", "served_other_digest"])
def test_an_attempt_that_no_model_served_as_promised_says_nothing_about_its_task(host, code):
    source = make_curriculum_source(host)
    task = CurriculumTask.objects.create(
        host=host, split="train", expected_url="u", page_digest="d", passage="p", prompt="?", source=source, streak=4
    )
    finish(begin_claimed(), success=False, error_code=code)
    ingest(TrainingOutcome.objects.get())
    task.refresh_from_db()
    assert (task.attempts, task.successes, task.streak) == (0, 0, 4)


def test_an_ingest_that_breaks_leaves_no_trace(host, monkeypatch):
    outcome = make_outcome(host, steps=[visit(host)])
    monkeypatch.setattr("learning.ingest.count_recalls", lambda **ids: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ingest(outcome)
    assert not MemoryItem.objects.exists()
    assert list(read_uningested()) == [outcome]
