"""Vectors for texts, from the servers that this installation uses."""

from __future__ import annotations

import time

import pytest
from django.conf import LazySettings

from lealife import model_health
from lealife.core.gateway import ModelUnavailable
from lealife.model_health import ModelProbe, Suspects, check_models, has_embedder
from lealife.pipeline.pool import EMBED_AT_ONCE, embed_texts
from tests.embedded.ollama_process import BASE, RunningOllama


@pytest.fixture
def served(shared_ollama: RunningOllama, settings: LazySettings) -> LazySettings:
    settings.OLLAMA_HOST = shared_ollama.address
    return settings


def test_many_texts_get_their_vectors_in_order(served: LazySettings) -> None:
    texts = [f"Page {number} of the harbour's log." for number in range(EMBED_AT_ONCE + 3)]
    vectors = embed_texts(texts)
    assert len(vectors) == len(texts) and {len(vector) for vector in vectors} == {384}
    assert embed_texts([texts[-1]])[0] == pytest.approx(vectors[-1], abs=1e-4)
    assert embed_texts([]) == []


def test_without_a_model_for_vectors_it_is_unavailable(served: LazySettings) -> None:
    served.LEALIFE_EMBED_MODEL = "nope"
    with pytest.raises(ModelUnavailable, match='model "nope" not found'):
        embed_texts(["a"])
    served.LEALIFE_EMBED_MODEL = ""
    with pytest.raises(ModelUnavailable, match="LEALIFE_EMBED_MODEL is empty"):
        embed_texts(["a"])


@pytest.mark.parametrize(("name", "expected"), [("all-minilm", True), (BASE, True), ("nope", False), ("", False)])
def test_health_knows_whether_a_server_has_it(served: LazySettings, name: str, expected: bool) -> None:
    served.LEALIFE_EMBED_MODEL = name
    health = check_models(Suspects())
    assert (health.state, health.embeds) == ("up", expected)


def test_the_answer_comes_from_the_check_in_the_background(
    served: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_health, "model_probe", ModelProbe(check_models))
    ends = time.monotonic() + 20
    while not has_embedder() and time.monotonic() < ends:
        time.sleep(0.1)
    assert has_embedder()
