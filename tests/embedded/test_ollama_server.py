"""The embedded Ollama as a server: its refusals, its bounds, its start and its end."""

from __future__ import annotations

import json
import re
import socket
import threading
import time

import httpx
import ollama
import pytest

from lealife.embedded.ollama import occupancy
from lealife.embedded.ollama.exchange import read_urgency
from lealife.embedded.ollama.occupancy import LINGER_S, Admission, Foreground
from tests.embedded.ollama_process import ASK, BASE, EMBEDDER, NOT_PULLABLE, RunningOllama, run_ollama, start_ollama

LONG = {"num_predict": 400, "temperature": 0}


def test_root_says_that_ollama_is_running(http: httpx.Client) -> None:
    assert http.get("/").text == "Ollama is running"
    assert http.head("/").status_code == http.head("/api/version").status_code == 200
    assert re.match(r"\d+\.\d+\.\d+", http.get("/api/version").json()["version"])


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "error"),
    [
        ("POST", "/api/chat", {"model": "nope", "messages": ASK}, 404, "model 'nope' not found"),
        ("POST", "/api/generate", {"model": "nope", "prompt": "x"}, 404, "model 'nope' not found"),
        ("POST", "/api/show", {"model": "nope"}, 404, "model 'nope' not found"),
        ("POST", "/api/show", {}, 400, "model is required"),
        ("POST", "/api/copy", {"source": "nope", "destination": "x"}, 404, 'model "nope" not found'),
        ("POST", "/api/copy", {"source": BASE, "destination": "../x"}, 400, 'destination "../x" is invalid'),
        ("POST", "/api/create", {"model": "x"}, 400, "neither 'from' or 'files' was specified"),
        ("POST", "/api/create", {"model": "a b", "from": BASE}, 400, "invalid model name"),
        ("POST", "/api/create", {"model": "x", "from": "n", "stream": False}, 500, NOT_PULLABLE),
        ("POST", "/api/embed", {"model": BASE, "input": 7}, 400, "invalid input type"),
        ("POST", "/api/chat", {"model": BASE, "keep_alive": "soon"}, 400, 'time: invalid duration "soon"'),
        ("POST", "/api/chat", {"model": BASE, "keep_alive": "300"}, 400, 'time: missing unit in duration "300"'),
        ("POST", "/api/chat", {"model": BASE, "keep_alive": True}, 400, "Unsupported type: 'bool'"),
        ("POST", "/api/chat", {"model": BASE, "stream": "yes"}, 400,
         "json: cannot unmarshal string into Go struct field ChatRequest.stream of type bool"),
        ("POST", "/api/chat", {"model": BASE, "top_logprobs": 21}, 400, "top_logprobs must be between 0 and 20"),
    ],
)  # fmt: skip
def test_refusals_speak_as_ollama_does(
    http: httpx.Client, method: str, path: str, body: dict, status: int, error: str
) -> None:
    response = http.request(method, path, json=body)
    assert (response.status_code, response.json()) == (status, {"error": error})


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"model": "\xff"}'])
def test_a_body_that_is_no_json_object_is_refused(http: httpx.Client, content: bytes) -> None:
    assert http.post("/api/chat", content=content).status_code == 400


@pytest.mark.parametrize(
    ("options", "status"),
    [({"temperature": "hot"}, 500), ({"top_k": "x"}, 500), ({"stop": [1]}, 500), ({"stop": "x"}, 500), ([1], 400)],
)
def test_an_option_of_the_wrong_type_is_refused(http: httpx.Client, options: object, status: int) -> None:
    response = http.post("/api/chat", json={"model": BASE, "messages": ASK, "options": options})
    assert response.status_code == status and "option" in response.json()["error"]


def test_a_lone_surrogate_does_not_break_the_server(http: httpx.Client) -> None:
    content = json.dumps({"model": BASE, "messages": [{"role": "user", "content": "\ud800"}]})
    response = http.post("/api/chat", content=content)
    assert response.status_code in (400, 500) and "error" in response.json()


@pytest.mark.parametrize(
    ("method", "path", "status", "header"),
    [
        ("GET", "/api/nothing", 404, ("allow", None)),
        ("GET", "/api/chat", 405, ("allow", "POST")),
        ("HEAD", "/api/chat", 405, ("allow", "POST")),
        ("POST", "/api/delete", 405, ("allow", "DELETE")),
        ("GET", f"/api/blobs/sha256:{'0' * 64}", 405, ("allow", "HEAD, POST")),
        ("OPTIONS", "/api/chat", 405, ("allow", "POST")),
        ("POST", "/api/chat/", 307, ("location", "/api/chat")),
        ("GET", "/api//tags?a=1", 307, ("location", "/api/tags?a=1")),
    ],
)
def test_an_address_says_what_it_takes(
    http: httpx.Client, method: str, path: str, status: int, header: tuple[str, str | None]
) -> None:
    response = http.request(method, path)
    assert (response.status_code, response.headers.get(header[0])) == (status, header[1])


def test_a_web_page_of_another_origin_is_refused(http: httpx.Client) -> None:
    assert http.get("/api/tags", headers={"Origin": "https://evil.example"}).status_code == 403
    assert http.get("/api/tags", headers={"Host": "evil.example"}).status_code == 403
    assert http.get("/api/tags", headers={"Origin": "http://localhost:8000"}).status_code == 200


def test_a_full_queue_is_answered_503_and_a_hang_up_frees_its_place(server: RunningOllama) -> None:
    body = {"model": BASE, "messages": ASK, "options": LONG}
    sessions = [httpx.Client(base_url=server.address, timeout=60, trust_env=False) for _ in range(3)]
    threads = [threading.Thread(target=_begin, args=(session, body)) for session in sessions]
    for thread in threads:
        thread.start()
        time.sleep(0.15)
    refused = httpx.post(server.address + "/api/chat", json=body, trust_env=False)
    assert refused.status_code == 503
    error = "server busy, please try again.  maximum pending requests exceeded"
    assert refused.json() == {"error": error}
    for session in sessions:
        session.close()
    for thread in threads:
        thread.join()
    started = time.monotonic()
    answer = httpx.post(
        server.address + "/api/chat", trust_env=False, timeout=60,
        json={**body, "stream": False, "options": {"num_predict": 1}},
    )  # fmt: skip
    assert answer.status_code == 200 and time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("priorities", "served"),
    [
        (["u=5", "u=5", "u=3"], [2, 0, 1]),
        (["u=5", None], [1, 0]),
        (["u=7, i", "u = 5", "nonsense", "u=9"], [2, 3, 1, 0]),
        ([None, "u=3"], [0, 1]),
    ],
)
def test_the_most_urgent_of_those_that_wait_is_served_first(priorities: list[str | None], served: list[int]) -> None:
    admission = Admission(1, max_queue=10, foreground=Foreground())
    order: list[int] = []

    def wait(number: int, urgency: int) -> None:
        with admission.admit(urgency=urgency, is_gone=lambda: False):
            order.append(number)

    with admission.admit(urgency=0, is_gone=lambda: False):
        threads = []
        for number, priority in enumerate(priorities):
            threads.append(threading.Thread(target=wait, args=(number, read_urgency(priority or ""))))
            threads[-1].start()
            while admission.waiting < len(threads):
                time.sleep(0.01)
    for thread in threads:
        thread.join()
    assert order == served


def test_what_may_wait_begins_nothing_while_someone_waits_for_another_model() -> None:
    foreground = Foreground()
    chats, vectors = (Admission(4, max_queue=10, foreground=foreground) for _ in range(2))
    began: list[float] = []

    def embed() -> None:
        with vectors.admit(urgency=5, is_gone=lambda: False):
            began.append(time.monotonic())

    with chats.admit(urgency=3, is_gone=lambda: False):
        thread = threading.Thread(target=embed)
        thread.start()
        while not vectors.waiting:
            time.sleep(0.01)
        # Someone who waits too is not held up.
        with vectors.admit(urgency=3, is_gone=lambda: False):
            assert not began
    ended = time.monotonic()
    thread.join()
    assert began[0] >= ended + LINGER_S * 0.9


def test_what_may_wait_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(occupancy, "BEHIND_S", 0.1)
    admission = Admission(2, max_queue=10, foreground=Foreground())
    with admission.admit(urgency=3, is_gone=lambda: False):
        began = time.monotonic()
        with admission.admit(urgency=5, is_gone=lambda: False):
            assert time.monotonic() - began >= 0.2
    # One that has waited long enough goes before an ordinary one that has just come.
    order: list[int] = []

    def wait(urgency: int) -> None:
        with admission.admit(urgency=urgency, is_gone=lambda: False):
            order.append(urgency)

    with admission.admit(urgency=3, is_gone=lambda: False), admission.admit(urgency=3, is_gone=lambda: False):
        threads = [threading.Thread(target=wait, args=(urgency,)) for urgency in (5, 3)]
        for thread in threads:
            thread.start()
            time.sleep(0.3)
    for thread in threads:
        thread.join()
    assert order == [5, 3]


def test_a_long_request_that_may_wait_pauses_and_ends_when_its_client_is_gone() -> None:
    foreground = Foreground()
    admission = Admission(4, max_queue=10, foreground=foreground)
    with admission.admit(urgency=5, is_gone=lambda: False):
        assert not admission.give_way(urgency=5, is_gone=lambda: False)
        with foreground.hold(urgency=3):
            answers = iter([False, False, True, True])
            assert admission.give_way(urgency=5, is_gone=lambda: next(answers))
            assert not admission.give_way(urgency=3, is_gone=lambda: False)
        began = time.monotonic()
        assert not admission.give_way(urgency=7, is_gone=lambda: False)
        assert time.monotonic() - began >= LINGER_S * 0.8


def _begin(session: httpx.Client, body: dict) -> None:
    """Ask, read nothing past the first line, hang up after a second."""
    try:
        with session.stream("POST", "/api/chat", json=body, timeout=1.0) as response:
            deadline = time.monotonic() + 1
            for _ in response.iter_lines():
                if time.monotonic() > deadline:
                    return
    except (httpx.HTTPError, RuntimeError):
        return


def test_tags_survive_a_restart_and_a_stop_is_quick(tmp_path) -> None:
    with run_ollama(tmp_path) as first, ollama.Client(host=first.address, trust_env=False) as client:
        client.create(model="kept", from_=BASE, system="Stay.")
        for carried in (BASE, EMBEDDER):
            client.delete(carried)
        before = {model.model: model.digest for model in client.list().models}
        stream = client.chat(model="kept", messages=ASK, options=LONG, stream=True)
        next(stream)
        started = time.monotonic()
        first.process.terminate()
        assert first.process.wait(5) == 0 and time.monotonic() - started < 3
        assert first.process.stdout and first.process.stdout.read() == b""
        assert not (tmp_path / "address").exists()
    with run_ollama(tmp_path) as second, ollama.Client(host=second.address, trust_env=False) as client:
        assert {model.model: model.digest for model in client.list().models} == before == {
            "kept:latest": before["kept:latest"]
        }  # fmt: skip


def test_a_taken_port_is_refused_in_one_sentence(tmp_path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start_ollama(tmp_path, "--port", str(port))
        _, said = process.communicate(timeout=10)
    assert process.returncode == 1
    assert f"Cannot listen on 127.0.0.1 port {port}" in said.decode()
