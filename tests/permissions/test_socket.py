"""The WebSocket: every message × every caller, and from where it may be opened."""

from __future__ import annotations

import inspect
import json
import re

import pytest
from asgiref.sync import async_to_sync
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User

from lealife.dashboard.live.consumer import REFUSED, LiveConsumer
from lealife.dashboard.live.origin import SameOrigin, is_allowed_origin
from tests.permissions.conftest import make_user
from tests.permissions.table import CALLERS, SOCKET_MESSAGES, may
from tests.permissions.test_pages import OFFERS

BUTTON = "/training/actions/start/"


async def watch(user: User) -> dict[str, str] | int:
    """The training page's fragments as the socket sends them to this user; the close code when it is refused."""
    socket = WebsocketCommunicator(LiveConsumer.as_asgi(), "/ws/live/")
    socket.scope["user"] = user
    assert (await socket.connect())[0]
    await socket.send_json_to({"page": "training", "have": {}})
    answer = await socket.receive_output(timeout=20)
    if answer["type"] == "websocket.close":
        return int(answer["code"])
    await socket.disconnect()
    return {name: part["html"] for name, part in json.loads(answer["text"])["fragments"].items()}


def test_every_message_has_its_row() -> None:
    source = inspect.getsource(LiveConsumer)
    assert set(re.findall(r'content(?:\.get\(|\[)"(\w+)"', source)) == set(SOCKET_MESSAGES)


@pytest.mark.django_db(transaction=True)
def test_each_caller_is_sent_the_page_with_the_buttons_that_are_theirs(
    quiet_publisher: None, users: dict[str, User]
) -> None:
    async def watch_all() -> dict[str, dict[str, str] | int]:
        return {caller: await watch(users[caller]) for caller in CALLERS}

    wrong = []
    for caller, fragments in async_to_sync(watch_all)().items():
        assert isinstance(fragments, dict)
        html = "".join(fragments.values())
        assert "<!--" not in html
        expected = may(caller, "training.start_training")
        offered = {needed for needed, offers in OFFERS.items() if any(offer in html for offer in offers)}
        if (BUTTON in html) != expected or not (caller == "superuser" or offered <= {caller}):
            wrong.append((caller, offered))
    assert wrong == []


@pytest.mark.django_db(transaction=True)
def test_a_user_who_is_not_staff_is_closed_out_whatever_they_hold(quiet_publisher: None) -> None:
    visitor = make_user("visitor", "training.start_training", is_staff=False)
    assert async_to_sync(watch)(visitor) == REFUSED


# From where: scheme, name and port of the page must be those of the socket's own address.


def make_scope(origin: str | None, *, host: str = "localhost:8000", scheme: str = "ws", **headers: str) -> dict:
    """What the server says of a request to open a socket."""
    named = {"host": host, **({} if origin is None else {"origin": origin}), **headers}
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in named.items()]
    return {"type": "websocket", "scheme": scheme, "path": "/ws/live/", "headers": pairs}


@pytest.mark.parametrize(
    ("origin", "host", "scheme", "allowed"),
    [
        ("http://localhost:8000", "localhost:8000", "ws", True),
        ("http://LOCALHOST:8000", "localhost:8000", "ws", True),
        ("http://localhost", "localhost", "ws", True),
        ("http://localhost:80", "localhost", "ws", True),
        ("http://[::1]:8000", "[::1]:8000", "ws", True),
        ("https://localhost", "localhost", "wss", True),
        # Another port of the same name is another site.
        ("http://localhost:9000", "localhost:8000", "ws", False),
        ("http://localhost", "localhost:8000", "ws", False),
        ("http://127.0.0.1:8000", "localhost:8000", "ws", False),
        ("https://localhost:8000", "localhost:8000", "ws", False),
        ("http://localhost", "localhost", "wss", False),
        ("http://evil.example", "localhost:8000", "ws", False),
        ("http://evil.example", "evil.example", "ws", False),
        ("http://localhost:8000.evil.example", "localhost:8000", "ws", False),
        ("http://localhost:port", "localhost:8000", "ws", False),
        ("null", "localhost:8000", "ws", False),
        ("file://", "localhost:8000", "ws", False),
        ("", "localhost:8000", "ws", False),
        (None, "localhost:8000", "ws", False),
    ],
)
def test_a_socket_is_opened_by_pages_of_its_own_site(origin, host: str, scheme: str, allowed: bool) -> None:
    assert is_allowed_origin(make_scope(origin, host=host, scheme=scheme)) == allowed


def test_a_proxy_that_is_believed_says_that_the_page_came_over_tls(settings) -> None:
    scope = make_scope("https://localhost", host="localhost", x_forwarded_proto="https")
    assert not is_allowed_origin(scope)
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    assert is_allowed_origin(scope)
    assert not is_allowed_origin(make_scope("http://localhost", host="localhost", x_forwarded_proto="https"))


def test_trusted_origins_are_admitted_behind_a_proxy(settings) -> None:
    settings.ALLOWED_HOSTS = ["inner"]
    settings.CSRF_TRUSTED_ORIGINS = ["https://lea.example", "https://*.lea.example:8443"]
    admitted = {
        origin
        for origin in (
            "https://lea.example",
            "https://lea.example:8443",
            "http://lea.example",
            "https://one.lea.example:8443",
            "https://one.lea.example",
            "https://evillea.example:8443",
        )
        if is_allowed_origin(make_scope(origin, host="inner"))
    }
    assert admitted == {"https://lea.example", "https://one.lea.example:8443", "https://lea.example:8443"}


def test_a_socket_from_another_port_is_refused_before_anything_is_read() -> None:
    async def never(scope, receive, send) -> None:
        raise AssertionError("the page of another port came through")

    async def story() -> bool:
        socket = WebsocketCommunicator(SameOrigin(never), "/ws/live/")
        socket.scope["headers"] = make_scope("http://localhost:9000")["headers"]
        return (await socket.connect())[0]

    assert async_to_sync(story)() is False
