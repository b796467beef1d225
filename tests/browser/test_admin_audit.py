"""Admin as axe-core sees it, and whether anything is wider than the page: light and dark, on a desk and on a phone."""

from __future__ import annotations

import pytest

from tests.admin.uploads import write_csv
from tests.browser.test_audit import AXE, FIND_CUT, RUN_AXE, SCHEMES, WIDTHS
from training.models import Host, Run

pytestmark = pytest.mark.browser
# axe-core does not count the alternative text of a picture as a label, and Django labels its search with one.
RUN_AXE_ON_ADMIN = RUN_AXE.replace("axe.run()", 'axe.run({exclude: [["#searchbar"]]})')
# Django fades its colours, and their contrast is wrong until the fade ends.
FADED_MS = 400


def audit_admin(page, name: str) -> list[str]:
    found = []
    page.evaluate(AXE)
    # Each scheme in one width: the pages are Django's own.
    for scheme, width in zip(SCHEMES, WIDTHS, strict=True):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(FADED_MS)
        problems = [*page.evaluate(RUN_AXE_ON_ADMIN), *page.evaluate(FIND_CUT)]
        found += [f"{name}, {scheme}, {width} px: {problem}" for problem in problems]
    return found


def test_axe_finds_nothing_in_admin(sign_in, web, busy: Run) -> None:
    host = Host.objects.order_by("pk").first()
    admin = f"{web.address}/admin"
    page, found = sign_in(path="/"), []
    for name, path in {
        "index": "/",
        "app": "/training/",
        "list": "/training/run/",
        "searched": "/training/trainingsource/?q=page",
        "host": f"/training/host/{host.pk}/change/",
        "added": "/training/host/add/",
        "recall": f"/learning/memoryitem/recalled/?host={host.pk}&question=What+does+VACUUM+do%3F",
    }.items():
        assert page.goto(f"{admin}{path}").status == 200, name
        found += audit_admin(page, name)
    page.goto(f"{admin}/training/host/")
    page.check(f"input.action-select[value='{host.pk}']")
    page.select_option("select[name=action]", value="archive_selected")
    page.click("button[name=index]")
    page.wait_for_selector("#reason")
    found += audit_admin(page, "confirmation")
    task = {"title": "Queues", "host": host.name, "prompt": "Which page explains queues?", "check_spec": "{}"}
    upload(page, f"{admin}/training/trainingsource/import/", write_csv(task))
    page.wait_for_selector("table.import-preview")
    found += audit_admin(page, "preview")
    upload(page, f"{admin}/training/trainingsource/import/", write_csv(task, task | {"host": "missing"}))
    page.wait_for_selector("ul.errorlist")
    found += audit_admin(page, "refused import")
    assert "\n".join(found) == ""


def upload(page, address: str, sheet: bytes) -> None:
    page.goto(address)
    page.set_input_files("input[type=file]", {"name": "sources.csv", "mimeType": "text/csv", "buffer": sheet})
    page.select_option("select[name=format]", label="csv")
    page.click("input[type=submit]")
