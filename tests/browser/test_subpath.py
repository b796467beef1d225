"""The whole product below a subpath, as behind a proxy that serves other things too."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from django.db import connection

from tests.browser.conftest import PASSWORD
from tests.browser.pages import list_pages
from tests.browser.web import Web
from training.models import Run

pytestmark = pytest.mark.browser
ROOT = "/lea"
READ_ADDRESSES = """() => ["href", "src", "action", "data-socket", "data-poll", "data-check"]
  .flatMap((name) => [...document.querySelectorAll(`[${name}]`)].map((one) => one.getAttribute(name)))
  .filter((address) => address.startsWith("/"))
"""


@pytest.fixture(
    scope="module",
    params=[False, pytest.param(True, marks=pytest.mark.soak)],
    ids=["--root-path", "FORCE_SCRIPT_NAME"],
)
def shared_mounted(django_db_setup: None, request: pytest.FixtureRequest) -> Iterator[Web]:
    """A web process below `/lea`, started once."""
    web = Web(database=connection.settings_dict["NAME"], root=ROOT, forced=request.param)
    web.start()
    yield web
    web.stop()


@pytest.fixture
def mounted(transactional_db: None, shared_mounted: Web) -> Web:
    """The web process below `/lea`, on the tests' database."""
    return shared_mounted


def test_everything_is_found_below_the_subpath(chromium, mounted: Web, busy: Run) -> None:
    User.objects.create_superuser("ada", password=PASSWORD)
    context = chromium.new_context()
    page = context.new_page()
    asked: list[tuple[int, str]] = []
    page.on("response", lambda answer: asked.append((answer.status, answer.url)))
    sockets: list[str] = []
    page.on("websocket", lambda socket: sockets.append(urlsplit(socket.url).path))
    page.goto(f"{mounted.address}/training/")
    page.fill("#id_username", "ada")
    page.fill("#id_password", PASSWORD)
    page.click("main button")
    page.wait_for_url(f"**{ROOT}/training/")
    for one in list_pages():
        page.goto(f"{mounted.address}{one.path}")
        outside = [address for address in page.evaluate(READ_ADDRESSES) if not address.startswith(f"{ROOT}/")]
        assert outside == [], one.name
    page.goto(f"{mounted.address}/admin/")
    page.goto(f"{mounted.address}/api/docs")
    page.wait_for_selector(".opblock")
    page.goto(f"{mounted.address}/favicon.ico")

    assert {cookie["path"] for cookie in context.cookies()} == {f"{ROOT}/"}
    assert set(sockets) == {f"{ROOT}/ws/live/"}
    assert [url for _, url in asked if not urlsplit(url).path.startswith(f"{ROOT}/")] == []
    assert [url for status, url in asked if status >= 400 and "/nowhere/" not in url] == []


def test_a_live_change_links_below_the_subpath(chromium, mounted: Web, busy: Run) -> None:
    User.objects.create_superuser("ada", password=PASSWORD)
    context = chromium.new_context()
    watching = context.new_page()
    pushed: list[str] = []
    watching.on("websocket", lambda socket: socket.on("framereceived", lambda text: pushed.append(str(text))))
    watching.goto(f"{mounted.address}/login/?next={ROOT}/training/")
    watching.fill("#id_username", "ada")
    watching.fill("#id_password", PASSWORD)
    watching.click("main button")
    watching.wait_for_function("() => document.querySelector('[data-live-word]').textContent === 'Live'")
    pressing = context.new_page()
    pressing.goto(f"{mounted.address}/training/")
    Run.objects.filter(pk=busy.pk).update(prompt="Asked in another way")
    pressing.click("#controls >> text=Stop Training")
    pressing.wait_for_selector(".note")
    assert urlsplit(pressing.url).path == f"{ROOT}/training/"
    watching.wait_for_function("() => document.querySelector('#state').textContent.includes('enabled false')")
    assert any("href" in text for text in pushed)
    assert [text for text in pushed if 'href=\\"/' in text.replace(f'href=\\"{ROOT}/', "")] == []


def test_a_page_without_its_socket_polls_below_the_subpath(chromium, mounted: Web) -> None:
    User.objects.create_user("ada", password=PASSWORD, is_staff=True)
    page = chromium.new_page()
    page.add_init_script("window.WebSocket = class { close() {} }")
    page.goto(f"{mounted.address}/login/?next={ROOT}/training/")
    page.fill("#id_username", "ada")
    page.fill("#id_password", PASSWORD)
    page.click("main button")
    with page.expect_response(f"**{ROOT}/live/training/**", timeout=20_000) as polled:
        pass
    assert polled.value.status in {200, 304}
