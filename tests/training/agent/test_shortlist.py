"""The ranking of what to open next."""

from __future__ import annotations

import time

from tests.training.agent.sites import remembered
from training.agent.brain import Recalled
from training.agent.ranking import FIRST_WEIGHTS
from training.agent.reading.links import Link
from training.agent.reading.words import read_question
from training.agent.shortlist import Candidates
from training.agent.task import Site
from training.agent.trajectory import Choice

SITE = Site("stub", "http://site.example/")


def rank(prompt: str, links: list[tuple[str, str]], *memories: Recalled, size: int = 5) -> list[Choice]:
    candidates = Candidates(question=read_question(prompt), site=SITE, memories=memories, weights=FIRST_WEIGHTS)
    candidates.add_links(Link(f"http://site.example/{path}", text) for path, text in links)
    return list(candidates.rank(visited=frozenset(), size=size))


def test_the_link_named_in_the_question_comes_first() -> None:
    shortlist = rank(
        "How do I parse arguments with argparse?",
        [("ast.html", "ast"), ("sre_parse.html", "sre_parse"), ("argparse.html", "argparse")],
    )
    assert shortlist[0].url.endswith("argparse.html")


def test_an_exact_name_comes_before_a_similar_one() -> None:
    links = [("_json.html", "_json"), ("json.html", "json (package)"), ("json.tool.html", "json.tool")]
    assert rank("What is in json?", links)[0].title == "json (package)"


def test_rare_words_outweigh_common_ones() -> None:
    links = [(f"guide{n}.html", f"guide {n}") for n in range(20)] + [("x.html", "roses")]
    assert rank("guide to roses", links)[0].title == "roses"


def test_words_of_the_address_count() -> None:
    assert rank("the xml parsers", [("a.html", "first"), ("lib/xml.parsers.html", "second")])[0].title == "second"


def test_a_remembered_page_with_the_quoted_words_comes_first() -> None:
    shortlist = rank(
        "Which page says \u201cpruned in late winter\u201d?",
        [("winter.html", "late winter"), ("pruned.html", "pruned")],
        remembered("http://site.example/roses.html", "Roses are pruned in late winter.", score=2.0),
    )
    assert (shortlist[0].url, shortlist[0].why) == ("http://site.example/roses.html", "memory")


def test_memory_can_lift_a_link_that_says_nothing_itself() -> None:
    shortlist = rank(
        "When are roses pruned?",
        [("p1.html", "Page 1"), ("p2.html", "Page 2")],
        remembered("http://site.example/p2.html", "roses pruned when", kind="route"),
    )
    assert (shortlist[0].url, shortlist[0].why) == ("http://site.example/p2.html", "memory")


def test_a_pitfall_sinks() -> None:
    links = [("roses.html", "roses"), ("roses-old.html", "roses")]
    pitfall = remembered("http://site.example/roses.html", "no use", kind="pitfall")
    assert rank("roses", links)[0].url.endswith("/roses.html")
    assert rank("roses", links, pitfall)[0].url.endswith("/roses-old.html")
    assert rank("roses", [], pitfall) == []


def test_memory_of_other_sites_and_kinds_is_left_out() -> None:
    assert (
        rank(
            "roses",
            [],
            remembered("http://elsewhere.example/roses.html", "roses"),
            remembered("javascript:alert(1)", "roses"),
            remembered("http://site.example/x.html", "roses", kind="exemplar"),
        )
        == []
    )


def test_ties_keep_the_order_of_the_page() -> None:
    links = [(f"{name}.html", name) for name in "dcba"]
    assert [choice.title for choice in rank("nothing matches", links)] == list("dcba")


def test_links_without_evidence_give_way_to_those_with() -> None:
    links = [("a.html", "a"), ("roses.html", "roses"), ("rose-care.html", "rose care")]
    assert len(rank("roses", links)) == 2
    assert len(rank("oak", links)) == 3


def test_the_list_is_no_longer_than_asked_and_leaves_out_the_visited() -> None:
    candidates = Candidates(question=read_question("x"), site=SITE, memories=(), weights=FIRST_WEIGHTS)
    candidates.add_links(Link(f"http://site.example/{n}", str(n)) for n in range(9))
    ranked = candidates.rank(visited={"http://site.example/0"}, size=3)
    assert [choice.title for choice in ranked] == ["1", "2", "3"]


def test_ranking_2000_links_is_quick() -> None:
    candidates = Candidates(
        question=read_question("module 77 of the library"), site=SITE, memories=(), weights=FIRST_WEIGHTS
    )
    candidates.add_links(Link(f"http://site.example/m{n}.html", f"module {n}") for n in range(2000))
    started = time.thread_time()
    assert candidates.rank(visited=frozenset(), size=5)[0].title == "module 77"
    assert time.thread_time() - started < 0.25


def test_pages_that_a_person_named_are_offered_alone_and_in_their_order() -> None:
    named = [remembered(f"http://site.example/{path}", "x", kind="named") for path in ("b", "a")]
    elsewhere = remembered("http://elsewhere.example/", "x", kind="named")
    wrong = remembered("http://site.example/a", "x", kind="misled")
    candidates = Candidates(
        question=read_question("roses"), site=SITE, memories=(elsewhere, wrong, *named), weights=FIRST_WEIGHTS
    )
    candidates.add_links([Link("http://site.example/roses", "roses")])
    visited: set[str] = set()
    for path, why in (("b", "verdict"), ("a", "verdict"), ("roses", "link")):
        [choice] = candidates.rank(visited=visited, size=5)
        assert (choice.url, choice.why) == (f"http://site.example/{path}", why)
        visited.add(choice.url)
