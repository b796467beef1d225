"""The tags of the embedded Ollama: made, shown, loaded, forgotten, through the official client."""

from __future__ import annotations

import re
import time

import httpx
import ollama
import pytest

from tests.embedded.ollama_process import ASK, BASE, NOT_PULLABLE


def test_the_carried_model_is_there_at_the_first_start(client: ollama.Client) -> None:
    model = next(model for model in client.list().models if model.model == BASE)
    assert re.fullmatch(r"[0-9a-f]{64}", model.digest or "")
    assert model.details and model.details.quantization_level == "Q4_1" and model.size > 90_000_000


def test_show_returns_the_parts_of_a_tag(client: ollama.Client, http: httpx.Client) -> None:
    client.create(
        model="shown", from_=BASE, system="Be brief.", parameters={"temperature": 0, "stop": ["END"]},
        messages=[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}],
    )  # fmt: skip
    shown = client.show("shown")
    assert shown.modelinfo and shown.modelinfo["general.architecture"] == "llama"
    assert shown.details and shown.details.parent_model == BASE
    assert "FROM" in (shown.modelfile or "") and "SYSTEM Be brief." in (shown.modelfile or "")
    assert re.search(r'^stop +"END"$', shown.parameters or "", re.M)
    assert "completion" in (shown.capabilities or [])
    raw = http.post("/api/show", json={"model": "shown"}).json()
    assert raw["system"] == "Be brief." and [m["content"] for m in raw["messages"]] == ["Hi", "Yes?"]


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


def test_create_inherits_what_the_request_does_not_give(client: ollama.Client, http: httpx.Client) -> None:
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


def test_names_that_differ_in_case_alone_are_one_tag(client: ollama.Client) -> None:
    client.create(model="Cased", from_=BASE, system="One.")
    client.create(model="cASED", from_=BASE, system="Two.")
    assert [model.model for model in client.list().models if "ased" in (model.model or "").lower()] == ["Cased:latest"]
    assert "SYSTEM Two." in (client.show("CASED").modelfile or "")
    client.delete("cased")


def test_a_tags_template_makes_its_prompt(client: ollama.Client) -> None:
    client.create(model="bare", from_=BASE, template="{{ if .System }}{{ .System }} {{ end }}{{ .Prompt }}")
    options = {"num_predict": 1}
    reply = client.generate(model="bare", prompt="Once upon a", system="Hm.", options=options)
    raw = client.generate(model=BASE, prompt="Hm. Once upon a", raw=True, options=options)
    assert (reply.prompt_eval_count, reply.response) == (raw.prompt_eval_count, raw.response)


def test_a_file_is_kept_and_an_adapter_that_is_none_refused(client: ollama.Client, tmp_path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"hello")
    digest = client.create_blob(tmp_path / "a.gguf")
    assert client.create_blob(tmp_path / "a.gguf") == digest
    with pytest.raises(ollama.ResponseError, match="not in GGUF format"):
        client.create(model="adapted", from_=BASE, adapters={"a.gguf": digest})
