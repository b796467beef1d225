"""The pool of Ollama servers, against the real embedded server."""

from __future__ import annotations

import http.server
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lealife.core.gateway import ModelInvalid, ModelUnavailable, OllamaPool
from tests.embedded.ollama_process import copy_tag, run_ollama

BASE, EMBEDDER = "smollm2:135m", "all-minilm"
# Nothing listens on the discard port of loopback.
DEAD = "http://127.0.0.1:9"
PICK = {"type": "object", "properties": {"pick": {"enum": [1, 2]}}, "required": ["pick"]}


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    first, second = (tmp_path_factory.mktemp(name) for name in ("first", "second"))
    with run_ollama(first) as one, run_ollama(second) as two:
        yield one.address, two.address


@pytest.fixture
def pool(addresses: tuple[str, str]) -> OllamaPool:
    return OllamaPool(hosts=addresses)


def ask(pool: OllamaPool, *, tag: str = BASE, schema: dict | None = None, max_tokens: int = 8):
    messages = [{"role": "system", "content": "You choose. " * 20}, {"role": "user", "content": "Choose."}]
    return pool.chat(tag=tag, messages=messages, schema=schema, max_tokens=max_tokens, num_ctx=2048, seed=1)


def test_a_reply_says_what_served_and_what_it_cost(pool: OllamaPool, addresses: tuple[str, str]) -> None:
    reply = ask(pool, schema=PICK, max_tokens=32)
    assert json.loads(reply.text) in ({"pick": 1}, {"pick": 2})
    assert reply.server in addresses and reply.latency_ms > 0
    assert reply.prompt_tokens > 50 and reply.completion_tokens > 0
    assert reply.digest == pool.served_digest(tag=BASE)
    warm = ask(OllamaPool(hosts=[reply.server]), schema=PICK, max_tokens=32)
    assert warm.cached_tokens > 50 and warm.text == reply.text


def test_each_role_has_a_server_of_its_own_which_every_process_prefers(addresses: tuple[str, str]) -> None:
    first, again = OllamaPool(hosts=addresses), OllamaPool(hosts=reversed(addresses))
    homes = {}
    for role in ("controller", "task"):
        tag = f"lealife-{role}:1"
        first.create_tag(tag=tag, base=BASE)
        homes[role] = {ask(pool, tag=tag).server for pool in (first, again) for _ in range(2)}
    assert len(homes["controller"]) == len(homes["task"]) == 1
    assert homes["controller"] | homes["task"] == set(addresses)


def test_a_dead_server_is_passed_over(addresses: tuple[str, str]) -> None:
    pool = OllamaPool(hosts=[DEAD, addresses[0]])
    assert [ask(pool).server for _ in range(2)] == [addresses[0]] * 2
    assert pool.is_up() == {DEAD: False, addresses[0]: True}
    assert list(pool.read_digest(tag=BASE)) == [addresses[0]]


def test_no_server_left_is_unavailable_and_named() -> None:
    pool = OllamaPool(hosts=[DEAD])
    for call in (lambda: ask(pool), lambda: pool.list_tags(), lambda: pool.read_digest(tag=BASE)):
        with pytest.raises(ModelUnavailable, match=DEAD):
            call()


def test_a_model_is_fetched_by_every_server(pool: OllamaPool) -> None:
    pool.pull_model("smollm2")
    assert all(pool.read_digest(tag="smollm2:latest").values())
    with pytest.raises(ModelUnavailable, match="file does not exist"):
        pool.pull_model("no-such-model:1b")


def test_what_a_server_refuses_is_invalid(pool: OllamaPool) -> None:
    with pytest.raises(ModelInvalid, match="invalid JSON schema"):
        ask(pool, schema={"type": "nonsense"})
    # Another server, or the same one later, may have it.
    with pytest.raises(ModelUnavailable, match="model 'nope' not found"):
        ask(pool, tag="nope")
    with pytest.raises(ModelInvalid, match="nope is missing on"):
        pool.served_digest(tag="nope")


def test_a_tag_is_made_copied_and_deleted_on_all_servers(pool: OllamaPool, addresses: tuple[str, str]) -> None:
    digest = pool.create_tag(
        tag="lea:1", base=BASE, system="Pick.", messages=[{"role": "user", "content": "Hi"}],
        parameters={"temperature": 0},
    )  # fmt: skip
    assert pool.read_digest(tag="lea:1") == dict.fromkeys(addresses, digest)
    copy_tag(pool, source="lea:1", destination="lea:live")
    listed = pool.list_tags()
    live = {host: info.digest for host, info in listed["lea:live"].items()}
    assert live == dict.fromkeys(addresses, digest)
    pool.delete_tag(tag="lea:1")
    pool.delete_tag(tag="lea:1")
    assert set(pool.read_digest(tag="lea:1").values()) == {""}
    with pytest.raises(ModelUnavailable):
        OllamaPool(hosts=[addresses[0], DEAD]).create_tag(tag="half", base=BASE)


def test_servers_that_disagree_on_a_tag_are_found_out(pool: OllamaPool, addresses: tuple[str, str]) -> None:
    for host, system in zip(addresses, ("A", "B"), strict=True):
        OllamaPool(hosts=[host]).create_tag(tag="split", base=BASE, system=system)
    with pytest.raises(ModelInvalid, match="split differs between servers"):
        pool.served_digest(tag="split")


def test_embed_gives_one_vector_per_text_in_their_order(pool: OllamaPool) -> None:
    assert len(pool.embed(tag=BASE, texts=["a", "b"])) == 2
    one, empty, two = pool.embed(tag=EMBEDDER, texts=["a lighthouse", "", "a loaf of bread"])
    assert pool.embed(tag=EMBEDDER, texts=["a loaf of bread"])[0] == pytest.approx(two, abs=1e-4)
    assert len(one) == len(empty) == 384


def test_a_server_without_the_model_for_vectors_is_passed_over_and_still_chats(addresses: tuple[str, str]) -> None:
    failed: list[str] = []
    pool = OllamaPool(hosts=addresses, on_failure=failed.append)
    copy_tag(OllamaPool(hosts=addresses[1:]), source=EMBEDDER, destination="vectors-of-one")
    assert len(pool.embed(tag="vectors-of-one", texts=["a"])) == 1
    with pytest.raises(ModelUnavailable, match='model "nope" not found'):
        pool.embed(tag="nope", texts=["a"])
    with pytest.raises(ModelUnavailable, match=DEAD):
        OllamaPool(hosts=[DEAD]).embed(tag=EMBEDDER, texts=["a"])
    assert failed == [] and ask(pool).text
    checks = pool.check_servers(base=BASE, embedder="vectors-of-one")
    assert {check.host: check.embeds for check in checks} == {addresses[0]: False, addresses[1]: True}
    assert all(check.serves for check in checks)


def test_a_forked_child_opens_connections_of_its_own(pool: OllamaPool) -> None:
    before = pool.served_digest(tag=BASE)
    child = os.fork()
    if child == 0:
        os._exit(0 if pool.served_digest(tag=BASE) == before else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_server_that_is_no_ollama_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "tags").write_text("<html>")

    class Files(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(tmp_path))

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        pool = OllamaPool(hosts=[f"http://127.0.0.1:{other.server_port}"])
        with pytest.raises(ModelUnavailable, match="did not answer like an Ollama server"):
            pool.list_tags()
        with pytest.raises(ModelUnavailable):
            ask(pool)
        other.shutdown()
