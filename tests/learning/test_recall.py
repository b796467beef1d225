"""Recall: what a run is given, the same each time, whatever the prompt tries."""

from __future__ import annotations

import time

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from learning.index.indexing import index_page
from learning.lessons import Lesson, item_key
from learning.memory import store_lessons
from learning.models import MemoryItem
from learning.recall import (
    LIMIT,
    WITHHOLD_SHARE,
    cut_excerpt,
    recall,
    shown,
    withhold,
)
from tests.factories import START, make_host, make_html, make_outcome
from training.agent.brain import INDEXED, PASSAGE, PITFALL, RULED_OUT, Recalled
from training.agent.reading.page import parse_page
from training.models import Host
from training.runs import keep_snapshot

PAGES = {
    "fox": "The quick brown fox jumps over the lazy dog near the river bank.",
    "foxes": "Quick brown foxes jumped over lazy dogs near river banks.",
    "queue": "A queue is a collection of entities that are maintained in a sequence.",
    "path": "Use os.path_join(first, second) to put two parts of a path together.",
    "hamlet": "To be or not to be, that is what the prince would like to know.",
}


@pytest.fixture
def memory(host: Host) -> dict[str, int]:
    """Trusted pages of one host; ids by name."""
    return {name: remember(host, name, text) for name, text in PAGES.items()}


def remember(host: Host, name: str, text: str, *, status: str = "trusted") -> int:
    from lealife.core.digest import digest_bytes

    body, url = make_html(name, text), f"{host.base_url}{name}"
    keep_snapshot(body, digest=digest_bytes(body), media_type="text/html")
    page = parse_page(body=body, media_type="text/html", url=url, site=host.as_site())
    lesson = Lesson(
        "page", item_key("page", url), url, page.title, page.text, page.content_digest, page.text,
        snapshot_digest=digest_bytes(body), page=page,
    )  # fmt: skip
    outcome = _outcome_of(host)
    store_lessons(outcome=outcome, lessons=[lesson], now=START)
    item = MemoryItem.objects.get(host=host, url=url)
    MemoryItem.objects.filter(pk=item.pk).update(status=status)
    if status == "trusted":
        index_page(host_id=host.pk, url=url, page=page, snapshot_digest=digest_bytes(body), now=START)
    return item.pk


def _outcome_of(host: Host):
    from training.models import TrainingOutcome

    return TrainingOutcome.objects.filter(host=host).first() or make_outcome(host)


def ids(items: tuple[Recalled, ...]) -> list[int]:
    return [item.item_id for item in shown(items)]


def ruled_out(items: tuple[Recalled, ...]) -> set[int]:
    return {item.item_id for item in items if item.kind == RULED_OUT}


def test_a_quoted_phrase_is_answered_by_the_page_that_holds_it_literally(host, memory):
    items = recall(host_id=host.pk, prompt="Which page says “quick brown fox jumps over the lazy dog”?")
    assert ids(items) == [memory["fox"]]
    assert "quick brown fox jumps over the lazy dog" in items[0].text


@pytest.mark.parametrize("prompt", ['Who says "QUICK brown FOX jumps"?', "Who says “quick  brown\nfox jumps”?"])
def test_a_phrase_is_found_whatever_its_case_and_white_space(host, memory, prompt):
    assert ids(recall(host_id=host.pk, prompt=prompt)) == [memory["fox"]]


def test_a_phrase_with_an_identifier_is_found(host, memory):
    assert ids(recall(host_id=host.pk, prompt="Which page says “os.path_join(first, second)”?")) == [memory["path"]]


def test_known_pages_without_the_phrase_are_ruled_out(host, memory):
    items = recall(host_id=host.pk, prompt="Which page says “quick brown fox jumps over the lazy dog”?")
    assert ruled_out(items) == set(memory.values()) - {memory["fox"]}


def test_nothing_is_ruled_out_without_a_phrase(host, memory):
    assert ruled_out(recall(host_id=host.pk, prompt="Where are queues explained?")) == set()


def test_a_phrase_of_words_too_common_to_search_rules_nothing_out(host, memory):
    assert ruled_out(recall(host_id=host.pk, prompt="Which page says “to be or not to be”?")) == set()


def test_a_page_that_holds_the_phrase_is_not_ruled_out_however_many_others_do(host):
    pages = [remember(host, f"p{number}", f"{PAGES['fox']} {number}") for number in range(LIMIT + 4)]
    items = recall(host_id=host.pk, prompt=f"Which page says “{PAGES['fox']}”?")
    assert len(ids(items)) == LIMIT
    assert ruled_out(items) & set(pages) == set()


def test_other_prompts_get_the_items_with_all_their_words_first(host, memory):
    items = recall(host_id=host.pk, prompt="Where is a queue or collection of entities in sequence explained, fox?")
    assert ids(items)[0] == memory["queue"]
    assert memory["fox"] in ids(items)


def test_stems_are_found_too(host, memory):
    assert memory["queue"] in ids(recall(host_id=host.pk, prompt="maintaining sequences"))


@pytest.mark.parametrize("status", ["quarantined", "retired"])
def test_only_trusted_items_are_recalled(host, status):
    remember(host, "fox", PAGES["fox"], status=status)
    assert recall(host_id=host.pk, prompt="Which page says “quick brown fox”?") == ()
    assert recall(host_id=host.pk, prompt="quick fox") == ()


def test_another_hosts_memory_is_not_recalled(host, memory):
    assert recall(host_id=make_host().pk, prompt="Which page says “quick brown fox”?") == ()


def test_no_more_than_the_limit_is_shown(host):
    for number in range(LIMIT + 3):
        remember(host, f"p{number}", f"A giraffe of number {number} eats leaves.")
    assert len(ids(recall(host_id=host.pk, prompt="Where do giraffes eat leaves?"))) == LIMIT
    assert len(ids(recall(host_id=host.pk, prompt="giraffe", limit=3))) == 3


def test_an_address_is_recalled_once(host, memory):
    url = MemoryItem.objects.get(pk=memory["fox"]).url
    lesson = Lesson("route", "r", url, "fox", PAGES["fox"], "", PAGES["fox"])
    store_lessons(outcome=_outcome_of(host), lessons=[lesson], now=START)
    MemoryItem.objects.update(status="trusted")
    items = shown(recall(host_id=host.pk, prompt="quick brown fox"))
    assert len({item.url for item in items}) == len(items)


def test_what_helped_before_comes_first(host):
    first, second = (remember(host, name, "A giraffe eats leaves.") for name in ("a", "b"))
    assert ids(recall(host_id=host.pk, prompt="giraffe leaves")) == [first, second]
    MemoryItem.objects.filter(pk=second).update(checked_count=4, helped_count=4)
    assert ids(recall(host_id=host.pk, prompt="giraffe leaves")) == [second, first]


def test_words_said_many_times_are_worth_no_more_than_once(host):
    first = remember(host, "a", "A giraffe eats leaves of tall trees.")
    remember(host, "b", "Giraffe leaves, giraffe leaves: giraffe leaves, leaves, giraffe. " * 20)
    assert ids(recall(host_id=host.pk, prompt="What leaves does a giraffe eat?"))[0] == first


def test_a_page_named_as_the_question_comes_before_one_that_is_stuffed_with_its_words(host):
    remember(host, "guestbook", "Where do giraffes eat leaves? Where are queues explained? Where do foxes jump?")
    named = remember(host, "giraffes", "They eat leaves, mostly.")
    assert ids(recall(host_id=host.pk, prompt="Where do giraffes eat leaves?"))[0] == named


def test_a_sighting_more_moves_nothing(host):
    first, second = (remember(host, name, "A giraffe eats leaves.") for name in ("a", "b"))
    MemoryItem.objects.filter(pk=second).update(sightings=1_000)
    assert ids(recall(host_id=host.pk, prompt="giraffe leaves")) == [first, second]


def test_an_item_says_why_it_is_recalled(host):
    remember(host, "a", "A giraffe eats leaves.")
    MemoryItem.objects.update(checked_count=4, helped_count=3)
    [item] = recall(host_id=host.pk, prompt="giraffe leaves")
    assert item.why == "Holds 100% of the question’s words: bm25 0.10 + text 0.50. Helped in 3 of 4 checked runs."


def test_a_passage_stands_for_the_item_of_its_page(host):
    item_id = remember(host, "a", "A giraffe eats leaves.")
    MemoryItem.objects.update(checked_count=4, helped_count=4)
    [item] = recall(host_id=host.pk, prompt="giraffe leaves")
    assert (item.item_id, item.kind, item.is_passage, item.text) == (item_id, "page", True, "A giraffe eats leaves.")
    assert item.record > 0.5


def test_a_withheld_item_leaves_its_passage_without_the_record(host):
    item_id = remember(host, "a", "A giraffe eats leaves.")
    MemoryItem.objects.update(checked_count=4, helped_count=4)
    items = recall(host_id=host.pk, prompt="giraffe leaves")
    run_id = next(number for number in range(1_000) if withhold(items, run_id=number)[1])
    [passage], withheld = withhold(items, run_id=run_id)
    assert withheld == [item_id]
    assert (passage.item_id, passage.kind, passage.record, passage.text) == (0, PASSAGE, 0.0, items[0].text)


@pytest.mark.parametrize(
    "prompt",
    ["Which page says “quick brown fox”?", "queue of entities in a path", "“fox jumps over” and “a queue is a”"],
)
def test_the_same_prompt_and_memory_give_the_same_items_in_the_same_order(host, memory, prompt):
    assert len({recall(host_id=host.pk, prompt=prompt) for _ in range(3)}) == 1


HOSTILE = [
    "",
    "   ",
    "\x00",
    "“\x00\x00\x00\x00\x00\x00\x00\x00\x00”",
    "quick\x00brown “quick\x00brown fox jumps”",
    "& | ! <-> () :* :A",
    "“fox & | ! <-> (dog) :* 'x' \\ ”",
    "'; DROP TABLE memory_items; --",
    "“'; DROP TABLE memory_items; -- ”",
    "%s %(host)s {query} {0} $1",
    "“%(host)s {query} %s”",
    "\\" * 500,
    "'" * 501,
    "“" * 1_000,
    "x" * 20_000,
    "“" + "x" * 390 + "”" + "y" * 19_000,
    "fox " * 5_000,
    " ".join(f"word{number}" for number in range(2_500)),
    "ﷺ 𝔘𝔫𝔦 \u202e\u200b ünïcödé 日本語のページ “日本語のページはここにあります”",
    "a:b:c foo@bar.example http://x/y?z=1 1.5e10 -3",
]


@pytest.mark.parametrize("prompt", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_prompt_is_only_a_question(host, memory, prompt):
    items = recall(host_id=host.pk, prompt=prompt)
    assert len(shown(items)) <= LIMIT
    assert MemoryItem.objects.count() == len(PAGES)


def test_a_prompt_full_of_phrases_costs_no_more_than_a_few(host, memory):
    prompt = " ".join(f"“quick brown {number:06}”" for number in range(1_000))[:20_000]
    began = time.monotonic()
    with CaptureQueriesContext(connection) as captured:
        recall(host_id=host.pk, prompt=prompt)
    assert len(captured) <= 30
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "prompt",
    [
        "What's the fox's way over the lazy dog at the river's bank?",
        "I don't know where the quick fox jumps over the lazy dog, and I can't find it.",
        "Where does ‘the fox’ jump over the lazy dog? It’s said that it’s near the river.",
    ],
)
def test_an_apostrophe_opens_no_quotation(host, memory, prompt):
    recalled = recall(host_id=host.pk, prompt=prompt)
    assert memory["fox"] in ids(recalled)[:2]
    assert all(item.kind != RULED_OUT for item in recalled)


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("Don’t panic about the widget at all, dear reader of this page.", "Who says “don't panic about”?"),
        ("Le café naïf est ouvert chaque soir de la semaine.", "Who says “cafe\u0301 nai\u0308f est ouvert”?"),
        ("The re‑use of the ﬁnal widget is allowed for ninety days.", "Who says “re-use of the final widget”?"),
        ("紫色小部件的保留期限为九十天，由供应商负责。请联系负责人。", "Who says “保留期限为九十天，由供应商”?"),
        ("紫色小部件的保留期限为九十天，由供应商负责。请联系负责人。", "紫色小部件的保留期限是多少天？"),
        ("ระยะเวลาเก็บรักษาวิดเจ็ตสีม่วงคือเก้าสิบวัน กรุณาติดต่อผู้ดูแล", "Who says “วิดเจ็ตสีม่วงคือเก้าสิบวัน”?"),
        ("می‌خواهم کتاب‌ها را نگه دارم و نود روز بخوانم.", "Who says “کتابها را نگه دارم”?"),
    ],
)
def test_a_page_that_spells_the_words_in_another_way_is_found_and_not_ruled_out(host, memory, text, prompt):
    page = remember(host, "other", text)
    items = recall(host_id=host.pk, prompt=prompt)
    assert ids(items)[0] == page
    assert page not in ruled_out(items)


def test_an_excerpt_stands_around_the_phrase():
    text = f"{'before ' * 50}The  Needle\nitself {'after ' * 50}"
    excerpt = cut_excerpt(text, "the needle itself", around=20)
    assert "The Needle itself" in excerpt
    assert len(excerpt) == len("The Needle itself") + 40
    assert cut_excerpt(text, "no such needle") == ""


def make_items(count: int) -> tuple[Recalled, ...]:
    return tuple(Recalled(number, "page", f"u{number}", "", "", 1.0) for number in range(count))


def test_what_is_withheld_depends_on_run_and_item_alone():
    items = make_items(50)
    for run_id in range(20):
        kept, withheld = withhold(items, run_id=run_id)
        assert (kept, withheld) == withhold(items, run_id=run_id)
        assert {item.item_id for item in kept} | set(withheld) == set(range(50))
        backwards, same = withhold(items[::-1], run_id=run_id)
        assert (backwards[::-1], sorted(same)) == (kept, sorted(withheld))


def test_about_one_item_in_twenty_five_is_withheld():
    withheld = sum(len(withhold(make_items(100), run_id=run_id)[1]) for run_id in range(200))
    assert abs(withheld / 20_000 - WITHHOLD_SHARE) < 0.006


def test_a_page_that_is_only_ruled_out_is_never_withheld():
    items = tuple(Recalled(number, RULED_OUT, f"u{number}", "", "", 0.0) for number in range(200))
    assert withhold(items, run_id=1) == (items, [])


def test_a_pitfall_at_a_withheld_address_stays_a_pitfall():
    item = Recalled(7, "page", "u", "", "text", 1.0, is_passage=True)
    pitfall = Recalled(8, PITFALL, "u", "", "", 0.0)
    run_id = next(number for number in range(1_000) if withhold((item,), run_id=number)[1])
    (passage, kept), _ = withhold((item, pitfall), run_id=run_id)
    assert (passage.kind, kept) == (PASSAGE, pitfall)


def test_the_page_where_runs_begin_is_named_when_it_is_indexed(host: Host, memory: dict[str, int]) -> None:
    def start() -> list[str]:
        return [item.url for item in recall(host_id=host.pk, prompt="What is a queue?") if item.kind == INDEXED]

    assert start() == []
    page = parse_page(
        body=make_html("Home", "Welcome."), media_type="text/html", url=host.base_url, site=host.as_site()
    )
    index_page(host_id=host.pk, url=host.base_url, page=page, snapshot_digest="", now=START)
    assert start() == [host.base_url]
