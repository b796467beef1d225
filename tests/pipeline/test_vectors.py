"""Vectors for texts, from the servers that this installation uses."""

from __future__ import annotations

import pytest
from django.conf import LazySettings
from django.utils import timezone

from lealife.core.gateway import ModelUnavailable
from lealife.core.model_names import normalise_name
from lealife.model_health import Suspects, check_models
from lealife.pipeline.pool import EMBED_AT_ONCE, embed_texts
from lealife.pipeline.reading_stages import is_index_ready, work_index
from lealife.pipeline.vectors import find_embedder, note_embedder
from learning.index.indexing import count_terms, index_page
from learning.index.models import IndexedPassage, VectorModel
from learning.index.vectors import NEAREST, measure_cosines, pack_vector
from tests.embedded.ollama_process import BASE, RunningOllama
from tests.factories import START, make_html
from training.agent.reading.page import parse_page
from training.models import Host


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


@pytest.mark.parametrize(("name", "missing"), [("all-minilm", False), (BASE, False), ("nope", True), ("", False)])
def test_health_says_that_no_server_has_it(served: LazySettings, name: str, missing: bool) -> None:
    served.LEALIFE_EMBED_MODEL = name
    health = check_models(Suspects())
    assert (health.state, bool(health.reasons)) == ("up", missing)


def test_another_model_for_vectors_is_noticed_and_the_site_index_made_again(
    db: None, host: Host, served: LazySettings
) -> None:
    url, body = f"{host.base_url}roses", make_html("Roses", "Roses are pruned in late winter.")
    page = parse_page(body=body, media_type="text/html", url=url, site=host.as_site())
    index_page(host_id=host.pk, url=url, page=page, snapshot_digest="", now=START)
    count_terms(host.pk)
    now = timezone.now()
    sizes = []
    for name in ("all-minilm", BASE):
        served.LEALIFE_EMBED_MODEL = name
        assert is_index_ready(now)
        assert work_index(now)
        assert not is_index_ready(now)
        sizes.append(len(IndexedPassage.objects.get().vector))
        assert VectorModel.objects.first().name == normalise_name(name)
    assert sizes[0] == 2 * 384 != sizes[1]


def test_what_no_server_has_is_no_model_for_vectors(db: None, served: LazySettings) -> None:
    served.LEALIFE_EMBED_MODEL = "nope"
    with pytest.raises(ModelUnavailable, match="No model server has nope:latest"):
        find_embedder()
    note_embedder()
    assert not VectorModel.objects.exists()


def test_while_most_passages_have_no_vector_and_one_of_the_nearest_has_none_none_is_compared() -> None:
    near, far = pack_vector([1.0, 0.0]), pack_vector([0.0, 1.0])
    assert measure_cosines([near, None, None, None], [1.0, 0.0]) == [0.0] * 4
    first, second, third, fourth = measure_cosines([near, far, None, None], [1.0, 0.0])
    assert first == 1 and second < 0.01
    assert first is not None and second is not None
    assert third == fourth == (first + second) / 2


def test_while_most_passages_have_no_vector_those_that_have_one_are_compared() -> None:
    near, refused = pack_vector([1.0, 0.0]), b""
    stored = [*[near] * (NEAREST - 1), refused, *[None] * NEAREST, near, None]
    # What was refused will never have a vector: it counts as the average.
    assert measure_cosines(stored, [1.0, 0.0]) == [*[1.0] * NEAREST, *[None] * NEAREST, 1.0, None]


@pytest.mark.parametrize("stored", [b"", pack_vector([1.0]), None])
def test_where_nothing_can_be_compared_words_alone_are(stored: bytes | None) -> None:
    assert measure_cosines([stored] * 3, [1.0, 0.0]) == [0.0] * 3
