"""Behind a load balancer and a proxy: probes without TLS and by IP address, and a subpath kept or cut off."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.test import Client, override_settings
from django.urls import reverse, set_script_prefix

from lealife.core.environment import read_subpath
from lealife.subpath import Mount

BEHIND_TLS = {"SECURE_SSL_REDIRECT": True, "ALLOWED_HOSTS": ["lea.example"]}


@pytest.fixture(autouse=True)
def _at_the_root_again() -> Any:
    yield
    set_script_prefix("/")


def visit(path: str, *, root: str = "", kind: str = "http") -> tuple[str, str, str]:
    """Path and subpath as the application behind the mount sees them, and what a reversed address looks like."""
    seen: list[tuple[str, str, str]] = []

    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
        seen.append((scope["path"], scope["root_path"], reverse("training")))

    async_to_sync(Mount(application))({"type": kind, "path": path, "root_path": root}, None, None)
    return seen[0]


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("path", ["/lea/runs/", "/runs/"])
def test_a_proxy_may_keep_the_subpath_or_cut_it_off(kind: str, path: str) -> None:
    assert visit(path, root="/lea", kind=kind) == ("/lea/runs/", "/lea", "/lea/training/")


def test_a_name_that_only_begins_like_the_subpath_is_below_it() -> None:
    assert visit("/learned/", root="/lea")[0] == "/lea/learned/"
    assert visit("/lea", root="/lea/")[:2] == ("/lea", "/lea")
    assert visit("/runs/") == ("/runs/", "", "/training/")


def test_the_setting_wins_over_the_server_option() -> None:
    with override_settings(FORCE_SCRIPT_NAME="/set"):
        assert visit("/runs/", root="/lea") == ("/set/runs/", "/set", "/set/training/")


@pytest.mark.parametrize(("value", "path"), [("/lea", "/lea"), ("lea/", "/lea"), ("/", None), ("", None)])
def test_a_subpath_is_read_however_it_is_written(monkeypatch: pytest.MonkeyPatch, value: str, path: str | None) -> None:
    monkeypatch.setenv("FORCE_SCRIPT_NAME", value)
    assert read_subpath("FORCE_SCRIPT_NAME") == path


@pytest.mark.django_db
def test_cookies_icon_and_redirects_are_below_the_subpath() -> None:
    User.objects.create_user("ada", password="a long enough one", is_staff=True)
    set_script_prefix("/lea/")
    client = Client()
    answer = client.post("/login/", {"username": "ada", "password": "a long enough one"})
    assert (answer.status_code, answer["Location"]) == (302, "/lea/")
    assert {cookie["path"] for cookie in answer.cookies.values()} == {"/lea/"}
    assert client.get("/favicon.ico")["Location"] == "/lea/static/favicon.svg"
    assert client.get("//training/", PATH_INFO="//training/")["Location"] == "/lea/training/"


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/healthz/", "/readyz/"])
@pytest.mark.parametrize("host", ["10.0.0.5:8000", "[fd00::1]:8000", "lea.example", "not a host"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_probe_is_answered_whatever_its_host_and_scheme(path: str, host: str, scheme: str) -> None:
    with override_settings(**BEHIND_TLS):
        answer = Client().get(path, headers={"host": host}, secure=scheme == "https")
        assert (answer.status_code, answer.json()["status"]) == (200, "alive" if "healthz" in path else "ready")
        assert Client().head(path, headers={"host": host}).status_code == 200
        assert Client().post(path, headers={"host": host}).status_code == 405


@pytest.mark.django_db
def test_pages_still_want_tls_and_a_known_host() -> None:
    with override_settings(**BEHIND_TLS):
        assert Client().get("/training/", headers={"host": "lea.example"}).status_code == 301
        assert Client().get("/training/", headers={"host": "10.0.0.5"}, secure=True).status_code == 400


def test_alive_asks_no_database() -> None:
    # Without the django_db mark any query fails the test.
    assert Client().get("/healthz", headers={"host": "10.0.0.5"}).status_code == 200
