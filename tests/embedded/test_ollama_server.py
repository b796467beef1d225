"""The embedded Ollama, as a real process, through the official client."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import ollama
import pytest

from tests.embedded.ollama_process import RunningOllama, run_ollama, start_ollama

BASE = "smollm2:135m"
NOT_PULLABLE = "pull model manifest: file does not exist"
PICK = {"type": "object", "properties": {"pick": {"enum": ["red", "green"]}}, "required": ["pick"]}
LONG = {"num_predict": 400, "temperature": 0}
ASK = [{"role": "user", "content": "Tell me about the sea."}]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningOllama]:
    with run_ollama(tmp_path_factory.mktemp("ollama"), "--max-queue", "2") as running:
        yield running


@pytest.fixture(scope="module")
def client(server: RunningOllama) -> Iterator[ollama.Client]:
    with ollama.Client(host=server.address, timeout=60, trust_env=False) as session:
        yield session


@pytest.fixture(scope="module")
def http(server: RunningOllama) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.address, timeout=60, trust_env=False) as session:
        yield session


def chat(http: httpx.Client, **body: object) -> dict:
    response = http.post("/api/chat", json={"model": BASE, "stream": False, **body})
    assert response.status_code == 200, response.text
    return response.json()


def test_root_says_that_ollama_is_running(http: httpx.Client) -> None:
    assert http.get("/").text == "Ollama is running"
    assert http.head("/").status_code == http.head("/api/version").status_code == 200
    assert re.match(r"\d+\.\d+\.\d+", http.get("/api/version").json()["version"])


def test_the_carried_model_is_there_at_the_first_start(client: ollama.Client) -> None:
    model = next(model for model in client.list().models if model.model == BASE)
    assert re.fullmatch(r"[0-9a-f]{64}", model.digest or "")
    assert model.details and model.details.quantization_level == "Q4_1" and model.size > 90_000_000


def test_show_tells_what_a_tag_is_made_of(client: ollama.Client, http: httpx.Client) -> None:
    client.create(
        model="shown", from_=BASE, system="Be brief.", parameters={"temperature": 0, "stop": ["END"]},
        messages=[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}],
    )  # fmt: skip
    shown = client.show("shown")
    assert shown.modelinfo and shown.modelinfo["general.architecture"] == "llama"
    assert shown.details and shown.details.parent_model == BASE
    assert "FROM" in (shown.modelfile or "") and 'SYSTEM """Be brief."""' in (shown.modelfile or "")
    assert re.search(r'^stop +"END"$', shown.parameters or "", re.M)
    assert "completion" in (shown.capabilities or [])
    raw = http.post("/api/show", json={"model": "shown"}).json()
    assert raw["system"] == "Be brief." and [m["content"] for m in raw["messages"]] == ["Hi", "Yes?"]


def test_chat_answers_with_counts_and_durations(client: ollama.Client) -> None:
    reply = client.chat(model=BASE, messages=ASK, options={"num_predict": 5, "temperature": 0})
    assert reply.message.role == "assistant" and reply.message.content
    assert reply.done and reply.done_reason == "length" and reply.eval_count == 5
    assert reply.prompt_eval_count and reply.prompt_eval_count > 20
    assert all([reply.total_duration, reply.load_duration, reply.prompt_eval_duration, reply.eval_duration])


def test_a_stream_gives_the_same_text_piece_by_piece(client: ollama.Client) -> None:
    options = {"num_predict": 12, "temperature": 0}
    whole = client.chat(model=BASE, messages=ASK, options=options)
    pieces = list(client.chat(model=BASE, messages=ASK, options=options, stream=True))
    assert len(pieces) > 5 and [piece.done for piece in pieces[:-1]] == [False] * (len(pieces) - 1)
    assert "".join(piece.message.content or "" for piece in pieces) == whole.message.content
    assert pieces[-1].done_reason == "length" and pieces[-1].eval_count == 12


def test_temperature_zero_repeats_itself_cold_warm_and_beside_others(client: ollama.Client) -> None:
    def ask(topic: str) -> str:
        return client.generate(
            model=BASE, prompt=f"Tell me about {topic}.", system="You know the world. " * 20,
            options={"num_predict": 24, "temperature": 0},
        ).response or ""  # fmt: skip

    cold = {topic: ask(topic) for topic in ("dogs", "bread")}
    assert {topic: ask(topic) for topic in cold} == cold
    beside: dict[str, str] = {}
    threads = [threading.Thread(target=lambda t=topic: beside.update({t: ask(t)})) for topic in cold]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert beside == cold


def test_the_same_seed_gives_the_same_text_and_another_seed_another(client: ollama.Client) -> None:
    def ask(seed: int) -> str | None:
        options = {"num_predict": 16, "temperature": 1.5, "seed": seed}
        return client.chat(model=BASE, messages=ASK, options=options).message.content

    assert ask(7) == ask(7)
    assert ask(7) != ask(8)


def test_a_json_schema_binds_the_answer(client: ollama.Client) -> None:
    for _ in range(3):
        reply = client.chat(model=BASE, messages=ASK, format=PICK, options={"num_predict": 32})
        assert json.loads(reply.message.content or "") in ({"pick": "red"}, {"pick": "green"})


def test_format_json_gives_an_object(client: ollama.Client) -> None:
    reply = client.generate(
        model=BASE, prompt='Say {"ok": true}', format="json", options={"temperature": 0, "num_predict": 200}
    )
    assert reply.done_reason == "length" or isinstance(json.loads(reply.response or ""), dict)
    assert (reply.response or "").startswith("{")


@pytest.mark.parametrize("wrong", ["xml", 7, {"type": "nonsense"}, {"$ref": "#/nope"}])
def test_a_format_that_cannot_be_followed_is_refused(http: httpx.Client, wrong: object) -> None:
    response = http.post("/api/chat", json={"model": BASE, "messages": ASK, "format": wrong})
    assert response.status_code == 400 and "format" in response.json()["error"]


def test_a_stop_text_ends_the_answer(client: ollama.Client) -> None:
    options = {"temperature": 0, "num_predict": 40}
    whole = client.chat(model=BASE, messages=ASK, options=options).message.content or ""
    word = whole.split()[3]
    cut = client.chat(model=BASE, messages=ASK, options={**options, "stop": word})
    assert cut.message.content == whole[: whole.index(word)] and cut.done_reason == "stop"


def test_a_tags_system_counts_until_the_request_brings_its_own(http: httpx.Client, client: ollama.Client) -> None:
    client.create(model="minded", from_=BASE, system="You are a very patient teacher of mathematics. " * 5)
    options = {"num_predict": 1}
    plain = chat(http, messages=ASK, options=options)
    minded = chat(http, model="minded", messages=ASK, options=options)
    own = [{"role": "system", "content": "Hm."}, *ASK]
    assert minded["prompt_eval_count"] > plain["prompt_eval_count"] + 20
    same = chat(http, messages=own, options=options)["prompt_eval_count"]
    assert chat(http, model="minded", messages=own, options=options)["prompt_eval_count"] == same


def test_a_tags_messages_come_before_the_requests(http: httpx.Client, client: ollama.Client) -> None:
    turns = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello to you"}]
    client.create(model="primed", from_=BASE, messages=turns)
    options = {"num_predict": 8, "temperature": 0}
    given = chat(http, messages=turns + ASK, options=options)
    stored = chat(http, model="primed", messages=ASK, options=options)
    assert given["message"] == stored["message"]
    assert given["prompt_eval_count"] == stored["prompt_eval_count"]


def test_a_tags_parameters_yield_to_the_requests_options(client: ollama.Client) -> None:
    client.create(model="short", from_=BASE, parameters={"num_predict": 3})
    assert client.chat(model="short", messages=ASK).eval_count == 3
    assert client.chat(model="short", messages=ASK, options={"num_predict": 5}).eval_count == 5


def test_two_system_prompts_stay_cached_side_by_side(http: httpx.Client) -> None:
    systems = ["You choose links carefully. " * 30, "Answer from the passages below. " * 30]

    def ask(system: str, question: str) -> dict:
        messages = [{"role": "system", "content": system}, {"role": "user", "content": question}]
        return chat(http, messages=messages, options={"num_predict": 1})

    for system in systems:
        ask(system, "First?")
    for system in systems:
        reply = ask(system, "And second, what then?")
        assert reply["prompt_cached_count"] > 100
        assert reply["prompt_eval_count"] > reply["prompt_cached_count"]


def test_the_oldest_messages_are_dropped_when_the_context_is_full(http: httpx.Client) -> None:
    old = [{"role": "user", "content": "word " * 150}, {"role": "assistant", "content": "word " * 150}]
    system = [{"role": "system", "content": "Keep me."}]
    reply = chat(http, messages=system + old + ASK, options={"num_ctx": 128, "num_predict": 4})
    alone = chat(http, messages=system + ASK, options={"num_ctx": 128, "num_predict": 4})
    assert reply["prompt_eval_count"] == alone["prompt_eval_count"]


def test_a_single_message_past_the_context_is_refused(http: httpx.Client) -> None:
    body = {"model": BASE, "messages": [{"role": "user", "content": "word " * 6000}]}
    response = http.post("/api/chat", json=body)
    assert response.status_code == 400
    assert response.json() == {"error": "the input length exceeds the context length"}


def test_without_a_prompt_a_tag_is_loaded_and_unloaded(client: ollama.Client) -> None:
    client.create(model="resident", from_=BASE)
    loaded = client.chat(model="resident", messages=[], keep_alive=-1)
    assert loaded.done_reason == "load"
    entry = next(model for model in client.ps().models if model.name == "resident:latest")
    assert entry.expires_at and entry.expires_at.year > 2200 and entry.context_length == 4096
    assert client.generate(model="resident", prompt="", keep_alive=0).done_reason == "unload"
    assert "resident:latest" not in [model.name for model in client.ps().models]


def test_the_weights_leave_with_the_last_tag_and_come_back(client: ollama.Client) -> None:
    for model in client.ps().models:
        client.generate(model=model.name or "", prompt="", keep_alive=0)
    time.sleep(1.5)
    reply = client.chat(model=BASE, messages=ASK, options={"num_predict": 1}, keep_alive="5m")
    assert (reply.load_duration or 0) > 50_000_000
    assert (client.chat(model=BASE, messages=ASK, options={"num_predict": 1}).load_duration or 0) < 50_000_000


def test_generate_continues_from_its_context(client: ollama.Client) -> None:
    options = {"num_predict": 4, "temperature": 0}
    first = client.generate(model=BASE, prompt="My name is Ada.", options=options)
    assert first.response and first.context
    second = client.generate(model=BASE, prompt="What is my name?", context=first.context, options=options)
    assert (second.prompt_eval_count or 0) > len(first.context)


def test_raw_generate_sends_the_prompt_untouched(client: ollama.Client) -> None:
    reply = client.generate(model=BASE, prompt="Once upon a", raw=True, options={"num_predict": 2})
    assert reply.prompt_eval_count == 3 and reply.context is None


def test_the_same_recipe_has_the_same_digest_under_any_name(client: ollama.Client) -> None:
    recipe = {"from_": BASE, "system": "Pick.", "messages": ASK}
    client.create(model="one", parameters={"temperature": 0, "top_k": 5}, **recipe)
    steps = [step.status for step in client.create(
        model="two", parameters={"top_k": 5, "temperature": 0.0}, stream=True, **recipe
    )]  # fmt: skip
    client.create(model="three", from_=BASE, system="Pick!")
    client.copy("one", "space/four:v1")
    digests = {model.model: model.digest for model in client.list().models}
    assert steps[-1] == "success" and "writing manifest" in steps
    assert digests["one:latest"] == digests["two:latest"] == digests["space/four:v1"]
    assert len({digests["one:latest"], digests["three:latest"], digests[BASE]}) == 3


def test_create_inherits_what_is_not_given_anew(client: ollama.Client, http: httpx.Client) -> None:
    client.create(model="parent", from_=BASE, system="Old.", parameters={"top_k": 5, "seed": 1})
    client.create(model="child", from_="parent", parameters={"seed": 2})
    shown = http.post("/api/show", json={"model": "child"}).json()
    assert shown["system"] == "Old."
    assert shown["parameters"].split() == ["seed", "2", "top_k", "5"]


def test_delete_forgets_a_tag(client: ollama.Client) -> None:
    client.create(model="gone", from_=BASE)
    client.delete("gone")
    with pytest.raises(ollama.ResponseError, match="model 'gone' not found") as refused:
        client.delete("gone")
    assert refused.value.status_code == 404


def test_pull_gives_what_is_carried_and_nothing_else(client: ollama.Client) -> None:
    assert client.pull("smollm2").status == "success"
    assert "smollm2:latest" in [model.model for model in client.list().models]
    assert [step.status for step in client.pull(BASE, stream=True)][-1] == "success"
    for stream in (False, True):
        with pytest.raises(ollama.ResponseError, match=NOT_PULLABLE):
            list(client.pull("llama3", stream=stream))


def test_embeddings_are_unit_vectors_and_tell_texts_apart(client: ollama.Client) -> None:
    answer = client.embed(model=BASE, input=["a cat", "a cat", "tax law"])
    one, same, other = answer.embeddings
    assert sum(x * x for x in one) == pytest.approx(1, abs=1e-3)
    assert list(one) == pytest.approx(list(same), abs=1e-4)
    assert list(one) != pytest.approx(list(other), abs=1e-2)
    assert len(client.embed(model=BASE, input="x", dimensions=16).embeddings[0]) == 16
    assert len(client.embeddings(model=BASE, prompt="a cat").embedding) == len(one)
    assert client.embed(model=BASE, input=[]).embeddings == []
    with pytest.raises(ollama.ResponseError, match="exceeds the context length"):
        client.embed(model=BASE, input="word " * 3000, truncate=False)
    assert client.embed(model=BASE, input="word " * 3000).prompt_eval_count


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
        ("POST", "/api/create", {"model": "x", "from": "n"}, 500, NOT_PULLABLE),
        ("POST", "/api/embed", {"model": BASE, "input": 7}, 400, "invalid input type"),
        ("POST", "/api/chat", {"model": BASE, "messages": "x"}, 400, "field messages must be a list"),
        ("POST", "/api/chat", {"model": BASE, "keep_alive": "soon"}, 400, 'time: invalid duration "soon"'),
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


@pytest.mark.parametrize("options", [{"temperature": "hot"}, {"top_k": 10**30}, {"stop": [1]}, [1]])
def test_an_option_of_the_wrong_type_is_refused(http: httpx.Client, options: object) -> None:
    response = http.post("/api/chat", json={"model": BASE, "messages": ASK, "options": options})
    assert response.status_code == 400 and "option" in response.json()["error"]


def test_a_lone_surrogate_does_not_break_the_server(http: httpx.Client) -> None:
    content = json.dumps({"model": BASE, "messages": [{"role": "user", "content": "\ud800"}]})
    response = http.post("/api/chat", content=content)
    assert response.status_code in (400, 500) and "error" in response.json()


def test_an_unknown_address_and_a_wrong_method_are_told_apart(http: httpx.Client) -> None:
    assert http.get("/api/nothing").status_code == 404
    assert http.get("/api/chat").status_code == 405


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
        client.delete(BASE)
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
