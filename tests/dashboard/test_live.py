from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from channels.db import database_sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import AnonymousUser, User
from django.test import Client

from lealife.asgi import application
from lealife.core.actors import command_line
from lealife.dashboard.live.consumer import ACK_EVERY, LiveConsumer
from lealife.dashboard.live.mailbox import Fragment, Mailbox, Push
from lealife.dashboard.live.publisher import publisher
from lealife.dashboard.live.snapshot import Snapshot, take_snapshot
from training.coordinator import start_training
from training.models import Host

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FAR = timedelta(hours=1)


def open_socket(user: Any) -> WebsocketCommunicator:
    socket = WebsocketCommunicator(LiveConsumer.as_asgi(), "/ws/live/")
    socket.scope["user"] = user
    return socket


def run(story: Coroutine[Any, Any, None]) -> None:
    async def play() -> None:
        await story

    async_to_sync(play)()


async def hear(socket: WebsocketCommunicator, panel: str, words: str) -> dict[str, Any]:
    """The first message whose fragment of `panel` holds `words`."""
    for _ in range(40):
        message = await socket.receive_json_from(timeout=10)
        if message["ack"]:
            await socket.send_json_to({"ack": message["sequence"]})
        if words in message["fragments"].get(panel, {}).get("html", ""):
            return message
    raise AssertionError(f"never heard {words!r}")


@pytest.mark.django_db(transaction=True)
def test_a_committed_change_is_pushed_as_the_fragments_that_changed(quiet_publisher: None, staff: User) -> None:
    async def story() -> None:
        socket = open_socket(staff)
        assert (await socket.connect())[0]
        await socket.send_json_to({"page": "training", "have": {}})
        first = await hear(socket, "state", "enabled false")
        assert first["since"] is None
        assert set(first["fragments"]) >= {"headline", "proof", "lanes", "relay", "source", "cycles", "controls"}
        await database_sync_to_async(start_training)(by=command_line("ada"), origin="page")
        pushed = await hear(socket, "state", "enabled true")
        assert pushed["sequence"] > first["sequence"]
        assert "cycles" not in pushed["fragments"]
        await socket.disconnect()

    run(story())


@pytest.mark.django_db(transaction=True)
def test_a_client_that_comes_back_gets_only_what_it_lacks(quiet_publisher: None, staff: User) -> None:
    async def story() -> None:
        socket = open_socket(staff)
        await socket.connect()
        await socket.send_json_to({"page": "training", "have": {}})
        first = await hear(socket, "proof", "Model Update Proof")
        have = {name: fragment["fingerprint"] for name, fragment in first["fragments"].items()}
        await socket.disconnect()
        again = open_socket(staff)
        await again.connect()
        await again.send_json_to({"page": "training", "have": {**have, "cycles": "old"}})
        message = await again.receive_json_from(timeout=10)
        assert "cycles" in message["fragments"]
        assert "pending" not in message["fragments"]
        await again.disconnect()

    run(story())


@pytest.mark.django_db(transaction=True)
def test_strangers_and_those_who_are_not_staff_are_closed_with_4403(staff: User) -> None:
    visitor = User.objects.create_user("visitor")

    async def story() -> None:
        for user in (AnonymousUser(), visitor):
            socket = open_socket(user)
            await socket.connect()
            assert (await socket.receive_output(timeout=5)) == {"type": "websocket.close", "code": 4403}

    run(story())


@pytest.mark.django_db(transaction=True)
def test_a_socket_of_another_origin_is_refused() -> None:
    async def story() -> None:
        headers = [(b"origin", b"http://evil.example"), (b"host", b"localhost")]
        socket = WebsocketCommunicator(application, "/ws/live/", headers=headers)
        assert not (await socket.connect())[0]

    run(story())


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"page": "nowhere", "have": {}}, 4404),
        ({"page": "run-999999", "have": {}}, 4404),
        ({"page": 3}, 4400),
        ([1], 4400),
        ("text", 4400),
    ],
)
def test_a_message_that_cannot_be_answered_closes_the_socket(
    quiet_publisher: None, staff: User, message: Any, code: int
) -> None:
    async def story() -> None:
        socket = open_socket(staff)
        await socket.connect()
        await socket.send_json_to(message)
        assert (await socket.receive_output(timeout=10))["code"] == code
        await socket.disconnect()

    run(story())


def make_push(sequence: int, *, after_s: int, **fragments: str) -> Push:
    dumped = {name: Fragment(name=name, fingerprint=html, html=html) for name, html in fragments.items()}
    return Push(sequence, NOW + timedelta(seconds=after_s), f"page-{sequence}", dumped)


def test_a_slow_socket_gets_the_newest_of_every_panel_in_one_message() -> None:
    async def story() -> None:
        mailbox = Mailbox(asyncio.get_running_loop())
        mailbox.put(make_push(1, after_s=1, state="running", cycles="first"))
        mailbox.put(make_push(2, after_s=2, state="stopped"))
        message = await mailbox.take()
        assert {fragment.name: fragment.html for fragment in message.fragments} == {
            "state": "stopped",
            "cycles": "first",
        }
        mailbox.put(make_push(3, after_s=3))
        mailbox.put(make_push(4, after_s=4, state="stopped"))
        later = await mailbox.take()
        assert (message.since, later.since, later.fragments) == (None, 2, ())

    run(story())


@pytest.mark.django_db(transaction=True)
def test_a_client_that_reads_nothing_is_sent_little_and_then_the_newest_state(
    quiet_publisher: None, staff: User
) -> None:
    async def story() -> None:
        socket = open_socket(staff)
        await socket.connect()
        await socket.send_json_to({"page": "training", "have": {}})
        await hear(socket, "state", "")
        (mailbox,) = publisher._mailboxes["training"]
        latest = publisher.read_snapshot("training")
        for number in range(50):
            push = replace(
                publisher.build_push(latest, have={}), generated_at=latest.generated_at + FAR, fingerprint="x"
            )
            mailbox.put(
                replace(push, fragments={"state": Fragment(name="state", fingerprint=f"{number}", html=f"<{number}>")})
            )
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        messages = []
        while not await socket.receive_nothing(timeout=0.3):
            messages.append(await socket.receive_json_from())
        assert 2 * ACK_EVERY - 1 <= len(messages) + 1 <= 2 * ACK_EVERY
        await socket.send_json_to({"ack": [message["sequence"] for message in messages if message["ack"]][-1]})
        final = await hear(socket, "state", "<49>")
        assert final["since"] == messages[-1]["sequence"]
        await socket.disconnect()

    run(story())


def test_an_older_look_never_replaces_a_newer_one() -> None:
    async def story() -> None:
        mailbox = Mailbox(asyncio.get_running_loop())
        mailbox.put(make_push(2, after_s=2, state="new"))
        mailbox.put(make_push(1, after_s=1, state="old", cycles="only here"))
        message = await mailbox.take()
        html = {fragment.name: fragment.html for fragment in message.fragments}
        assert html == {"state": "new", "cycles": "only here"}
        assert message.sequence == 2

    run(story())


def test_polling_sends_what_differs_and_then_304(browser: Client, host: Host) -> None:
    first = browser.get("/live/training/?have=")
    assert set(first.json()["fragments"]) >= {"headline", "state", "proof"}
    again = browser.get("/live/training/", headers={"If-None-Match": first["ETag"]})
    assert again.status_code == 304
    assert again["X-Generated-At"]
    have = ",".join(f"{name}:{part['fingerprint']}" for name, part in first.json()["fragments"].items())
    assert browser.get(f"/live/training/?have={have}").json()["fragments"] == {}


@pytest.mark.parametrize("written", ["W/{}", '"a", {}', 'W/"a", W/{}', "*"])
def test_polling_takes_weak_and_listed_etags(browser: Client, host: Host, written: str) -> None:
    first = browser.get("/live/training/?have=")
    again = browser.get("/live/training/", headers={"If-None-Match": written.format(first["ETag"])})
    assert (again.status_code, again["ETag"]) == (304, first["ETag"])
    assert again["X-Generated-At"]
    assert browser.get("/live/training/", headers={"If-None-Match": '"a", W/"b"'}).status_code == 200


def test_polling_an_unknown_page_is_not_found(browser: Client) -> None:
    for key in ("nowhere", "run-x", "run-12345678901234567890", "run-7"):
        assert browser.get(f"/live/{key}/").status_code == 404


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("ends", ["signed out", "password changed"])
def test_a_socket_ends_with_the_session_that_opened_it(
    quiet_publisher: None, staff: User, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    monkeypatch.setattr("lealife.dashboard.live.consumer.RECHECK_S", 0.0)
    client = Client()
    client.force_login(staff)
    cookie = f"sessionid={client.cookies['sessionid'].value}".encode()

    def end_session() -> None:
        if ends == "signed out":
            client.post("/logout/")
        else:
            staff.set_password("another long one")
            staff.save()

    async def story() -> None:
        headers = [(b"cookie", cookie), (b"origin", b"http://localhost"), (b"host", b"localhost")]
        socket = WebsocketCommunicator(application, "/ws/live/", headers=headers)
        assert (await socket.connect())[0]
        await socket.send_json_to({"page": "training", "have": {}})
        await hear(socket, "state", "enabled false")
        await database_sync_to_async(end_session)()
        await database_sync_to_async(start_training)(by=command_line("ada"), origin="page")
        while (output := await socket.receive_output(timeout=10))["type"] != "websocket.close":
            pass
        assert output["code"] == 4403
        await socket.disconnect()

    run(story())


@pytest.mark.django_db(transaction=True)
def test_a_page_that_cannot_be_built_does_not_end_the_others(
    quiet_publisher: None, staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken: list[str] = []

    def take(key: str, *, now: datetime) -> Snapshot:
        if key in broken:
            raise ValueError("rows that contradict each other")
        return take_snapshot(key, now=now)

    monkeypatch.setattr("lealife.dashboard.live.publisher.take_snapshot", take)

    async def story() -> None:
        pages = {page: open_socket(staff) for page in ("home", "training")}
        for page, socket in pages.items():
            await socket.connect()
            await socket.send_json_to({"page": page, "have": {}})
            await hear(socket, "state", "enabled false")
        broken.append("home")
        await database_sync_to_async(start_training)(by=command_line("ada"), origin="page")
        await hear(pages["training"], "state", "enabled true")
        broken.clear()
        await hear(pages["home"], "state", "enabled true")
        for socket in pages.values():
            await socket.disconnect()

    run(story())
