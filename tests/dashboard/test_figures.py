"""The figures of the training page are those of the API's JSON, and those of SQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from tests.dashboard.page_text import PageText
from training.models import Host, Run, TrainingOutcome

# Per figure: its label, its path in the JSON, and how SQL counts it from the rows themselves.
FIGURES = (
    (
        "Successes",
        "proof.successes",
        "SELECT count(*) FROM training_outcomes WHERE success AND answer_state = 'verified' AND lane = 'training'",
    ),
    ("Live Applies", "proof.live_applies", "SELECT count(*) FROM promotion_liveapply WHERE canary_id IS NOT NULL"),
    (
        "Pending Queue (All)",
        "lanes.pending_all",
        "SELECT count(*) FROM training_trainingsource WHERE kind = 'queue' AND status = 'pending'",
    ),
    (
        "Pending Queue (training_ui)",
        "lanes.pending_training_ui",
        "SELECT count(*) FROM training_trainingsource WHERE kind = 'queue' AND status = 'pending'"
        " AND queued_from = 'training_ui'",
    ),
    (
        "Pending Queue (other origins)",
        "lanes.pending_other",
        "SELECT count(*) FROM training_trainingsource WHERE kind = 'queue' AND status = 'pending'"
        " AND queued_from <> 'training_ui'",
    ),
    (
        "Pending Curriculum",
        "lanes.pending_curriculum",
        "SELECT count(*) FROM training_trainingsource WHERE kind = 'curriculum' AND status = 'pending'",
    ),
    (
        "Training Sources Consumed (30m)",
        "relay.consumed_30m",
        "SELECT count(*) FROM training_trainingcycle WHERE opened_at > now() - interval '30 minutes'",
    ),
    (
        "Learning Records Ingested (30m)",
        "relay.ingested_30m",
        "SELECT count(*) FROM run_learning_outcomes WHERE ingested_at > now() - interval '30 minutes'",
    ),
    (
        "Learning Ingest Backlog",
        "relay.backlog",
        "SELECT (SELECT count(*) FROM training_outcomes) - (SELECT count(*) FROM run_learning_outcomes)",
    ),
    ("Effective Training Ceiling", "controls.training_ceiling",
     "SELECT global_max_concurrent_runs - reserved_control_slots FROM training_runtimesettings"),
    ("Training Max Active Runs", "state.training_max",
     "SELECT LEAST(training_max_active_runs, global_max_concurrent_runs - reserved_control_slots)"
     " FROM training_runtimesettings"),
)  # fmt: skip
# Per caption: the JSON's values that it is written from, and SQL for them.
CAPTIONS = (
    (
        "{} / {} / {}",
        ("proof.outcomes_total", "proof.outcomes_success", "proof.outcomes_failure"),
        "SELECT count(*), count(*) FILTER (WHERE success), count(*) FILTER (WHERE NOT success) FROM training_outcomes",
    ),
    (
        "recent success {}/{} ({}%)",
        ("proof.recent_successes", "proof.recent_total", "proof.recent_percent"),
        "SELECT count(*) FILTER (WHERE success), count(*), round(100.0 * avg(success::int))"
        " FROM (SELECT success FROM training_outcomes ORDER BY id DESC LIMIT 100) AS newest",
    ),
    (
        "training {}/{} non-training {}",
        ("state.running_training", "state.training_max", "state.running_non_training"),
        "SELECT count(*) FILTER (WHERE lane = 'training'), (SELECT LEAST("
        "training_max_active_runs, global_max_concurrent_runs - reserved_control_slots)"
        " FROM training_runtimesettings), count(*) FILTER (WHERE lane <> 'training')"
        " FROM training_run WHERE status IN ('claimed', 'running')",
    ),
    ("queue {0}/{1} | curriculum {2}/{3} (max 10 each)", (
        "len pending.queue", "pending.queue_total", "len pending.curriculum", "pending.curriculum_total"),
     "SELECT least(10, q), q, least(10, c), c FROM (SELECT count(*) FILTER (WHERE kind = 'queue') AS q,"
     " count(*) FILTER (WHERE kind = 'curriculum') AS c FROM training_trainingsource WHERE status = 'pending') AS n"),
    ("showing {}/{} (max 10)", ("len cycles.rows", "cycles.total"),
     "SELECT least(10, count(*)), count(*) FROM training_trainingcycle"),
)  # fmt: skip


@pytest.fixture(params=["empty", "busy"])
def page_and_json(
    request: pytest.FixtureRequest, browser: Client, host: Host, make_outcomes: Callable[[int], TrainingOutcome]
) -> tuple[PageText, dict[str, Any]]:
    """The page and the JSON of the same world."""
    if request.param == "busy":
        request.getfixturevalue("busy")
        make_outcomes(100)
    page = browser.get("/training/").content.decode()
    return PageText(page), browser.get("/api/training/status").json()


def read_json(status: dict[str, Any], path: str) -> Any:
    value: Any = status
    for name in path.removeprefix("len ").split("."):
        value = value[name]
    return len(value) if path.startswith("len ") else value


def read_sql(query: str) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone()


def test_each_figure_is_that_of_the_json_and_of_sql(page_and_json: tuple[PageText, dict[str, Any]]) -> None:
    page, status = page_and_json
    for label, path, query in FIGURES:
        value = read_json(status, path)
        assert read_sql(query) == (value,), label
        assert page.says(f"{label} {value:,}"), f"{label} {value}"


def test_each_caption_is_written_from_the_json_and_of_sql(page_and_json: tuple[PageText, dict[str, Any]]) -> None:
    page, status = page_and_json
    for caption, paths, query in CAPTIONS:
        values = tuple(read_json(status, path) for path in paths)
        assert tuple(None if value is None else int(value) for value in read_sql(query)) == values, caption
        said = caption.replace("({}%)", "(—)") if None in values else caption
        assert page.says(said.format(*values)), said.format(*values)


def test_all_runtime_settings_are_those_of_the_row(browser: Client, busy: Run) -> None:
    page = PageText(browser.get("/training/").content.decode())
    names = ("loop_interval_s", "retry_budget", "default_pages_target", "recent_host_window", "controller_max_calls")
    labels = ("Loop Interval (s)", "Retry Budget / Source", "Default Pages Target", "Recent Host Window")
    for label, value in zip((*labels, "Controller Max Calls / Run"), read_sql(
        f"SELECT {', '.join(names)} FROM training_runtimesettings"
    ), strict=True):  # fmt: skip
        assert page.says(f"{label} {value:g}"), label
