"""A question in a real Chromium: asked, watched while it is answered, and read on the frozen page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from lealife.core.digest import digest_bytes
from tests.dashboard.test_browser import CHROMIUM, address
from tests.factories import finish, make_choices, make_html, make_step
from training.models import Host, OperatorVerdict, Run
from training.runs import begin_run, claim_queued_run, record_step

__all__ = ["address"]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: install Debian's package chromium"),
]
SENTENCE = "A queue is a line of people who wait for something."
PAGE = make_html("Queues", *[f"Filler {number} before the place." for number in range(60)], SENTENCE, "After it.")


def test_a_question_is_asked_watched_and_its_quote_read_on_the_frozen_page(address: str) -> None:
    from playwright.sync_api import expect, sync_playwright

    User.objects.create_superuser("ada", password="a long enough one")
    host = Host.objects.create(name="manual", base_url="http://127.0.0.1:9/", may_be_private=True)
    with working() as work, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = chromium.new_context(viewport={"width": 390, "height": 844})
        complaints: list[str] = []
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{address}/login/?next=/tasks/new/")
        page.fill("#id_username", "ada")
        page.fill("#id_password", "a long enough one")
        page.click("main button")

        page.fill("#id_prompt", "What is a queue?")
        page.click("text=Run this task")
        expect(page.locator("[data-live-word]")).to_have_text("Live")
        expect(page.locator(".doing")).to_contain_text("is waiting for a free control slot")
        page.evaluate("window.witness = 'not reloaded'")

        run = work(claim)
        work(record, run, "", make_html("Start here"), index=0)
        expect(page.locator(".visit")).to_have_count(1)
        expect(page.locator(".visit")).to_contain_text("The page where every run of this host starts.")
        choices = make_choices(f"{host.base_url}queue", f"{host.base_url}other")
        work(record, run, "queue", PAGE, index=1, shortlist=choices, picked_by="model")
        expect(page.locator(".visit").nth(1)).to_contain_text("number 1 of 2, a link on the page")
        page.click("summary:has-text('Shortlist of 2')")
        quote = {"text": SENTENCE, "url": f"{host.base_url}queue", "digest": digest_bytes(PAGE)}
        work(finish, run, answer="A line of people.", quotes=(quote,), verifier="quotes", now=timezone.now())
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
        page.goto(f"{address}/runs/?q=queue&status=succeeded")
        page.click(".runs td.wide a")
        expect(page.locator(".answer")).to_be_visible()
        assert complaints == []
        chromium.close()
    assert OperatorVerdict.objects.get().note == "Read it there."


@contextmanager
def working() -> Iterator[Callable[..., Any]]:
    """A worker's own thread: Playwright's loop runs in this one, where Django lets nobody wait for Postgres."""
    with ThreadPoolExecutor(1) as worker:
        yield lambda act, *args, **kwargs: worker.submit(act, *args, **kwargs).result()
        # Called there: each thread has a connection of its own.
        worker.submit(lambda: connection.close()).result()


def claim() -> Run:
    now = timezone.now()
    run_id = claim_queued_run(now=now)
    return begin_run(run=Run.objects.select_related("host").get(pk=run_id), worker="worker", now=now)


def record(run: Run, path: str, body: bytes, **changes: Any) -> None:
    step = make_step(url=f"{run.host.base_url}{path}", body=body, **changes)
    record_step(run_id=run.pk, fence=run.fence, step=step, now=timezone.now())
