"""A process that is killed before or after any SQL statement, COMMIT or external call loses nothing and doubles
nothing.

A real process takes one question from claim to ingest by the product's own actions, and is killed at the n-th point;
n grows until it survives: by one in the soak, by more in the fast suite. What is left is repaired as the product
repairs it, and then the tables are judged against each other and against what the stub site and the stub model logged
on their own.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from django.utils import timezone

from lealife.pipeline.launching import launch_training
from lealife.pipeline.stages import Sweeper
from tests.chaos.harbour import LAPSE, Harbour, open_harbour
from tests.chaos.points import survives
from training.models import Run, TrainingCycle, TrainingOutcome
from training.runs import begin_next_run

pytestmark = pytest.mark.django_db(transaction=True)
# A host for each point: on one that has been visited, memory would shorten the path.
HOSTS = 250
# From one point to the next. The fast suite dies at a few points, the soak at all.
STRIDES = [29, pytest.param(1, marks=pytest.mark.soak)]


@pytest.fixture
def harbour(tmp_path, settings, transactional_db) -> Iterator[Harbour]:
    with open_harbour(folder=tmp_path, settings=settings, hosts=HOSTS) as harbour:
        yield harbour


def enumerate_crashes(
    harbour: Harbour, *, prepare: Callable[[], object], work: Callable[[], object], when: str, stride: int
) -> int:
    """Kills `work` at its points, `stride` apart, and judges what each kill leaves; returns how many kills."""
    kills, survived = 0, False
    while not survived:
        at = 1 + kills * stride
        prepare()
        survived = survives(work, at=at, when=when, log=harbour.log)
        harbour.recover()
        assert harbour.judge() == {}, f"{when} {harbour.log.read_events('crash')[-1:]}"
        assert not Run.objects.exclude(status__in=["succeeded", "failed"]).exists()
        kills += not survived
    return kills


def record_points(harbour: Harbour, record_property: Callable[[str, object], None], count: int) -> Counter[str]:
    kinds = Counter(crash["kind"] for crash in harbour.log.read_events("crash"))
    assert sum(kinds.values()) == count
    record_property("crash_points", count)
    for kind, number in sorted(kinds.items()):
        record_property(f"crash_points_{kind}", number)
    return kinds


@pytest.mark.timeout(600)
@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_worker_killed_at_any_point_from_claim_to_ingest_loses_and_doubles_nothing(
    harbour, when, stride, record_property
):
    count = enumerate_crashes(harbour, prepare=harbour.queue, work=harbour.take, when=when, stride=stride)
    kinds = record_points(harbour, record_property, count)
    # The site is asked for robots.txt, the index and the bell; the model for its tags, a pick and an answer.
    if stride == 1:
        assert kinds["call"] >= 6
        assert kinds["commit"] >= 6
    assert kinds["statement"] >= max(1, 30 // stride)
    # Each question has one success, each kill that left a run behind one `worker_lost`.
    outcomes = TrainingOutcome.objects
    assert outcomes.filter(success=True).count() == harbour.asked == count + 1
    assert set(outcomes.filter(success=False).values_list("error_code", flat=True)) == {"worker_lost"}
    assert TrainingCycle.objects.count() == outcomes.count()


def test_a_kill_before_the_commit_of_a_claim_leaves_nothing_and_after_it_a_claimed_run(harbour):
    left: dict[str, list[str]] = {}
    for when in ("before", "after"):
        harbour.queue()
        for at in itertools.count(1):
            assert not survives(harbour.take, at=at, when=when, log=harbour.log)
            if harbour.log.read_events("crash")[-1]["kind"] == "commit":
                break
            assert not TrainingCycle.objects.filter(status="open").exists()
        left[when] = list(TrainingCycle.objects.filter(status="open").values_list("run__status", flat=True))
        harbour.recover()
    assert left == {"before": [], "after": ["claimed"]}
    assert harbour.judge() == {}


@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_coordinator_killed_at_any_point_of_its_tick_leaves_one_outcome_a_cycle(
    harbour, when, stride, record_property
):
    def lose_a_run() -> None:
        """One run lapsed, one question waiting."""
        harbour.queue()
        assert launch_training(timezone.now()) == 1
        assert begin_next_run(worker="lost", now=timezone.now()) is not None
        harbour.queue()

    def tick() -> None:
        Sweeper().tick(timezone.now() + LAPSE)

    count = enumerate_crashes(harbour, prepare=lose_a_run, work=tick, when=when, stride=stride)
    kinds = record_points(harbour, record_property, count)
    if stride == 1:
        assert kinds["commit"] >= 2
    assert kinds["statement"] >= max(1, 10 // stride)
    assert TrainingOutcome.objects.filter(success=True).count() == harbour.asked
    assert TrainingOutcome.objects.filter(error_code="worker_lost").count() >= count
