"""Moments are shown as ages, with the exact time next to them."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from lealife.templatetags.ages import say_age, when
from tests.dashboard.page_text import PageText
from training.models import Run


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s ago"),
        (-0.2, "0 s ago"),
        (59.4, "59 s ago"),
        (60, "1 min ago"),
        (3599, "59 min ago"),
        (3600, "1 h ago"),
        (86_400 * 400, "400 d ago"),
        (-90, "in 1 min"),
    ],
)
def test_an_age_is_said_in_its_largest_whole_unit(seconds: float, words: str) -> None:
    assert say_age(seconds) == words


def test_a_moment_has_its_exact_time_in_the_title_and_for_machines() -> None:
    at = timezone.now() - timedelta(minutes=3)
    assert when(at) == f'<time datetime="{at.isoformat()}" title="{at:%-d %b %Y, %H:%M:%S} UTC">3 min ago</time>'


def test_no_moment_is_a_dash_and_never_an_age() -> None:
    assert when(None) == '<span class="unknown">—</span>'


def test_every_moment_of_a_page_is_relative_and_exact(browser: Client, busy: Run) -> None:
    for address in ("/", "/training/", "/runs/", f"/runs/{busy.pk}/"):
        page = PageText(browser.get(address).content.decode())
        moments = [one for one in page.elements if one.tag == "time"]
        assert moments
        assert all(re.fullmatch(r"(in )?\d+ (s|min|h|d)( ago)?", one.text) for one in moments), address
        assert all(one.attributes["title"].endswith(" UTC") for one in moments), address
