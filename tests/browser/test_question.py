"""A question: asked, watched while it is answered, and read on the frozen page."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from lealife.core.digest import digest_bytes
from tests.browser.web import Web
from tests.factories import finish, make_choices, make_html, make_step
from training.models import Host, OperatorVerdict, Run
from training.runs import begin_run, claim_queued_run, record_step

pytestmark = pytest.mark.browser
SENTENCE = "A queue is a line of people who wait for something."
PAGE = make_html("Queues", *[f"Filler {number} before the place." for number in range(60)], SENTENCE, "After it.")


def test_a_question_is_asked_watched_and_its_quote_read_on_the_frozen_page(sign_in, web: Web) -> None:
    from playwright.sync_api import expect

    host = Host.objects.create(name="manual", base_url="http://127.0.0.1:9/", may_be_private=True)
    complaints: list[str] = []
    page = sign_in(path="/tasks/new/", complaints=complaints, viewport={"width": 390, "height": 844})
    page.fill("#id_prompt", "What is a queue?")
    page.click("text=Run this task")
    expect(page.locator("[data-live-word]")).to_have_text("Live")
    expect(page.locator(".doing")).to_contain_text("is waiting for a free control slot")
    page.evaluate("window.witness = 'not reloaded'")

    run = claim()
    record(run, "", make_html("Start here"), index=0)
    expect(page.locator(".visit")).to_have_count(1)
    expect(page.locator(".visit")).to_contain_text("The page where every run of this host starts.")
    choices = make_choices(f"{host.base_url}queue", f"{host.base_url}other")
    record(run, "queue", PAGE, index=1, shortlist=choices, picked_by="model")
    expect(page.locator(".visit").nth(1)).to_contain_text("number 1 of 2, a link on the page")
    page.click("summary:has-text('Shortlist of 2')")
    quote = {"text": SENTENCE, "url": f"{host.base_url}queue", "digest": digest_bytes(PAGE)}
    finish(run, answer="A line of people.", quotes=(quote,), verifier="quotes", now=timezone.now())
    expect(page.locator(".answer")).to_have_text("A line of people.")
    expect(page.locator(".shortlist")).to_be_visible()
    assert page.evaluate("window.witness") == "not reloaded"
    assert page.evaluate("document.documentElement.scrollWidth") == 390

    page.click("text=See it on the frozen page")
    expect(page.locator("mark")).to_have_text(SENTENCE)
    expect(page.locator("mark")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.go_back()

    page.fill("#judge-note", "Read it there.")
    page.click("text=Yes, it was right")
    expect(page.locator(".verdict")).to_contain_text("Judged right")
    page.click("text=Turn into a training source")
    expect(page.locator("#train-text")).to_have_value(SENTENCE)
    page.goto(f"{web.address}/runs/?q=queue&status=succeeded")
    page.click(".runs td.wide a")
    expect(page.locator(".answer")).to_be_visible()
    assert complaints == []
    assert OperatorVerdict.objects.get().note == "Read it there."


def claim() -> Run:
    now = timezone.now()
    run_id = claim_queued_run(now=now)
    return begin_run(run=Run.objects.select_related("host").get(pk=run_id), worker="worker", now=now)


def record(run: Run, path: str, body: bytes, **changes: Any) -> None:
    step = make_step(url=f"{run.host.base_url}{path}", body=body, **changes)
    record_step(run_id=run.pk, fence=run.fence, step=step, now=timezone.now())
