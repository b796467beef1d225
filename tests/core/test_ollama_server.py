"""The pool against a scripted Ollama: its calls end, its troubles have names, and its servers rest."""

from __future__ import annotations

import base64
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lealife.core.gateway import ChatReply, ModelUnavailable, OllamaPool
from lealife.core.ollama_server import REST_MAX_S, OllamaServer
from lealife.core.urgency import Urgency
from tests.core.scripted_ollama import BASE, REFUSALS, Scripted, run_scripted

TAG = "lealife-controller:1"
PICK = {"type": "object", "properties": {"pick": {"type": "integer", "enum": [1, 2]}}, "required": ["pick"]}


@pytest.fixture
def server() -> Iterator[Scripted]:
    with run_scripted(tags={BASE: "base", TAG: "one"}) as running:
        yield running


def ask(pool: OllamaPool, *, schema: dict[str, Any] | None = None, urgency: Urgency = Urgency.PERSON) -> ChatReply:
    messages = [{"role": "user", "content": "Choose."}]
    return pool.chat(tag=TAG, messages=messages, schema=schema, max_tokens=16, num_ctx=512, seed=0, urgency=urgency)


def test_each_call_says_how_urgent_it_is(server: Scripted) -> None:
    pool = OllamaPool(hosts=[server.address])
    for urgency in Urgency:
        ask(pool, urgency=urgency)
    assert server.chat_priorities == ["u=3", "u=5", "u=7"]


@pytest.mark.parametrize("mood", [*REFUSALS, "breaks off", "never ends", "drips", "hangs"])
def test_a_chat_that_brings_no_answer_is_unavailable_and_names_the_server(server: Scripted, mood: str) -> None:
    server.mood = mood
    began = time.monotonic()
    with pytest.raises(ModelUnavailable, match=server.address):
        ask(OllamaPool(hosts=[server.address], deadline_s=1.0))
    assert time.monotonic() - began < 8


def test_a_server_that_stops_in_the_middle_of_a_long_call_is_found_by_a_look(server: Scripted) -> None:
    server.mood = "hangs"
    pool = OllamaPool(hosts=[server.address], deadline_s=120)
    pool._servers[0]._thinking[TAG] = ("one", False)
    began = time.monotonic()
    with pytest.raises(ModelUnavailable, match="it stopped answering"):
        ask(pool)
    assert time.monotonic() - began < 10


def test_a_slow_answer_of_a_server_that_is_well_is_waited_for(server: Scripted, monkeypatch) -> None:
    monkeypatch.setattr("lealife.core.bounded_transport.LOOK_AFTER_S", 0.2)
    server.waits_s = 1.0
    assert ask(OllamaPool(hosts=[server.address])).text


def test_headers_that_drip_end_at_the_deadline_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ended = threading.Event()

        def drip() -> None:
            while not ended.is_set():
                connection, _ = listening.accept()
                threading.Thread(target=send_slowly, args=(connection,), daemon=True).start()

        def send_slowly(connection: socket.socket) -> None:
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                try:
                    while not ended.wait(0.05):
                        connection.sendall(b"x")
                except OSError:
                    return

        threading.Thread(target=drip, daemon=True).start()
        pool = OllamaPool(hosts=[f"http://127.0.0.1:{listening.getsockname()[1]}"], deadline_s=1)
        began = time.monotonic()
        with pytest.raises(ModelUnavailable):
            ask(pool)
        ended.set()
        assert time.monotonic() - began < 8
        with socket.create_connection(listening.getsockname()):
            pass


def test_absurd_counts_and_missing_digests_cost_no_answer(server: Scripted) -> None:
    server.says = {
        "eval_count": 2**70,
        "prompt_eval_count": -5,
        "digest": None,
        "created_at": 12,
        "total_duration": "x",
    }
    reply = ask(OllamaPool(hosts=[server.address]))
    assert (reply.text, reply.completion_tokens, reply.prompt_tokens) == (
        "Roses are pruned in late winter.", 10_000_000, 0,
    )  # fmt: skip
    assert reply.digest == "one"


def test_a_structured_reply_ends_at_its_brace(server: Scripted) -> None:
    server.says = {"message": {"role": "assistant", "content": '{"pick": 2'}}
    pool = OllamaPool(hosts=[server.address])
    assert ask(pool, schema=PICK).text == '{"pick": 2}'
    assert server.chats[-1]["options"]["stop"] == ["}"]
    ask(pool)
    assert "stop" not in server.chats[-1]["options"]


def test_a_model_that_thinks_unasked_is_asked_again_without(server: Scripted) -> None:
    """Its capabilities do not say so; its answers do."""
    server.mood = "thinks"
    pool = OllamaPool(hosts=[server.address])
    assert [ask(pool, schema=PICK).text for _ in range(2)] == ['{"pick": 1}'] * 2
    assert [chat.get("think") for chat in server.chats] == [None, False, False]


def test_a_model_that_only_thinks_serves_nothing(server: Scripted) -> None:
    server.says = {"message": {"role": "assistant", "content": "", "thinking": "Hm. " * 9}, "done_reason": "length"}
    with pytest.raises(ModelUnavailable, match="only thinks"):
        ask(OllamaPool(hosts=[server.address]))
    assert server.chats[-1]["options"]["num_predict"] > 1000


def test_threads_and_residence_are_sent_when_they_are_set(server: Scripted) -> None:
    ask(OllamaPool(hosts=[server.address], num_thread=1, keep_alive="30m"))
    assert (server.chats[-1]["options"]["num_thread"], server.chats[-1]["keep_alive"]) == (1, "30m")
    ask(OllamaPool(hosts=[server.address]))
    assert "num_thread" not in server.chats[-1]["options"] and "keep_alive" not in server.chats[-1]


def test_a_password_is_sent_and_never_shown(server: Scripted) -> None:
    pool = OllamaPool(hosts=[server.address.replace("//", "//ada:secret@")])
    assert ask(pool).server == server.address
    assert server.logins[-1] == "Basic " + base64.b64encode(b"ada:secret").decode()
    server.mood = "crashes"
    with pytest.raises(ModelUnavailable) as failed:
        ask(pool)
    assert "secret" not in str(failed.value) and "secret" not in str(pool.hosts)


def test_a_compressed_answer_is_refused(server: Scripted) -> None:
    server.encoding = "gzip"
    with pytest.raises(ModelUnavailable, match="compressed"):
        ask(OllamaPool(hosts=[server.address]))


def test_a_server_that_failed_rests_longer_each_time(server: Scripted) -> None:
    one = OllamaServer(server.address, deadline_s=1)
    rests = []
    for _ in range(8):
        one._note_failure(TAG)
        rests.append(round(one._rests[TAG].until - time.monotonic(), 1))
    assert rests == sorted(rests) and rests[0] <= 5 and rests[-1] <= REST_MAX_S
    assert one.is_resting(TAG) and not one.is_resting("another")


def test_a_server_that_hung_is_looked_at_before_it_is_sent_a_call(server: Scripted) -> None:
    pool = OllamaPool(hosts=[server.address], deadline_s=1)
    server.mood = "hangs"
    for _ in range(2):
        with pytest.raises(ModelUnavailable):
            ask(pool)
    asked = len([path for path, _ in server.asked if path == "/api/chat"])
    with pytest.raises(ModelUnavailable, match="still does not answer"):
        ask(pool)
    assert len([path for path, _ in server.asked if path == "/api/chat"]) == asked
    server.mood = "well"
    assert ask(pool).text


def test_a_model_that_crashes_rests_alone(server: Scripted) -> None:
    server.mood = "crashes"
    pool = OllamaPool(hosts=[server.address])
    with pytest.raises(ModelUnavailable, match="terminated"):
        ask(pool)
    assert pool._servers[0].is_resting(TAG) and not pool._servers[0].is_resting("lealife-task:1")


def test_a_base_that_was_never_pulled_is_named_with_the_command(server: Scripted) -> None:
    with pytest.raises(Exception, match="ollama pull Library/Tiny:1b"):
        OllamaPool(hosts=[server.address]).create_tag(tag="x:1", base="Library/Tiny:1b")
    assert OllamaPool(hosts=[server.address]).create_tag(tag="x:1", base="Library/SmolLM2:135M")


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b"[" * 100_000, "it sent something else"),
        (200, b"null", "it sent something else"),
        (200, b"<html>Please log in.</html>", "its answer is incomplete or not an answer"),
        (200, b'{"error": "out of memory"}', "out of memory"),
        (500, b'["odd"]', "it sent something else"),
        (500, b"[" * 100_000, "it sent something else"),
        (500, b"", "failed with status 500: Internal Server Error."),
        (302, b"", "refused: Found."),
    ],
)
def test_a_body_that_no_ollama_sends_is_unavailable(server: Scripted, status: int, body: bytes, said: str) -> None:
    server.mood, server.body = "says this", (status, body)
    with pytest.raises(ModelUnavailable, match=said):
        ask(OllamaPool(hosts=[server.address]))


@pytest.mark.parametrize("skills", [5, "none", {"a": 1}, None])
def test_capabilities_of_another_shape_cost_no_answer(server: Scripted, skills: Any) -> None:
    server.held[TAG] = {"capabilities": skills}
    assert ask(OllamaPool(hosts=[server.address])).text
