"""Rests: a finished task of the curriculum comes back after a while, a mastered one later."""

from __future__ import annotations

from datetime import timedelta

from lealife.core.actors import command_line
from learning.curriculum.seeding import REST, find_rested_sources, revive_rested_tasks
from learning.models import CurriculumTask
from tests.factories import START, later, make_curriculum_source, make_source
from training.models import Host, TrainingSource
from training.sources import disable_source


def make_finished(host: Host, *, status: str = "done", ago: timedelta, streak: int = 0, **task) -> TrainingSource:
    source = make_curriculum_source(host, status=status, finished_at=START - ago)
    CurriculumTask.objects.create(
        host=host, split="train", expected_url="u", page_digest=str(source.pk), passage="p", prompt="?",
        source=source, streak=streak, **task,
    )  # fmt: skip
    return source


def revived(host: Host) -> set[int]:
    return set(TrainingSource.objects.filter(status="pending", host=host).values_list("pk", flat=True))


def test_a_finished_task_is_asked_again_after_its_rest(host):
    rested, tired = make_finished(host, ago=REST * 1.1), make_finished(host, ago=REST * 0.9)
    assert revive_rested_tasks(now=START) == 1
    assert revived(host) == {rested.pk}
    tired.refresh_from_db()
    assert tired.status == "done"


def test_a_mastered_task_rests_twice_as_long_after_each_success(host):
    make_finished(host, ago=REST * 3.9, streak=2)
    mastered = make_finished(host, ago=REST * 4.1, streak=2)
    revive_rested_tasks(now=START)
    assert revived(host) == {mastered.pk}


def test_a_mastered_task_rests_a_week(host):
    made = {"streak": CurriculumTask.MASTERED, "attempts": 3, "successes": 3}
    make_finished(host, ago=timedelta(days=6), **made)
    rested = make_finished(host, ago=timedelta(days=8), **made)
    revive_rested_tasks(now=START)
    assert revived(host) == {rested.pk}


def test_a_task_that_always_fails_rests_twice_as_long_after_each_failure(host):
    make_finished(host, ago=REST * 15, attempts=4)
    rested = make_finished(host, ago=REST * 17, attempts=4)
    revive_rested_tasks(now=START)
    assert revived(host) == {rested.pk}


def test_what_is_half_known_is_asked_before_what_is_nearly_always_right_or_wrong(host):
    makes = {"right": (9, 8), "wrong": (9, 1), "half": (8, 4), "hard": (8, 4)}
    sources = {
        name: make_finished(
            host, ago=timedelta(days=7), attempts=attempts, successes=successes, difficulty=9 if name == "hard" else 1
        ).pk
        for name, (attempts, successes) in makes.items()
    }
    found = find_rested_sources(now=START, limit=4)
    assert found[:2] == [sources["hard"], sources["half"]]
    assert set(found[2:]) == {sources["right"], sources["wrong"]}


def test_a_disabled_task_comes_back_with_a_fresh_budget(host):
    source = make_finished(host, status="disabled", ago=REST * 2)
    TrainingSource.objects.update(failed_attempts=3)
    revive_rested_tasks(now=START)
    source.refresh_from_db()
    assert (source.status, source.failed_attempts, source.not_before) == ("pending", 0, None)


def test_what_staff_disable_while_it_waits_stays_disabled(host):
    source = make_finished(host, ago=REST * 2)
    revive_rested_tasks(now=START)
    disable_source(source_id=source.pk, by=command_line("ada"), origin="admin")
    assert revive_rested_tasks(now=START + REST * 9) == 0
    source.refresh_from_db()
    assert (source.status, source.status_reason) == ("disabled", "by ada")


def test_what_rests_is_woken_where_runs_are_needed_but_not_what_staff_disabled(host):
    resting = make_finished(host, ago=REST * 0.5, streak=CurriculumTask.MASTERED)
    disabled = make_finished(host, ago=REST, status="disabled")
    TrainingSource.objects.filter(pk=disabled.pk).update(finished_at=None)
    assert revive_rested_tasks(now=START) == 0
    assert revive_rested_tasks(now=START, may_wake=True) == 1
    assert revived(host) == {resting.pk}


def test_an_ambiguous_task_never_comes_back(host):
    make_finished(host, ago=REST * 9, ambiguous=True)
    assert revive_rested_tasks(now=START) == 0


def test_nothing_is_revived_while_curriculum_waits(host):
    make_finished(host, ago=REST * 9)
    make_curriculum_source(host)
    assert revive_rested_tasks(now=later(minutes=1)) == 0


def test_an_operators_waiting_prompt_does_not_keep_tasks_resting(host):
    make_finished(host, ago=REST * 9)
    make_source(host)
    assert revive_rested_tasks(now=START) == 1
