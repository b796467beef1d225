"""Pages that are made to burn time and memory: each is read or refused within bounds, and the reader reads on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.agent.bombs import BOMBS, PLAIN_BOMBS
from tests.training.agent.sites import GARDEN, ScriptedModel, Stub, brain, serve, task
from training.agent.navigate import navigate
from training.agent.web.http_browser import HttpBrowser

ROOT = Path(__file__).parents[3]
EXTRA_MEMORY = 64 * 1024**2
# Of processor time; the most expensive takes a little over one on the slowest machine that was tried.
SECONDS = 5.0
NAMES = [*BOMBS, *PLAIN_BOMBS]
# All of them take half a minute of processor time: the fast suite reads every fourth.
IN_FAST_SUITE = NAMES[::4]


@pytest.fixture(scope="module")
def costs(request: pytest.FixtureRequest) -> dict[str, dict[str, object]]:
    """What each bomb cost a process of its own that reads them one after the other."""
    chosen = [
        item.callspec.params["name"] for item in request.session.items if "costs" in getattr(item, "fixturenames", ())
    ]
    command = [sys.executable, "-m", "tests.training.agent.bombs", *chosen]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300)
    return {cost["name"]: cost for cost in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize(
    "name", [name if name in IN_FAST_SUITE else pytest.param(name, marks=pytest.mark.soak) for name in NAMES]
)
def test_a_bomb_costs_little_time_and_memory(costs: dict[str, dict[str, object]], name: str) -> None:
    cost = costs[name]
    assert cost["said"]
    assert cost["bytes"] <= EXTRA_MEMORY
    assert cost["seconds"] <= SECONDS


def test_a_run_over_a_bomb_says_too_large_and_goes_on() -> None:
    pages = {
        "/": b'<a href="/bomb.html">green door</a><a href="/shed.html">green shed</a>',
        "/bomb.html": Stub(BOMBS["unclosed_b_that_differ"]()[:4_900_000]),
        "/shed.html": GARDEN["/tools/spade.html"],
    }
    with serve(pages) as stub, HttpBrowser(site=stub.site()) as browser:
        the_task = task("Which page says \u201cbehind the green door\u201d?", stub.site())
        trajectory = navigate(task=the_task, brain=brain(), browser=browser, model=ScriptedModel())
    assert [step.error_code for step in trajectory.steps] == ["", "too_large", ""]
    assert trajectory.success
