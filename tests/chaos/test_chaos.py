"""SIGKILLs at random moments under load, by the command that an operator runs."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys

import psycopg
import pytest

from benchmarks.__main__ import main
from benchmarks.chaos.audit import find_overlaps
from benchmarks.chaos.recovery import Wait, subtract
from lealife.core.places import BASE_DIR


def run_chaos(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", "chaos", *arguments]
    return subprocess.run(command, cwd=BASE_DIR, capture_output=True, text=True, timeout=280)


def count_worlds() -> int:
    with psycopg.connect(os.environ["DATABASE_URL"]) as server:
        query = "SELECT count(*) FROM pg_database WHERE datname LIKE 'lealife_chaos_%'"
        return server.execute(query).fetchone()[0]


# Next to other tests as few workers as can meet each other; the soak has as many as the command starts.
@pytest.mark.parametrize(("kills", "workers"), [(20, 3), pytest.param(200, 6, marks=pytest.mark.soak)])
def test_kills_lose_nothing_double_nothing_and_leave_nothing_open(kills, workers, record_property):
    seed = random.SystemRandom().randrange(2**31)
    worlds = count_worlds()
    ended = run_chaos("--kills", str(kills), "--workers", str(workers), "--seed", str(seed), "--json")
    assert ended.returncode == 0, f"seed {seed}: {ended.stderr[-3000:]}\n{ended.stdout}"
    claims = [json.loads(line) for line in ended.stdout.splitlines()]
    record_property("seed", seed)
    for claim in claims:
        record_property(claim["claim"], claim["figure"])
    assert claims[0]["figure"] >= kills
    assert all(claim["holds"] for claim in claims), f"seed {seed}"
    # Its database is gone with it.
    assert count_worlds() == worlds


@pytest.mark.parametrize("kills", ["0", "-1", "many", "100001"])
def test_a_number_of_kills_that_makes_no_sense_is_refused(kills, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["chaos", f"--kills={kills}"])
    assert ended.value.code
    assert "is no whole number from 1 to 100,000" in capsys.readouterr().err


def test_spans_that_overlap_are_found():
    assert find_overlaps([(3.0, 4.0), (0.0, 1.0), (1.0, 2.0)]) == []
    assert find_overlaps([(0.5, 2.0), (0.0, 1.0)]) == [((0.0, 1.0), (0.5, 2.0))]
    # A long one hides none of those within it.
    assert len(find_overlaps([(0.0, 10.0), (1.0, 2.0), (3.0, 4.0)])) == 2


def test_time_without_a_leader_is_left_out_of_a_wait_once():
    waits = [Wait("a source", 10.0, 15.0)]
    assert subtract(waits, []) == [5.0]
    assert subtract(waits, [Wait("one", 9.0, 11.0), Wait("two", 10.5, 12.0)]) == [3.0]
    assert subtract(waits, [Wait("later", 20.0, 30.0), Wait("earlier", 0.0, 5.0)]) == [5.0]
