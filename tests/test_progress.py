"""What a headless run tells: the story of a verdict, and the ledger of every candidate."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import CommandError
from django.utils import timezone
from rich.console import Console

from lealife.management.commands.up import Command
from lealife.progress import describe_ledger, describe_story, draw_ledger, print_story
from lealife.story import MemoryMeasure, count_settled, find_verdict, tell_story
from promotion.models import PromotionWindow
from tests.promotion.ledgers import History, make_history
from tests.promotion.scenes import Servers, build_pages, make_host
from tests.training.agent.sites import serve

MEMORY = MemoryMeasure(
    measured_tasks=2,
    success_rate_memory_off=0.0,
    success_rate_memory_on=0.5,
    calls_memory_off=5.0,
    calls_memory_on=3.5,
)


@pytest.fixture
def history(db: None) -> History:
    with serve(build_pages(2)) as site:
        return make_history(make_host(site), Servers())


def test_the_story_names_candidate_verdict_canary_and_apply(history):
    story = tell_story(history.promoted, memory=MEMORY, seconds=90)
    told = dict(describe_story(story))
    assert told["Wins–losses"] == f"{story.wins}–0 in {story.pairs} pairs"
    assert told["Better answers"] == "e-value 341.2 of 216.0 needed: promoted it"
    assert told["Not worse and cheaper"] == "e-value 1.00 of 432.0 needed"
    assert told["Verdict"].startswith("promote. Better:")
    assert told["Canary"].startswith("passed. No harm found:")
    assert told["Worth"] == f"{history.applied.to_tag.name}: Not measured: there were no unseen tasks."
    assert story.reserve[0]["tasks"] == 0
    assert told["Live apply"] == f"{history.applied.from_tag.name} → {history.applied.to_tag.name}"


def test_the_ledger_holds_every_candidate_with_its_score_and_e_value(history, capsys):
    PromotionWindow.objects.create(number=9, watermark=0, size=1, attempts_before=0, state="rejected")
    story = tell_story(history.rejected, memory=MEMORY, seconds=90)
    assert describe_ledger(story.ledger).startswith(
        "Candidates: 2 built, 1 promoted to canary, 1 rejected, 0 inconclusive, 0 invalid; 1 refused before any run;"
    )
    console = Console(width=200, record=True)
    console.print(draw_ledger(story.ledger))
    first, second = story.ledger["candidates"]
    assert (first["k"], first["verdict"], second["k"], second["verdict"]) == (1, "promote", 2, "reject")
    text = console.export_text()
    for line in (first, second):
        assert line["tag"] in text
        assert f"{line['wins']}–{line['losses']}" in text
    print_story(story)
    assert "alpha spent" in capsys.readouterr().out


def test_a_verdict_is_settled_when_its_window_is_closed(history):
    before = timezone.now() - timedelta(hours=1)
    assert count_settled(since=before) == 2
    assert count_settled(since=timezone.now()) == 0
    assert find_verdict(since=before) == history.promoted
    PromotionWindow.objects.filter(evaluation=history.promoted).update(state="canary")
    assert count_settled(since=before) == 1


class Children:
    """A supervisor whose children live."""

    is_stopping = False

    def revive(self) -> None:
        """Nobody has died."""


def test_the_measure_of_memory_waits_for_a_slot_and_not_for_ever():
    command = Command()
    command.breathe(Children())
    command.waits_until = 0.0
    with pytest.raises(CommandError, match="no slot became free"):
        command.breathe(Children())
