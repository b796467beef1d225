"""Which passages of the pages read are quoted, and how likely they answer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from training.agent.brain import INDEXED, MISLED, NAMED, PASSAGE, Recalled
from training.agent.highlighting import ANSWER_MAX, find_answer
from training.agent.quoting import (
    BEST,
    OTHERS,
    QUOTES_MAX,
    WEAK_SHARE,
    choose_passages,
    holds_phrases,
    knows_better,
    measure_support,
    quote,
    quote_phrases,
    rank_passages,
)
from training.agent.ranking import FIRST_SUPPORT, FIRST_WEIGHTS
from training.agent.reading.evidence import ReadPage
from training.agent.reading.page import parse_page
from training.agent.reading.passages import Passage, cut_passages
from training.agent.reading.words import read_question
from training.agent.task import Site

SITE = Site("stub", "http://site.example/")
FRAME = "<p>This garden is kept by volunteers, who meet on the first Saturday.</p>"


def evidence(path: str, title: str, *paragraphs: str) -> ReadPage:
    url = f"http://site.example/{path}"
    body = f"<title>{title}</title>{FRAME}" + "".join(f"<p>{text}</p>" for text in paragraphs)
    page = parse_page(body=body.encode(), media_type="text/html", url=url, site=SITE)
    return ReadPage(page, frozenset({url}), f"digest of {path}")


ROSES = evidence(
    "roses",
    "About roses",
    "They are pruned in late winter, before the buds begin to swell.",
    "Water is best given in the morning, at the root and not on the leaves.",
)
TREES = evidence("trees", "About trees", "An old oak stands at the gate and has stood there for long.")
PAGES = (ROSES, TREES)


def quotes(prompt: str) -> list[str]:
    """The sentences that the quotes answer with, or the phrases found."""
    question = read_question(prompt)
    if question.phrases:
        return [quote.text for quote in quote_phrases(question, PAGES)]
    ranked = rank_passages(question, PAGES, recalled=(), weights=FIRST_WEIGHTS)
    return [each.answer for each in quote(question, choose_passages(question, ranked))]


def test_the_passage_that_covers_the_question_is_quoted() -> None:
    assert quotes("Where does the old oak stand?")[0].startswith("An old oak")


def test_the_title_says_what_a_passage_is_about() -> None:
    assert quotes("When are roses pruned?")[0].startswith("They are pruned in late winter, before the buds begin")


def test_a_question_about_something_else_has_no_quotes() -> None:
    assert quotes("What is the capital of France?") == []


def test_a_quoted_phrase_is_found_literally_or_not_at_all() -> None:
    assert quotes("Who says \u201cBEFORE the buds\u00a0begin\u201d?")[0].startswith("They are pruned")
    assert quotes("Who says \u201cbefore the leaves begin\u201d?") == []


def test_a_phrase_over_two_passages_is_found_whatever_its_marks_and_letters() -> None:
    spelled = evidence("a", "A", "It isn\u2019t done in \ufb01ne weather \u2013 not at all.", "Au\u200cf Wiedersehen.")
    question = read_question("Who says \u201cisn't done in fine weather - not at all. auf wied\u201d?")
    found = [quote.text for quote in quote_phrases(question, [spelled])]
    assert found == ["isn\u2019t done in \ufb01ne weather \u2013 not at all. Au\u200cf Wiedersehen."]


def test_a_phrase_over_two_passages_is_cut_out_of_the_page() -> None:
    phrase = "begin to swell. Water is best"
    assert quotes(f"Who says \u201c{phrase}\u201d?") == [phrase]
    assert holds_phrases(read_question(f"Who says \u201c{phrase}\u201d?"), PAGES)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("Who says \u201cbefore the buds begin\u201d?", True),
        ("Who says \u201cbefore the buds end\u201d?", False),
    ],
)
def test_a_question_is_settled_by_what_is_literally_there(prompt: str, expected: bool) -> None:
    assert holds_phrases(read_question(prompt), PAGES) is expected


def test_what_the_index_knows_of_a_passage_decides() -> None:
    question = read_question("When do flowers get cut?")
    [passage] = [each.passage for each in rank_passages(question, [TREES], recalled=(), weights=FIRST_WEIGHTS)]
    known = Recalled(
        0, PASSAGE, "http://site.example/trees", "About trees", passage.text, 2.5, cosine=0.7, is_passage=True
    )
    best = rank_passages(question, PAGES, recalled=[known], weights=FIRST_WEIGHTS)[0]
    assert (best.evidence, best.score, best.features.cosine) == (TREES, 2.5, 0.7)


def test_passages_of_pages_that_are_not_indexed_are_compared_in_meaning() -> None:
    def embed(texts):
        return [(1.0, 0.0) if "oak" in text or "tree" in text.lower() else (0.0, 1.0) for text in texts]

    question = read_question("What does the plant with acorns look like, tree or not?")
    best = rank_passages(question, PAGES, recalled=(), weights=FIRST_WEIGHTS, embed=embed)[0]
    assert (best.evidence, best.features.cosine) == (TREES, 1.0)


def test_what_was_not_recalled_of_an_indexed_page_is_not_compared_once_more() -> None:
    asked: list[str] = []

    def embed(texts):
        asked.extend(texts)
        return [(1.0, 0.0)] * len(texts)

    question = read_question("When are roses pruned?")

    def compare(digest: str) -> list[str]:
        asked.clear()
        recalled = [Recalled(0, INDEXED, TREES.page.url, "About trees", digest, 0.0)]
        rank_passages(question, PAGES, recalled=recalled, weights=FIRST_WEIGHTS, embed=embed)
        return [name for name, words in (("roses", "late winter"), ("trees", "oak")) if words in str(asked)]

    assert compare(TREES.page.content_digest) == ["roses"]
    # It says something else by now.
    assert compare("another digest") == ["roses", "trees"]


def test_words_that_a_person_named_are_shown_whole_and_with_nothing_more() -> None:
    page = evidence("port", "Ports", "Port", "The server listens here.", "Use the file to change it:", "port = 9090")
    named = tell(NAMED, page, "Use the file to change it:\nport = 9090")
    assert answer("Which port does the server listen on?", named, pages=(page,)) == (
        "Use the file to change it:\nport = 9090"
    )


def test_where_no_model_answers_only_what_was_compared_is_ranked() -> None:
    question = read_question("When do flowers get cut?")
    [passage] = [each.passage for each in rank_passages(question, [TREES], recalled=(), weights=FIRST_WEIGHTS)]
    known = Recalled(0, PASSAGE, TREES.page.url, "", passage.text, 0.1, cosine=0.05, is_passage=True)
    ranked = rank_passages(question, PAGES, recalled=[known], weights=FIRST_WEIGHTS, embed=lambda texts: [])
    assert {each.evidence.page.url for each in ranked} == {TREES.page.url}


def test_while_the_index_compares_words_alone_so_do_the_pages() -> None:
    def embed(texts):
        raise AssertionError("a passage with a cosine would beat every one of the index")

    question = read_question("What does the plant with acorns look like, tree or not?")
    known = Recalled(0, PASSAGE, "http://site.example/oaks", "Oaks", "A tree with acorns.", 0.9, is_passage=True)
    ranked = rank_passages(question, PAGES, recalled=[known], weights=FIRST_WEIGHTS, embed=embed)
    assert not any(each.features.cosine for each in ranked)


def test_by_words_alone_only_nearly_all_of_them_are_support() -> None:
    def support(prompt: str) -> float:
        ranked = rank_passages(read_question(prompt), PAGES, recalled=(), weights=FIRST_WEIGHTS)
        return measure_support(FIRST_SUPPORT, read_question(prompt), choose_passages(read_question(prompt), ranked))

    assert support("Where does the old oak stand?") >= FIRST_SUPPORT.threshold
    assert support("Where do old oaks stand in a wet summer of storms?") < FIRST_SUPPORT.threshold
    assert support("Oak?") < FIRST_SUPPORT.threshold
    assert measure_support(FIRST_SUPPORT, read_question("Where?"), []) == 0


def test_quotes_that_stand_out_from_the_rest_of_the_site_are_surer() -> None:
    question = read_question("When do flowers get cut?")
    passage = rank_passages(question, [ROSES], recalled=(), weights=FIRST_WEIGHTS)[0].passage

    def support(score: float, *, others: float, count: int = BEST + OTHERS) -> float:
        rest = [
            Recalled(0, PASSAGE, f"http://site.example/{number}", "", f"text {number}", others, is_passage=True)
            for number in range(count - 1)
        ]
        best = Recalled(0, PASSAGE, ROSES.page.url, "", passage.text, score, cosine=0.5, is_passage=True)
        ranked = rank_passages(question, [ROSES], recalled=[best, *rest], weights=FIRST_WEIGHTS)[:1]
        return measure_support(FIRST_SUPPORT, question, ranked, recalled=[best, *rest])

    assert support(1.4, others=0.9) > FIRST_SUPPORT.threshold > support(1.4, others=1.3)
    # What cannot be compared is judged by its score alone, whatever the few others have.
    few = BEST + OTHERS - 1
    assert support(1.2, others=0.1, count=few) == support(1.2, others=1.1, count=few) < FIRST_SUPPORT.threshold


def test_what_is_asked_in_the_question_s_own_words_is_no_answer() -> None:
    asked = "When are the roses of this garden pruned each year?"
    passage = Passage("", f"{asked}\nRoses are pruned in late winter, as a rule.")
    assert find_answer(read_question(asked), passage) == "Roses are pruned in late winter, as a rule."


def tell(kind: str, page: ReadPage, text: str = "", *, is_same: bool = True) -> Recalled:
    """What a verdict says of a page."""
    return Recalled(0, kind, page.page.url, "", text, score=float(is_same))


def answer(prompt: str, *told: Recalled, pages: tuple[ReadPage, ...] = PAGES) -> str:
    """The first quote's answer; empty without one."""
    question = read_question(prompt)
    ranked = rank_passages(question, pages, recalled=told, weights=FIRST_WEIGHTS)
    return next((each.answer for each in quote(question, choose_passages(question, ranked))), "")


BOOK = evidence("book", "When roses are pruned", "Roses are pruned in May, says this book.")
PRUNING = "When are roses pruned?"


def test_what_was_judged_wrong_is_not_quoted_for_the_very_question_and_last_for_a_similar_one() -> None:
    pages = (BOOK, ROSES)
    assert answer(PRUNING, pages=pages).startswith("Roses are pruned in May")
    wrong = cut_passages(BOOK.page.sections)[0].text
    assert answer(PRUNING, tell(MISLED, BOOK, wrong, is_same=False), pages=pages).startswith("They are pruned")
    assert answer(PRUNING, tell(MISLED, BOOK, wrong, is_same=False), pages=(BOOK, TREES)).startswith("Roses")
    assert answer(PRUNING, tell(MISLED, BOOK, wrong), pages=(BOOK, TREES)) == ""


def test_the_words_that_a_person_named_are_quoted_first_and_are_no_surer() -> None:
    named = tell(NAMED, ROSES, "BEST given in the  morning")
    assert answer("When do they swell?", named) == (
        "Water is best given in the morning, at the root and not on the leaves."
    )
    question = read_question(PRUNING)
    scores = [
        {each.passage.text: each.score for each in rank_passages(question, PAGES, recalled=told, weights=FIRST_WEIGHTS)}
        for told in ((), (named,))
    ]
    assert scores[0] == scores[1]


def test_a_page_named_for_the_very_question_is_quoted_before_others() -> None:
    pages = (BOOK, ROSES)
    assert answer(PRUNING, tell(NAMED, ROSES), pages=pages).startswith("They are pruned")
    assert answer(PRUNING, tell(NAMED, ROSES, is_same=False), pages=pages).startswith("Roses are pruned in May")


def test_a_quoted_phrase_is_looked_for_on_pages_judged_wrong_last() -> None:
    copy = evidence("copy", "Copy", "They are pruned in late winter, before the buds begin to swell.")
    question = read_question("Who says \u201cbefore the buds begin\u201d?")
    told = (tell(MISLED, ROSES, "x"),)
    assert quote_phrases(question, (ROSES, copy))[0].url == ROSES.page.url
    assert len(quote_phrases(question, (ROSES, copy), recalled=told)) == 1
    assert quote_phrases(question, (ROSES, copy), recalled=told)[0].url == copy.page.url


def test_an_answer_goes_on_with_what_follows_in_its_passage() -> None:
    asked = read_question("What if I have to fix something else before my change is done?")
    restated, said, kept = (
        "You may have to fix something else before your change is done.",
        "You can use the stash to put it aside for that time, and get it back later.",
        "It is kept for you, as long as you like.",
    )
    passage = Passage("Stash", f"Something about branches stands in this line.\n{restated} {said} {kept}\nMore.")
    assert find_answer(asked, passage) == f"{restated} {said} {kept}"
    long = Passage("Stash", f"{restated} {'Word after word after word. ' * 20}".strip())
    assert len(find_answer(asked, long)) <= ANSWER_MAX


def test_an_answer_that_leads_on_to_a_line_of_code_shows_that_line() -> None:
    asked = read_question("How do I limit the size of an upload?")
    passage = Passage("Limits", "To limit the size of an upload, use the following:\nLimitRequestBody 102400")
    assert find_answer(asked, passage) == passage.text


def test_a_run_goes_on_while_another_page_has_a_passage_that_would_be_quoted() -> None:
    question = read_question("When are roses and trees pruned or felled?")
    chosen = choose_passages(question, rank_passages(question, PAGES, recalled=(), weights=FIRST_WEIGHTS))
    least = chosen[-1].score if len(chosen) == QUOTES_MAX else chosen[0].score * WEAK_SHARE
    better = Recalled(0, PASSAGE, "http://site.example/other", "", "text", least + 0.1, is_passage=True)
    assert knows_better(chosen, recalled=[better], visited={ROSES.page.url})
    assert not knows_better(chosen, recalled=[better], visited={better.url})
    assert not knows_better(chosen, recalled=[replace(better, score=least - 0.1)], visited=set())


def test_a_quoted_phrase_is_not_quoted_again_from_what_was_judged_wrong() -> None:
    twice = evidence(
        "twice",
        "Twice",
        "The red rose smells of nothing at all in the evening.",
        "He says the red rose at the door is his, and no other is.",
    )
    question = read_question("Who says \u201cthe red rose\u201d?")

    def find(*told: Recalled, pages: tuple[ReadPage, ...] = (twice,)) -> list[str]:
        return [quote.text for quote in quote_phrases(question, pages, recalled=told)]

    smells, his = twice.page.passages[-2:]
    first, second = tell(MISLED, twice, "The  red rose smells of nothing"), tell(MISLED, twice, "says the red rose")
    assert find() == [smells]
    assert find(first) == [his]
    assert find(first, second) == []
    assert find(tell(MISLED, twice, smells, is_same=False)) == [smells]
    assert find(first, tell(NAMED, twice, "rose smells")) == [smells]


def test_where_one_of_two_phrases_was_judged_wrong_nothing_is_quoted() -> None:
    question = read_question("Who says \u201cbefore the buds begin\u201d and \u201cstands at the gate\u201d?")
    wrong = tell(MISLED, ROSES, "They are pruned in late winter, before the buds begin to swell.")
    assert len(quote_phrases(question, PAGES)) == 2
    assert quote_phrases(question, PAGES, recalled=(wrong,)) == ()


def test_a_passage_is_left_out_when_a_part_of_it_was_judged_wrong() -> None:
    assert answer(PRUNING, tell(MISLED, BOOK, "pruned in May"), pages=(BOOK, TREES)) == ""


def test_a_stretch_is_chosen_by_what_its_sentences_mean():
    """Each sentence is sent once, however many stretches it is part of."""
    sentences = [
        "The beds are dug over in the second half of autumn.",
        "A layer of mulch keeps them moist until the summer.",
        "Snow that lies on them protects what grows in them.",
        "Slugs come out of the hedge and eat during the night.",
    ]
    passage = Passage("Garden › Beds", " ".join(sentences))
    sent = []

    def embed(texts):
        sent.extend(texts)
        return [(1.0, 0.0) if text.startswith("What") or "Snow" in text else (0.0, 1.0) for text in texts]

    asked = read_question("What shields plants while it freezes?")
    assert find_answer(asked, passage, embed=embed) == " ".join(sentences[2:])
    assert sent == [asked.prompt, *(f"Beds: {sentence}" for sentence in sentences)]
