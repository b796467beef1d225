"""The flag that tells workers to stop, among workers that are killed."""

from __future__ import annotations

import threading
import time

import pytest

from benchmarks.chaos.crowd import Crowd
from lealife.pipeline.draining import is_draining

KILLS = 30


def look_without_end() -> None:
    while not is_draining():
        pass


@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_while_reading_the_flag_blocks_no_other():
    crowd = Crowd({"looking": look_without_end})
    try:
        for _ in range(KILLS):
            crowd.fork("looking")
            time.sleep(0.02)
            crowd.end()
        looked = threading.Event()
        threading.Thread(target=lambda: (is_draining(), looked.set()), daemon=True).start()
        assert looked.wait(timeout=5), "a dead worker keeps the flag"
    finally:
        crowd.end()
