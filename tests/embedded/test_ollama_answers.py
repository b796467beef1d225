"""What the embedded Ollama answers to chat, generate and embed, through the official client."""

from __future__ import annotations

import json
import threading

import httpx
import ollama
import pytest

from tests.embedded.ollama_process import ASK, BASE

PICK = {"type": "object", "properties": {"pick": {"enum": ["red", "green"]}}, "required": ["pick"]}


def chat(http: httpx.Client, **body: object) -> dict:
    response = http.post("/api/chat", json={"model": BASE, "stream": False, **body})
    assert response.status_code == 200, response.text
    return response.json()


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


def test_temperature_zero_repeats_itself_cold_warm_and_with_others_at_once(client: ollama.Client) -> None:
    def ask(topic: str) -> str:
        return client.generate(
            model=BASE, prompt=f"Tell me about {topic}.", system="You know the world. " * 20,
            options={"num_predict": 24, "temperature": 0},
        ).response or ""  # fmt: skip

    cold = {topic: ask(topic) for topic in ("dogs", "bread")}
    assert {topic: ask(topic) for topic in cold} == cold
    at_once: dict[str, str] = {}
    threads = [threading.Thread(target=lambda t=topic: at_once.update({t: ask(t)})) for topic in cold]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert at_once == cold


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


@pytest.mark.parametrize(
    "wrong",
    [
        "xml", 7, {"type": "nonsense"}, {"$ref": "#/nope"}, {"type": "string", "pattern": "["},
        {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(?=a)b$"}}},
    ],
)  # fmt: skip
def test_a_format_that_cannot_be_followed_is_refused(http: httpx.Client, wrong: object) -> None:
    response = http.post("/api/chat", json={"model": BASE, "messages": ASK, "format": wrong})
    assert response.status_code == 500 and "format" in response.json()["error"]


def test_a_stop_text_ends_the_answer(client: ollama.Client) -> None:
    options = {"temperature": 0, "num_predict": 40}
    whole = client.chat(model=BASE, messages=ASK, options=options).message.content or ""
    word = whole.split()[3]
    cut = client.chat(model=BASE, messages=ASK, options={**options, "stop": [word]})
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


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
def test_a_prompt_past_the_context_is_cut_unless_it_must_not_be(http: httpx.Client, path: str) -> None:
    said = "word " * 600 + "Say hello."
    asked = {"messages": [{"role": "user", "content": said}]} if path == "/api/chat" else {"prompt": said}
    body = {"model": BASE, "stream": False, "options": {"num_ctx": 128, "num_predict": 3}, **asked}
    assert http.post(path, json=body).json()["prompt_eval_count"] == 128
    refused = http.post(path, json={**body, "truncate": False})
    assert refused.status_code == 400
    assert refused.json() == {"error": "the input length exceeds the context length"}


def test_generate_continues_from_its_context(client: ollama.Client) -> None:
    options = {"num_predict": 4, "temperature": 0}
    first = client.generate(model=BASE, prompt="My name is Ada.", options=options)
    assert first.response and first.context
    second = client.generate(model=BASE, prompt="What is my name?", context=first.context, options=options)
    assert (second.prompt_eval_count or 0) > len(first.context)


def test_raw_generate_sends_the_prompt_untouched(client: ollama.Client) -> None:
    reply = client.generate(model=BASE, prompt="Once upon a", raw=True, options={"num_predict": 2})
    assert reply.prompt_eval_count == 3 and reply.context is None


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
