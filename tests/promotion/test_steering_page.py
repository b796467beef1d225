"""The actions of promotion's pages that end a trial: abort a canary, go back to the previous tag."""

from __future__ import annotations

from django.urls import reverse
from django.utils import timezone

from promotion.models import Canary, LiveApply
from promotion.routing import read_routing
from tests.promotion.scenes import make_passed_canary, make_promoted, steering_address


def test_an_open_canary_is_aborted_with_its_reason(servers, browser):
    promoted = make_promoted(servers)
    Canary.objects.create(
        evaluation=promoted,
        role="controller",
        share_percent=20,
        min_observations=20,
        deadline_at=timezone.now(),
        first_outcome_id=0,
    )
    page = browser.get(reverse("candidate", args=[promoted.pk])).content.decode()
    assert "Abort canary" in page
    browser.post(steering_address("abort-canary"), {"role": "controller", "reason": "it loops"})
    canary = Canary.objects.get()
    assert canary.state == "aborted"
    assert "it loops" in canary.reason


def test_roll_back_puts_the_previous_tag_back(servers, browser, host):
    from promotion.applies import apply_canary

    canary = make_passed_canary(servers)
    before = read_routing().controller
    apply_canary(canary_id=canary.pk, now=timezone.now())
    assert read_routing().controller != before
    answer = browser.post(steering_address("roll-back"), {"role": "controller", "reason": "worse", "next": "/runs/"})
    assert answer.headers["Location"] == "/runs/"
    assert read_routing().controller == before
    assert LiveApply.objects.order_by("-id")[0].reason == "worse"
