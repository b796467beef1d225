"""Every page as axe-core and the content security policy see it, light and dark, on a desk and on a phone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import axe_playwright_python
import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from tests.browser.conftest import PASSWORD
from tests.browser.pages import list_pages
from tests.browser.rows import World
from tests.browser.world import make_answers, make_tag
from training.models import Host, Run

pytestmark = pytest.mark.browser
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
SCHEMES, WIDTHS = ("light", "dark"), (1440, 390)
RUN_AXE = """async () => (await axe.run()).violations.map(
  (found) => `${found.id}: ${found.help}: ${found.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ")}`
)"""
# What is wider than its place: one would have to know that it scrolls.
FIND_CUT = """() => [document.documentElement, ...document.querySelectorAll(".scroll")]
  .filter((one) => one.scrollWidth > one.clientWidth + 1)
  .map((one) => `${one.getAttribute("aria-label") || one.nodeName}: ${one.scrollWidth} px in ${one.clientWidth}`)
"""
COUNT_VIOLATIONS = """
  window.refused = [];
  document.addEventListener("securitypolicyviolation", (event) => {
    window.refused.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
  });
"""


def audit(page, address: str) -> list[str]:
    found = []
    for one in list_pages():
        if one.signed_in or one.name == "login":
            answer = page.goto(f"{address}{one.path}")
            if one.name == "login" and page.url.rstrip("/") == address:
                continue  # signed in already: it leads on to the dashboard
            assert answer.status == one.status
            found += audit_one(page, one.name)
    return found


def audit_one(page, name: str) -> list[str]:
    found = []
    page.evaluate(AXE)
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            found += [f"{name}, {scheme}, {width} px: {problem}" for problem in page.evaluate(RUN_AXE)]
            found += [f"{name}, {scheme}, {width} px: {cut}" for cut in page.evaluate(FIND_CUT)]
    return found


def test_axe_finds_nothing_on_a_busy_system(sign_in, web, busy: Run) -> None:
    assert audit(sign_in(path="/"), web.address) == []


def test_axe_finds_nothing_on_a_run_in_any_state_of_its_answer(sign_in, web) -> None:
    host = Host.objects.create(name="manual", base_url="https://docs.example/")
    controller, task = (make_tag(role, 0, "active") for role in ("controller", "task"))
    make_answers(
        World(now=timezone.now(), chance=random.Random(1), hosts=[host], controllers=[controller] * 3, task_tag=task)
    )
    page, found = sign_in(path="/"), []
    for run in Run.objects.all():
        page.goto(f"{web.address}/runs/{run.pk}/")
        for closed in page.locator("main summary:visible").all():
            closed.click()
            page.keyboard.press("Escape")
        found += audit_one(page, run.answer_state)
    assert Run.objects.values("answer_state").distinct().count() == len(Run.AnswerState)
    assert found == []


@pytest.mark.soak  # the fast suite looks at the busy one
def test_axe_finds_nothing_on_an_empty_system(sign_in, web) -> None:
    page = sign_in(path="/")
    assert audit(page, web.address) == []


def test_axe_finds_nothing_where_one_signs_in(chromium, web) -> None:
    page = chromium.new_page()
    page.goto(f"{web.address}/login/")
    assert audit_one(page, "login") == []
    page.fill("#id_username", "nobody")
    page.fill("#id_password", "wrong")
    page.click("main button")
    assert audit_one(page, "login refused") == []


def test_a_walk_through_every_page_breaks_no_content_security_policy(sign_in, web, busy: Run) -> None:
    complaints: list[str] = []
    page = sign_in(path="/")
    page.add_init_script(COUNT_VIOLATIONS)
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    for one in list_pages():
        page.goto(f"{web.address}{one.path}")
        if one.status != 200:
            # Chromium itself reports the status of a page that is missing.
            complaints = [said for said in complaints if "404" not in said]
        for closed in page.locator("main summary:visible").all():
            closed.click()
            # An open hint lies over what comes next.
            page.keyboard.press("Escape")
        if page.locator("[data-live-word]").count():
            page.wait_for_function("() => document.querySelector('[data-live-word]').textContent === 'Live'")
        complaints += page.evaluate("window.refused")
    page.goto(f"{web.address}/training/")
    page.select_option("#id_campaign_lock", "True")
    page.wait_for_function("() => document.querySelector('#pending-changes').textContent.includes('Draft against')")
    page.click("button:has-text('Apply Settings')")
    page.wait_for_selector(".note")
    page.click("button:has-text('Stop Training')")
    page.wait_for_selector(".note")
    page.fill("#id_title", "From a walk")
    page.fill("#id_prompt", "Which page says so?")
    page.click("button:has-text('Queue one run')")
    page.wait_for_load_state()
    complaints += page.evaluate("window.refused")
    assert complaints == []


def test_axe_finds_nothing_on_the_pages_of_errors(sign_in, chromium, web) -> None:
    page = sign_in(path="/")
    too_many = "&".join(["status=done"] * 1_100)
    assert page.goto(f"{web.address}/runs/?{too_many}").status == 400
    found = audit_one(page, "400")
    with table_missing("promotion_modeltag"):
        assert page.goto(f"{web.address}/").status == 500
        found += audit_one(page, "500")
    User.objects.create_user("guest", password=PASSWORD)
    other = chromium.new_context().new_page()
    other.goto(f"{web.address}/login/?next=/")
    other.fill("#id_username", "guest")
    other.fill("#id_password", PASSWORD)
    other.click("main button")
    answer = other.goto(f"{web.address}/")
    assert answer.status == 403
    assert found + audit_one(other, "403") == []


@contextmanager
def table_missing(name: str) -> Iterator[None]:
    """While it lasts, whatever reads the table breaks."""
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {name} RENAME TO set_aside")
        try:
            yield
        finally:
            cursor.execute(f"ALTER TABLE set_aside RENAME TO {name}")
