"""Choosing: which held-out tasks an evaluation asks, and in which order."""

from __future__ import annotations

import pytest

from learning.models import CurriculumTask
from promotion.candidates.exemplars import read_exemplars
from promotion.evaluation.freezing import choose_tasks
from tests.promotion.scenes import make_tasks
from tests.promotion.test_candidates import remember_exemplar
from training.models import Host

TASKS = 13


@pytest.fixture
def tasks(host: Host) -> None:
    make_tasks(host, TASKS)


def test_tasks_are_chosen_by_the_seed_alone_and_only_held_out_ones_of_enabled_hosts(tasks, host):
    CurriculumTask.objects.filter(pk=CurriculumTask.objects.first().pk).update(ambiguous=True)
    chosen = choose_tasks(count=100, seed=3)
    assert len(chosen) == TASKS - 1
    assert chosen == choose_tasks(count=100, seed=3)
    assert chosen != choose_tasks(count=100, seed=4)
    Host.objects.update(enabled=False)
    assert choose_tasks(count=100, seed=3) == []


def test_every_page_gives_one_task_before_any_gives_a_second(tasks, host):
    CurriculumTask.objects.all().delete()
    for number in range(12):
        CurriculumTask.objects.create(
            host=host,
            split="evaluation",
            # One page with most of the tasks.
            expected_url=f"{host.base_url}{max(0, number - 8)}",
            page_digest="d",
            passage=f"{number}",
            prompt="?",
        )
    for seed in range(5):
        pages = [task.expected_url for task in choose_tasks(count=8, seed=seed)]
        assert len(set(pages[:4])) == 4
        assert set(pages[4:]) == {f"{host.base_url}0"}


def test_no_exemplar_is_taken_from_the_memory_of_an_archived_host(host):
    remember_exemplar(host, 1)
    assert len(read_exemplars(shortlist_size=5)) == 1
    Host.objects.update(enabled=False)
    assert read_exemplars(shortlist_size=5) == []
