"""The benchmarks run and say what they measured; bounds are for a quiet machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from django.db import connection
from pytest_django import DjangoDbBlocker

from benchmarks import database, degradation, snapshot, vectors
from benchmarks.__main__ import main
from benchmarks.cycles import measure_cycles, prepare_cycles
from benchmarks.database import open_database, use_database
from benchmarks.history import write_history
from benchmarks.measurement import DoesNotHold
from benchmarks.sockets import measure_sockets
from learning.ingest import read_backlog, read_uningested
from training.counters import count_by_lane, read_counters
from training.models import CounterSlot, Run, TrainingCycle, TrainingOutcome, TrainingSource

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def template(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """A migrated database that nothing is connected to."""
    tests = connection.settings_dict["NAME"]
    with ExitStack() as stack:
        with django_db_blocker.unblock():
            name = stack.enter_context(open_database())
            use_database(tests)
        yield name
        with django_db_blocker.unblock():
            stack.close()


@pytest.fixture(autouse=True)
def _clone(template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A benchmark's database is a copy of the template: to migrate each would cost more than most of these tests."""

    def clone(name: str) -> None:
        connection.close()
        with connection.creation._nodb_cursor() as cursor:
            cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        use_database(name)

    monkeypatch.setattr(database, "make_database", clone)


@pytest.fixture
def run_bench(capsys: pytest.CaptureFixture[str]) -> Callable[..., list[dict]]:
    def run(name: str, **options: object) -> list[dict]:
        capsys.readouterr()
        try:
            main([name, "--json", *(f"--{option}={value}" for option, value in options.items())])
        except DoesNotHold as error:
            # Next to a test run no figure means anything: a bound may be missed.
            assert str(error).startswith("Does not hold: ")
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return run


def test_a_benchmark_leaves_the_database_as_it_was():
    before = connection.settings_dict["NAME"]
    with open_database() as name:
        assert connection.settings_dict["NAME"] == name != before
        prepare_cycles()
    assert connection.settings_dict["NAME"] == before
    assert not Run.objects.exists()


def test_a_load_takes_every_source_through_the_whole_cycle():
    with open_database():
        prepare_cycles()
        assert measure_cycles(count=50, workers=2) > 0
        assert set(TrainingSource.objects.values_list("status", flat=True)) == {"done"}
        assert TrainingOutcome.objects.count() == TrainingCycle.objects.filter(status="succeeded").count() == 50
        counts = read_counters()
        assert counts["outcomes.success"] == counts["ingested.success"] == 50
        assert not read_uningested().exists()


def test_a_written_history_is_counted_like_one_that_happened():
    with open_database():
        prepare_cycles()
        write_history(finished=500, leased=40)
        assert TrainingOutcome.objects.count() == read_counters()["outcomes.total"] == 500
        assert read_backlog() == 0
        assert not read_uningested().exists()
        counted = dict(CounterSlot.objects.values_list("name", "count"))
        assert count_by_lane(counted) == {"standard": Run.objects.open().count()} == {"standard": 40}


@pytest.mark.parametrize(
    ("name", "claims", "options"),
    [
        ("claims", 2, {"size": 40, "rounds": 1, "workers": 2}),
        ("counted", 1, {"size": 20, "rounds": 1}),
        ("degradation", 1, {"size": 200, "rounds": 1}),
        ("snapshot", 6, {"size": 20_000, "rounds": 1}),
        # It opens every list of admin, as the quick suite does on its own.
        pytest.param("lists", 3, {"size": 1_000, "rounds": 1}, marks=pytest.mark.soak),
        ("vectors", 4, {"size": 4, "rounds": 1}),
    ],
)
def test_a_benchmark_says_one_line_a_claim(run_bench, name, claims, options, monkeypatch):
    # What has no option and is no part of a claim.
    monkeypatch.setattr(degradation, "CYCLES", 40)
    monkeypatch.setattr(snapshot, "LOOKS", 10)
    monkeypatch.setattr(vectors, "AT_ONCE", 4)
    lines = run_bench(name, **options)
    assert len(lines) == claims
    for line in lines:
        assert set(line) == {"claim", "figure", "bound", "unit", "holds", "setup"}
        assert line["holds"] in (True, False)


def test_sockets_are_shown_the_final_state_even_those_that_stalled():
    claims = {claim.claim: claim for claim in measure_sockets(sockets=40, commits=200, seconds=2.0, rounds=1)}
    assert len(claims) == 4
    assert claims["sockets that miss the final state"].figure == 0
    # Everything that was committed came at all, if not in time next to a test run.
    assert claims["p99 staleness of what a socket shows"].figure < 30
