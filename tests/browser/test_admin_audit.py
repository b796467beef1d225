"""Admin as axe-core sees it, and whether anything is wider than the page: light and dark, on a desk and on a phone."""

from __future__ import annotations

import pytest

from tests.admin.uploads import write_csv
from tests.browser.test_audit import AXE, FIND_CUT, SCHEMES, WIDTHS
from training.models import Host, Run

pytestmark = pytest.mark.browser
# axe-core does not count the alternative text of a picture as a label, and Django labels its search with one.
RUN_AXE = """async () => (await axe.run({rules: {"label-title-only": {enabled: false}}})).violations.map(
  (found) => `${found.id}: ${found.help}: ${found.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ")}`
)"""
# Django's colours change slowly, and are no contrast while they do.
CHANGED_MS = 400


def audit_admin(page, name: str) -> list[str]:
    found = []
    page.evaluate(AXE)
    # Each scheme in one width: the pages are Django's own.
    for scheme, width in zip(SCHEMES, WIDTHS, strict=True):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(CHANGED_MS)
        problems = [*page.evaluate(RUN_AXE), *page.evaluate(FIND_CUT)]
        found += [f"{name}, {scheme}, {width} px: {problem}" for problem in problems]
    return found


def test_axe_finds_nothing_in_admin(sign_in, web, busy: Run) -> None:
    host = Host.objects.order_by("pk").first()
    admin = f"{web.address}/admin"
    page, found = sign_in(path="/"), []
    for name, path in {
        "index": "/",
        "list": "/training/run/",
        "searched": "/training/trainingsource/?q=page",
        "host": f"/training/host/{host.pk}/change/",
        "added": "/training/host/add/",
        "recall": f"/learning/memoryitem/recalled/?host={host.pk}&question=What+does+VACUUM+do%3F",
        "history": f"/training/host/{host.pk}/history/",
    }.items():
        assert page.goto(f"{admin}{path}").status == 200, name
        found += audit_admin(page, name)
    page.goto(f"{admin}/training/host/")
    page.check(f"input.action-select[value='{host.pk}']")
    page.select_option("select[name=action]", value="archive_selected")
    page.click("button[name=index]")
    found += audit_admin(page, "confirmation")
    page.goto(f"{admin}/training/trainingsource/import/")
    sheet = write_csv(
        {"title": "Queues", "host": host.name, "prompt": "Which page explains queues?", "check_spec": "{}"},
        {"title": "Bad", "host": "missing", "prompt": "", "check_spec": "no JSON"},
    )
    page.set_input_files("input[type=file]", {"name": "sources.csv", "mimeType": "text/csv", "buffer": sheet})
    page.select_option("select[name=format]", label="csv")
    page.click("input[type=submit]")
    found += audit_admin(page, "preview")
    assert "\n".join(found) == ""
