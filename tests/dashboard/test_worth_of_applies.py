"""What a live apply was worth is shown wherever the apply is, at no query more."""

from __future__ import annotations

import io

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from lealife.dashboard.live.snapshot import render_fragment, take_snapshot
from promotion.models import LiveApply, ReserveMeasurement
from promotion.proof.timeline import find_serving
from tests.promotion.ledgers import make_history
from tests.promotion.scenes import Servers
from training.models import Host

COUNTS = {"done": 120, "ties": 90, "before_calls": 480, "after_calls": 312, "calls_error": 0.107}
BETTER = {**COUNTS, "wins": 25, "losses": 5}
WORSE = {**COUNTS, "wins": 5, "losses": 25}
CALLS = "1.4 fewer calls a task, 95 % interval 1.2 to 1.6."
SAID = {
    "better": f"+17 pp on 120 unseen tasks, 95 % interval 8 to 25; {CALLS}",
    "worse": f"Worse than before: −17 pp on 120 unseen tasks, 95 % interval −25 to −8; {CALLS}",
}


@pytest.fixture
def apply(host: Host) -> LiveApply:
    """An applied candidate whose switch is still the newest of its role."""
    history = make_history(host, Servers())
    # The history's roll back is of the same role: what came after it is measured here.
    measured = ReserveMeasurement.objects.get(apply=history.applied)
    later = LiveApply.objects.create(
        role="controller",
        from_tag=history.rolled_back.to_tag,
        to_tag=history.applied.to_tag,
        to_digest=history.applied.to_digest,
        applied_by="gate",
        reason="again",
    )
    ReserveMeasurement.objects.create(
        apply=later, beside=measured.beside, freeze=measured.freeze, task_ids=list(range(120))
    )
    return later


def end(apply: LiveApply, counts: dict[str, int]) -> None:
    ReserveMeasurement.objects.filter(apply=apply).update(**counts, state="measured")


@pytest.mark.parametrize(("counts", "state", "word"), [(BETTER, "green", "better"), (WORSE, "red", "worse")])
def test_pages_api_commands_admin_and_timeline_say_the_same(apply, browser: Client, counts, state, word) -> None:
    end(apply, counts)
    mark = f'data-state="{state}">{word.capitalize()}</span>'
    for key, panel in (("home", "worth"), ("training", "proof")):
        html = render_fragment(take_snapshot(key, now=timezone.now()), panel)
        assert mark in html and SAID[word] in html
    gain = browser.get("/api/models/proof").json()["last_apply"]["gain"]
    assert (gain["sentence"], gain["is_loss"], gain["pairs"]) == (SAID[word], word == "worse", 120)
    assert gain["success"]["low"] < gain["success"]["mean"] < gain["success"]["high"]
    out = io.StringIO()
    call_command("promotion", stdout=out)
    assert f"Live apply {apply.pk}, {apply}: {SAID[word]}" in out.getvalue()
    assert SAID[word] in browser.get(reverse("admin:promotion_liveapply_changelist")).content.decode()
    assert find_serving(role="controller", at=timezone.now()).sentence.endswith(f" {SAID[word]}")


def test_the_candidates_page_shows_what_its_own_apply_was_worth(apply, host) -> None:
    measured = ReserveMeasurement.objects.exclude(apply=apply).get()
    evaluation = measured.apply.canary.evaluation_id
    ReserveMeasurement.objects.filter(pk=measured.pk).update(state="cut", reason="live apply 2 came first")
    html = render_fragment(take_snapshot(f"candidate-{evaluation}", now=timezone.now()), "terms")
    assert "What it was worth" in html and "Not measured: live apply 2 came first." in html


@pytest.mark.parametrize("key", ["home", "training"])
def test_it_costs_no_query(apply, key: str) -> None:
    take_snapshot(key, now=timezone.now())
    with CaptureQueriesContext(connection) as open_now:
        take_snapshot(key, now=timezone.now())
    end(apply, BETTER)
    with CaptureQueriesContext(connection) as measured:
        take_snapshot(key, now=timezone.now())
    assert len(measured) == len(open_now)
