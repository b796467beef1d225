"""Windows: watermark arithmetic in ingested successes that count, reached once, never on hold."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from lealife.core.errors import Conflict
from learning.ingest import count_ingest
from learning.models import RunLearningOutcome
from promotion.candidates.windows import current_window, is_window_due, move_window, reach_window, read_window
from promotion.models import PromotionWindow
from tests.promotion.scenes import change_settings, make_outcome
from training.counters import add_counts
from training.models import Host

SIZE = 4


@pytest.fixture(autouse=True)
def _small_windows(db: None) -> None:
    change_settings(window_size=SIZE)


def ingest(host: Host, results: str) -> None:
    """Ingests one outcome a letter: `+` a verified success, `~` a supported one, `-` a failure."""
    for result in results:
        outcome = make_outcome(host, success=result != "-", state="supported" if result == "~" else "verified")
        RunLearningOutcome.objects.create(outcome=outcome, success=outcome.success, is_counted=outcome.is_counted)
        add_counts(**count_ingest(outcome))


def reach(host: Host, results: str) -> PromotionWindow:
    ingest(host, results)
    assert reach_window(now=timezone.now())
    return PromotionWindow.objects.get(state="building")


def close(window: PromotionWindow) -> None:
    move_window(window_id=window.pk, expected="building", to="rejected", now=timezone.now(), reason="No.")


def test_the_first_window_opens_at_nothing():
    window = current_window()
    assert (window.number, window.watermark, window.size, window.state) == (1, 0, SIZE, "collecting")
    assert current_window() == window


@pytest.mark.django_db(transaction=True)
def test_a_window_that_another_process_opens_between_two_looks_is_taken(transactional_db):
    change_settings(window_size=SIZE)

    def open_first(execute: Any, sql: str, *rest: Any) -> Any:
        if "FOR UPDATE" in sql and not opened:
            with ThreadPoolExecutor(1) as threads:
                opened.append(threads.submit(open_elsewhere).result())
        return execute(sql, *rest)

    opened: list[int] = []
    with connection.execute_wrapper(open_first):
        window = current_window()
    assert [window.pk] == opened
    assert PromotionWindow.objects.count() == 1


def open_elsewhere() -> int:
    try:
        return current_window().pk
    finally:
        connection.close()


def test_progress_is_counted_in_ingested_successes(host):
    ingest(host, "+-+-+")
    progress = read_window()
    assert (progress.successes, progress.in_window, progress.until_next, progress.next_target) == (3, 3, 1, 4)
    assert (progress.attempts, progress.percent, progress.watermark) == (5, 75, 0)


def test_supported_successes_are_attempts_and_fill_no_window(host):
    ingest(host, "+~~~~")
    progress = read_window()
    assert (progress.successes, progress.in_window, progress.attempts, progress.counted) == (1, 1, 5, "verified")
    assert not is_window_due()
    ingest(host, "~+++~")
    assert reach_window(now=timezone.now())
    # Up to the success that filled it, not to the supported one behind it.
    assert PromotionWindow.objects.get().attempts == 9


def test_what_counts_is_named_by_what_was_counted(host):
    ingest(host, "+")
    assert read_window().counted == "verified"
    change_settings(count_supported=True)
    assert read_window().counted == "verified or supported"
    add_counts(ingested__success=1, ingested__supported=1)
    change_settings(count_supported=False)
    assert (read_window().counted, read_window().in_window) == ("verified or supported", 2)


def test_a_window_is_due_only_with_all_its_successes(host):
    ingest(host, "+++---")
    assert not is_window_due()
    assert not reach_window(now=timezone.now())
    ingest(host, "+")
    assert is_window_due()


def test_a_window_is_reached_once(host):
    now = timezone.now()
    ingest(host, "++++")
    assert reach_window(now=now)
    assert not reach_window(now=now + timedelta(seconds=1))
    window = PromotionWindow.objects.get()
    assert (window.state, window.reached_at, window.attempts) == ("building", now, 4)


def test_the_next_window_starts_where_the_last_was_reached_not_where_it_was_closed(host):
    first = reach(host, "+-++-+")
    ingest(host, "+-+")
    close(first)
    second = current_window()
    assert (second.number, second.watermark, second.attempts_before) == (2, SIZE, 6)
    progress = read_window()
    assert (progress.in_window, progress.attempts, progress.until_next) == (2, 3, 2)


def test_a_full_window_shows_the_unbiased_rate(host):
    # Four successes in six attempts, the last of them a success: 3/5, not 4/6.
    reach(host, "+-++-+")
    assert read_window().unbiased_rate == pytest.approx(3 / 5)


def test_failures_after_the_last_success_are_not_the_windows(host):
    reach(host, "+-++-+--")
    assert read_window().attempts == 6
    assert read_window().unbiased_rate == pytest.approx(3 / 5)


def test_a_window_that_is_looked_at_late_took_only_what_filled_it(host):
    first = reach(host, "++++")
    # While the first is evaluated enough comes in for the second, and a good deal more.
    ingest(host, "+-+-+-+" + "+-+-")
    close(first)
    assert reach_window(now=timezone.now())
    second = PromotionWindow.objects.get(state="building")
    assert (second.watermark, second.attempts_before, second.attempts) == (4, 4, 7)
    close(second)
    third = read_window()
    assert (third.watermark, third.in_window, third.attempts) == (8, 2, 4)


def test_an_empty_window_has_no_rate():
    assert read_window().unbiased_rate is None


def test_on_hold_the_page_says_so_and_the_figures_go_on(host):
    ingest(host, "++++++")
    change_settings(promotion_hold=True)
    progress = read_window()
    assert (progress.state, progress.in_window, progress.until_next, progress.percent) == ("held", SIZE, 0, 100)
    assert progress.sentence == "Promotion is on hold"


def test_a_changed_size_holds_from_the_next_window_on(host):
    assert current_window().size == SIZE
    change_settings(window_size=9)
    first = reach(host, "++++")
    close(first)
    assert (current_window().size, current_window().watermark) == (9, SIZE)


def test_a_closed_window_keeps_its_reason_and_the_next_one_shows_it(host):
    close(reach(host, "++++"))
    last = PromotionWindow.objects.get(number=1)
    assert (last.state, last.reason) == ("rejected", "No.")
    assert last.closed_at is not None
    progress = read_window()
    assert (progress.number, progress.reason) == (2, "No.")


def test_a_window_is_moved_only_from_where_it_is_expected(host):
    window = reach(host, "++++")
    with pytest.raises(Conflict, match="is not canary"):
        move_window(window_id=window.pk, expected="canary", to="applying", now=timezone.now())
