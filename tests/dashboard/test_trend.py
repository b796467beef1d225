from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from lealife.dashboard.home.trend import AVERAGED, average_outcomes, build_trend_panel
from training.models import Run, TrainingOutcome

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def make_rows(*successes: bool) -> list[tuple[int, bool, int, datetime]]:
    return [(number, success, 2, NOW + timedelta(seconds=number)) for number, success in enumerate(successes, 1)]


def test_a_point_averages_the_last_twenty_outcomes() -> None:
    points = average_outcomes(make_rows(*[False] * 30, *[True] * 10))
    assert (points[-1].runs, points[-1].success_rate) == (AVERAGED, 0.5)
    assert (points[-1].outcome, points[-1].position) == (40, 1.0)


def test_a_young_history_is_averaged_over_what_there_is_but_never_over_a_handful() -> None:
    points = average_outcomes(make_rows(True, False, True, True, False, True))
    assert [point.runs for point in points] == [5, 6]
    assert points[0].success_rate == 0.6
    assert len(average_outcomes(make_rows(True))) == 1


def test_a_long_history_is_sixty_points_that_end_with_the_newest_outcome() -> None:
    points = average_outcomes(make_rows(*[number % 2 == 0 for number in range(619)]))
    assert len(points) == 60
    assert points[-1].outcome == 619
    assert {point.success_rate for point in points} == {0.5}
    assert 0 <= points[0].position < points[-1].position == 1


def test_the_charts_mark_live_applies_and_have_their_figures_behind_them(browser: Client, busy: Run) -> None:
    page = browser.get("/").content.decode()
    assert "The figures behind the charts" in page
    assert "lealife-controller:w1 applied live" in page
    assert page.count('data-key="point-') == 8


def test_the_charts_cost_two_queries_whatever_the_history(
    busy: Run, make_outcomes: Callable[[int], TrainingOutcome]
) -> None:
    make_outcomes(80)
    with CaptureQueriesContext(connection) as captured:
        panel = build_trend_panel()
    assert len(captured) == 2
    assert panel.outcomes == 92
