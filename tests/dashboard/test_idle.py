"""Settings that leave nothing to pick say so, instead of “next: 6 more runs”."""

from __future__ import annotations

import pytest
from django.test import Client

from lealife.core.actors import command_line
from learning.models import CurriculumTask, FrontierPage
from training.models import Host, TrainingSource
from training.runtime_settings import apply_settings

QUEUED_ONLY = "The queue is empty, and Queued Only blocks the curriculum."
NO_FALLBACK = "The queue is empty, and curriculum fallback is off."
AUTOMATIC_ONLY = "Automatic Only ignores the sources in the queue."


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        ("curriculum", {"source_lane_mode": "queued_only"}, QUEUED_ONLY),
        ("curriculum", {"curriculum_fallback": False}, NO_FALLBACK),
        ("queue", {"source_lane_mode": "automatic_only"}, AUTOMATIC_ONLY),
        ("curriculum", {}, ""),
        ("queue", {"source_lane_mode": "queued_only"}, ""),
    ],
)
def test_why_nothing_is_picked(browser: Client, host: Host, kind: str, changes: dict, words: str) -> None:
    TrainingSource.objects.create(kind=kind, title="Waiting", prompt="Find it.", host=host)
    if changes:
        apply_settings(changes=changes, version=None, by=command_line("ada"), origin="page")
    page = browser.get("/training/").content.decode()
    found = [one for one in (QUEUED_ONLY, NO_FALLBACK, AUTOMATIC_ONLY) if f"No eligible next source. {one}" in page]
    assert found == ([words] if words else [])


@pytest.mark.parametrize(("streak", "state", "is_said"), [(3, "read", True), (2, "read", False), (3, "known", False)])
def test_a_page_says_when_every_site_is_read_and_every_training_task_is_mastered(
    browser: Client, host: Host, streak: int, state: str, is_said: bool
) -> None:
    FrontierPage.objects.create(host=host, url=host.base_url, url_digest="u", state=state)
    CurriculumTask.objects.create(
        host=host, split="train", expected_url="u", page_digest="d", passage="p", prompt="?", streak=streak
    )
    page = browser.get("/training/").content.decode()
    assert ("There is nothing left to learn here until the site changes." in page) is is_said
