"""The site index: what it holds of a page, what it finds, and what leaves it again."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from lealife.core.actors import command_line
from lealife.core.gateway import ModelInvalid
from learning.index.indexing import count_terms, find_uncounted_host, forget_addresses, index_page
from learning.index.models import HostIndex, IndexedPage, IndexedPassage, TermCount
from learning.index.search import READ, search_passages
from learning.index.vectors import (
    NEAREST,
    lack_vectors,
    make_vectors,
    measure_cosines,
    note_model,
    pack_vector,
    read_model_number,
    unpack_vector,
)
from learning.ingest import ingest_outcome
from learning.memory import purge_memory
from tests.factories import START, make_host, make_html, make_outcome, make_step
from training.agent.ranking import FIRST_WEIGHTS
from training.agent.reading.page import parse_page
from training.agent.reading.words import read_question
from training.models import Host

MINILM = "all-minilm:latest"


def index(host: Host, name: str, *paragraphs: str, title: str = "") -> int:
    """Puts a page into the index; returns how many passages came."""
    url = f"{host.base_url}{name}"
    body = make_html(title or name, *paragraphs)
    page = parse_page(body=body, media_type="text/html", url=url, site=host.as_site())
    return index_page(host_id=host.pk, url=url, page=page, snapshot_digest="", now=START)


def find(host: Host, prompt: str, *, vector: tuple[float, ...] | None = None, limit: int = 10) -> list[str]:
    """The names of the pages of the passages found, in order."""
    found = search_passages(
        host_id=host.pk, question=read_question(prompt), weights=FIRST_WEIGHTS, vector=vector, limit=limit
    )
    return [each.url.removeprefix(host.base_url) for each in found]


def test_a_page_is_indexed_once_per_content(host):
    assert index(host, "roses", "Roses are pruned in late winter.") == 1
    assert index(host, "roses", "Roses are pruned in late winter.") == 0
    twin = f"{host.base_url}twin"
    body = make_html("roses", "Roses are pruned in late winter.")
    page = parse_page(body=body, media_type="text/html", url=twin, site=host.as_site())
    assert index_page(host_id=host.pk, url=twin, page=page, snapshot_digest="", now=START) == 0
    assert IndexedPage.objects.count() == 1


def test_a_page_that_changed_loses_what_it_said_before(host):
    index(host, "roses", "Roses are pruned in late winter.")
    index(host, "roses", "Roses are pruned in early spring.")
    assert [passage.text for passage in IndexedPassage.objects.all()] == ["Roses are pruned in early spring."]
    assert find(host, "late winter") == []


def test_the_words_of_a_host_are_counted_again_when_a_tenth_of_it_changed(host):
    for number in range(20):
        index(host, f"p{number}", f"Bell number {number} rings.")
    assert find_uncounted_host() == host.pk
    assert count_terms(host.pk) == 20
    assert find_uncounted_host() is None
    assert dict(TermCount.objects.filter(term__in=("bell", "17")).values_list("term", "passages")) == {
        "bell": 20,
        "17": 1,
    }
    index(host, "p20", "Bell number 20 rings.")
    assert find_uncounted_host() is None
    for number in (21, 22):
        index(host, f"p{number}", f"Bell number {number} rings.")
    assert find_uncounted_host() == host.pk


def test_rare_words_weigh_more_than_common_ones(host):
    for number in range(20):
        index(host, f"p{number}", f"The bell of house {number} rings at noon.")
    index(host, "owl", "An owl lives in the tower.")
    count_terms(host.pk)
    assert find(host, "Which bell rings for the owl?")[0] == "owl"


def test_headings_count_and_say_where_a_passage_stands(host):
    body = b"""<title>Manual</title><h1>Roses</h1><p>They are pruned in late winter.</p>
        <h2>Water</h2><p>In the morning, at the root.</p>"""
    url = f"{host.base_url}manual"
    page = parse_page(body=body, media_type="text/html", url=url, site=host.as_site())
    index_page(host_id=host.pk, url=url, page=page, snapshot_digest="", now=START)
    headings = list(IndexedPassage.objects.order_by("place").values_list("heading", flat=True))
    assert headings == ["Roses", "Roses › Water"]
    found = search_passages(
        host_id=host.pk, question=read_question("water"), weights=FIRST_WEIGHTS, vector=None, limit=5
    )
    assert found[0].heading == "Roses › Water"


def test_another_host_is_not_searched(host):
    index(host, "roses", "Roses are pruned in late winter.")
    assert find(make_host(), "roses in winter") == []


def test_meaning_ranks_what_words_found(host):
    index(host, "first", "The bell rings at noon, as it always has.")
    index(host, "second", "At noon the bell of the tower is heard.")
    for name, vector in (("first", (0.0, 1.0)), ("second", (1.0, 0.0))):
        passage = IndexedPassage.objects.get(page__url=f"{host.base_url}{name}")
        IndexedPassage.objects.filter(pk=passage.pk).update(vector=pack_vector(vector))
    assert find(host, "noon bell", vector=(0.0, 1.0))[0] == "first"
    assert find(host, "noon bell", vector=(1.0, 0.0))[0] == "second"


def test_a_vector_is_stored_in_two_bytes_a_number():
    assert unpack_vector(pack_vector((0.5, -0.25, 1.0))) == (0.5, -0.25, 1.0)
    assert len(pack_vector([0.1] * 384)) == 768


def test_a_passage_without_a_vector_counts_as_the_average_of_the_others():
    stored = [pack_vector((1.0, 0.0)), None, pack_vector((0.0, 1.0)), pack_vector((1.0,))]
    assert measure_cosines(stored, (1.0, 0.0)) == [1.0, 0.5005, 0.001, 0.5005]
    assert measure_cosines(stored, None) == [0.0] * 4


def test_vectors_are_made_a_few_at_a_time_newest_first(host):
    for number in range(20):
        index(host, f"p{number}", f"Bell number {number} rings.")
    asked: list[str] = []

    def embed(texts):
        asked.extend(texts)
        return [(1.0, 0.0)] * len(texts)

    assert lack_vectors(name=MINILM)
    model = note_model(name=MINILM, digests={"a"})
    assert make_vectors(embed=embed, model=model) == 16
    assert asked[0] == "p19. . Bell number 19 rings."
    assert lack_vectors(name=MINILM)
    assert make_vectors(embed=embed, model=model) == 4
    assert not lack_vectors(name=MINILM)
    assert make_vectors(embed=embed, model=model) == 0
    assert make_vectors(embed=lambda texts: [], model=model) == 0


def test_the_nearest_passages_by_words_get_their_vectors_when_they_are_asked_for(host):
    for number in range(3 * NEAREST):
        index(
            host, f"p{number}", f"The bell rings at noon, on day {number}.", "At noon the bell rings. " * (number % 2)
        )
    note_model(name=MINILM, digests={"a"})
    asked: list[str] = []

    def embed(texts):
        asked.extend(texts)
        return [(1.0, 0.0) if "day 7." in text else (0.0, 1.0) for text in texts]

    def look():
        return search_passages(
            host_id=host.pk,
            question=read_question("noon bell"),
            weights=FIRST_WEIGHTS,
            vector=(1.0, 0.0),
            limit=100,
            embed=embed,
        )

    found = look()
    assert len(asked) == len(found) == NEAREST
    assert found[0].url == f"{host.base_url}p7" and all(each.features.cosine for each in found)
    assert IndexedPassage.objects.exclude(vector=None).count() == NEAREST
    # They are kept: the next question about them waits for none.
    assert look() == found and len(asked) == NEAREST


def test_vectors_of_another_model_are_not_compared_and_are_made_again(host):
    index(host, "first", "The bell rings at noon, as it always has.")
    index(host, "second", "At noon the bell of the tower is heard.")
    meanings = {"as it always has": (0.0, 1.0), "of the tower": (1.0, 0.0)}

    def embed(texts):
        return [next(vector for words, vector in meanings.items() if words in text) for text in texts]

    make_vectors(embed=embed, model=note_model(name=MINILM, digests={"a"}))
    by_words = find(host, "noon bell")
    other = by_words[1]
    asked = (0.0, 1.0) if other == "first" else (1.0, 0.0)
    assert find(host, "noon bell", vector=asked)[0] == other
    newer = note_model(name=MINILM, digests={"b"})
    assert find(host, "noon bell", vector=asked) == by_words
    index(host, "third", "The owl, of the tower, sleeps.")
    assert lack_vectors(name=MINILM)
    assert make_vectors(embed=embed, model=newer) == 3
    assert find(host, "noon bell", vector=asked)[0] == other
    # Its name alone is enough: another process may know the digest only later.
    assert not lack_vectors(name=MINILM) and lack_vectors(name="another:latest")


def test_a_model_keeps_its_number_until_its_name_or_its_digest_changes(db):
    first = note_model(name=MINILM, digests={"b"})
    assert note_model(name=MINILM, digests={"b"}) == first
    # Servers that disagree make nothing new, as long as one has it.
    assert note_model(name=MINILM, digests={"a", "b"}) == first
    assert note_model(name=MINILM, digests={"a"}) == first + 1
    assert note_model(name="another:latest", digests={"a"}) == first + 2
    assert note_model(name=MINILM, digests={"b"}) == first + 3 == read_model_number()


def test_a_page_that_only_one_run_saw_waits_for_a_second_reading(host):
    body = make_html("Foxes", "Quick foxes live near the river bank.")
    step = make_step(url=f"{host.base_url}foxes", body=body)
    ingest_outcome(outcome_id=make_outcome(host, steps=[step]).pk, now=START)
    assert not IndexedPage.objects.exists()
    ingest_outcome(outcome_id=make_outcome(host, steps=[step]).pk, now=START + timedelta(hours=1))
    assert IndexedPage.objects.get().url == f"{host.base_url}foxes"


def test_what_is_purged_leaves_the_index(host):
    other = make_host()
    for each in (host, other):
        index(each, "roses", "Roses are pruned in late winter.")
    purge_memory(host_id=host.pk, outcome_id=None, since=None, by=command_line("ada"), origin="tests")
    assert list(IndexedPage.objects.values_list("host", flat=True)) == [other.pk]
    assert HostIndex.objects.get(host=host).passages == 0
    assert forget_addresses(host_id=other.pk, urls=[f"{other.base_url}roses"]) == 1
    assert not IndexedPassage.objects.exists()


@pytest.mark.parametrize(
    "prompt",
    ["", "???", "\x00", "a " * 5_000, "Where do the bells ring? " * 400, "日本語のページ", "{}' ; DROP TABLE --"],
)
def test_any_question_is_only_a_question(host, prompt):
    index(host, "bells", "The bells ring at noon.")
    with CaptureQueriesContext(connection) as captured:
        find(host, prompt)
    assert len(captured) <= 5


def test_a_page_cannot_raise_its_rank_by_repetition(host):
    index(host, "bells", "The bells of the harbour ring at noon, for an hour.")
    index(host, "stuffed", "Bells harbour ring noon. " * 200)
    stuffed = [name for name in find(host, "When do the harbour bells ring?", limit=30) if name == "stuffed"]
    assert len(stuffed) <= 5
    assert "bells" in find(host, "When do the harbour bells ring?", limit=30)


def test_a_page_of_many_stuffed_sections_crowds_out_no_other(host, monkeypatch):
    monkeypatch.setattr("learning.index.search.READ", 30)
    sections = "".join(f"<h2>s{n}</h2><p>When do harbour bells ring? Number {n} of them.</p>" for n in range(60))
    url = f"{host.base_url}stuffed"
    page = parse_page(body=sections.encode(), media_type="text/html", url=url, site=host.as_site())
    index_page(host_id=host.pk, url=url, page=page, snapshot_digest="", now=START)
    index(host, "bells", "The bells of the harbour ring at noon.")
    assert "bells" in find(host, "When do the harbour bells ring?", limit=30)


def test_the_same_question_finds_the_same_in_the_same_order(host):
    for number in range(READ + 50):
        index(host, f"p{number}", f"The bell of house {number % 7} rings at noon.")
    assert find(host, "bell at noon") == find(host, "bell at noon")


def test_a_question_of_words_that_stand_everywhere_costs_little(host):
    for number in range(300):
        index(host, f"p{number}", f"The bell of house {number} rings at noon.")
    count_terms(host.pk)
    began = time.process_time()
    assert len(find(host, "bell house rings noon")) == 10
    assert time.process_time() - began < 0.5


def test_of_words_that_are_all_frequent_passages_are_looked_up_that_hold_several(host, monkeypatch):
    monkeypatch.setattr("learning.index.search.LOOKED_UP", 4)
    for number in range(20):
        word = "bell" if number % 2 else "noon"
        index(host, f"p{number}", f"The {word} of house {number} is known to all.")
    index(host, "both", "The bell is heard at noon, as is known to all.")
    count_terms(host.pk)
    # The ten of one word that come first would fill what may be looked up.
    assert find(host, "bell noon") == ["both"]


def test_a_question_of_hundreds_of_words_is_searched_by_its_rarest(host):
    for number in range(60):
        index(host, f"p{number}", " ".join(f"word{place}x" for place in range(number, number + 30)))
    count_terms(host.pk)
    began = time.process_time()
    assert find(host, " ".join(f"word{place}x" for place in range(90)))
    assert time.process_time() - began < 0.2


def test_a_word_without_end_is_left_out_and_its_page_is_indexed(host):
    assert index(host, "dump", f"The dump begins: {'0123456789abcdef' * 500} and ends at noon.") > 0
    assert find(host, "When does the dump end?") == ["dump"] * len(find(host, "When does the dump end?"))


def test_words_that_stand_nowhere_take_no_place_from_those_that_do(host):
    for number in range(3):
        index(host, f"p{number}", f"The bell of house {number} rings at noon.")
    count_terms(host.pk)
    unknown = " ".join(f"unknown{number}x" for number in range(40))
    assert find(host, f"{unknown} When does the bell ring?") != []


def test_a_page_that_says_what_another_says_keeps_nothing_of_its_own(host):
    index(host, "a", "The bell rings at noon.", title="Same")
    index(host, "b", "The owl lives in the tower.", title="Same")
    index(host, "b", "The bell rings at noon.", title="Same")
    assert find(host, "owl tower") == []


def test_a_text_that_is_refused_stops_no_others(host):
    for number in range(5):
        index(host, f"p{number}", f"Bell number {number} rings.")

    def embed(texts):
        if any("number 3" in text for text in texts):
            raise ModelInvalid("refused")
        return [(1.0, 0.0)] * len(texts)

    assert make_vectors(embed=embed, model=note_model(name=MINILM, digests={"a"})) == 5
    assert not lack_vectors(name=MINILM)
    assert IndexedPassage.objects.filter(vector=b"").count() == 1
