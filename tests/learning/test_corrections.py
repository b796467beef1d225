"""What a run is told of people's verdicts on questions worded like its own."""

from __future__ import annotations

import pytest

from lealife.core.actors import command_line
from learning.memory import retire_items
from learning.models import MemoryItem
from learning.recall import recall
from promotion.evaluation.freezing import freeze_inputs
from promotion.recipes import base_recipe
from tests.learning.test_expiry import make_task
from tests.learning.test_recall import PAGES, remember
from tests.promotion.scenes import BASE, Servers, make_base_tags
from training.agent.brain import MISLED, NAMED, TOLD_KINDS, VISITABLE_KINDS, Recalled
from training.agent.ranking import FIRST_WEIGHTS
from training.agent.reading.links import Link
from training.agent.reading.words import read_question
from training.agent.shortlist import Candidates
from training.models import Host, OperatorVerdict, Run

FOX = "Where does the quick brown fox jump?"
ALIKE = "Tell me: where does the quick brown fox jump?"


@pytest.fixture
def memory(host: Host) -> dict[str, int]:
    """Trusted pages of one host; ids by name."""
    return {name: remember(host, name, text) for name, text in PAGES.items()}


def judge(
    host: Host,
    quoted: str,
    *,
    right: bool = False,
    prompt: str = FOX,
    run: Run | None = None,
    named: str = "",
    text: str = "",
) -> Run:
    """A verdict on an answer from a page of the host."""
    run = run or Run.objects.create(
        lane="standard", host=host, prompt=prompt, pages_target=1, max_calls=3, status="succeeded",
        quotes=[{"text": "It said so. Twice.", "highlight": "It said so.", "url": host.base_url + quoted}],
    )  # fmt: skip
    url = host.base_url + named if named else ""
    OperatorVerdict.objects.create(run=run, right=right, by="ada", origin="page", right_url=url, right_text=text)
    return run


def read_told(host: Host, prompt: str = FOX) -> dict[str, list[tuple[str, str, float]]]:
    """Page, words and strength of what a run is told, by kind."""
    told: dict[str, list[tuple[str, str, float]]] = {}
    for item in recall(host_id=host.pk, prompt=prompt):
        if item.kind in TOLD_KINDS:
            told.setdefault(item.kind, []).append((item.url.removeprefix(host.base_url), item.text, item.score))
    return told


def read_recalled(host: Host, prompt: str) -> set[str]:
    items = recall(host_id=host.pk, prompt=prompt)
    return {item.url.removeprefix(host.base_url) for item in items if item.kind in VISITABLE_KINDS}


def rank(host: Host, items: tuple[Recalled, ...], *links: str) -> list[str]:
    candidates = Candidates(question=read_question(FOX), site=host.as_site(), memories=items, weights=FIRST_WEIGHTS)
    candidates.add_links(
        [Link(f"{host.base_url}{link}", "x" if link == "x" else "quick brown fox jump") for link in links]
    )
    return [choice.url.removeprefix(host.base_url) for choice in candidates.rank(visited=set(), size=3)]


def test_a_page_judged_wrong_misleads_no_question_worded_alike(host, memory):
    assert read_recalled(host, FOX) == {"fox", "foxes"}
    judge(host, "fox")
    assert read_recalled(host, ALIKE) == {"foxes"}
    assert read_told(host) == {MISLED: [("fox", "It said so. Twice.", 1.0)]}
    assert read_told(host, ALIKE) == {MISLED: [("fox", "It said so. Twice.", 0.0)]}
    assert read_told(host, "Is a lazy dog near the quick fox?") == {}


def test_a_page_that_misled_is_still_compared_with(host, memory):
    """Without its passages another answer would stand out more, and seem surer."""

    def read_scores() -> list[float]:
        return [item.score for item in recall(host_id=host.pk, prompt=FOX) if item.is_passage]

    before = read_scores()
    judge(host, "fox")
    assert read_scores() == before


def test_a_page_that_misled_is_visited_last(host, memory):
    judge(host, "fox")
    items = recall(host_id=host.pk, prompt=FOX)
    [misled] = [item for item in items if item.kind == MISLED]
    assert misled.why == "An answer from this page to a question like this was judged wrong."
    assert rank(host, items, "fox", "x")[0] == "foxes"


def test_a_page_that_memory_does_not_know_misleads_neither(host):
    judge(host, "unknown")
    assert rank(host, recall(host_id=host.pk, prompt=FOX), "unknown", "x") == ["x"]


def test_a_reversed_verdict_names_the_page_instead(host, memory):
    run = judge(host, "fox")
    judge(host, "fox", right=True, run=run)
    assert read_told(host) == {NAMED: [("fox", "It said so.", 1.0)]}


def test_the_page_that_a_person_named_is_visited_first_and_alone(host, memory):
    judge(host, "fox", named="queue", text="A queue is")
    items = recall(host_id=host.pk, prompt=ALIKE)
    [named] = [item for item in items if item.kind == NAMED]
    assert (named.item_id, named.title, named.why) == (0, "queue", "A person named this page for a question like this.")
    assert rank(host, items, "x") == ["queue"]
    assert read_told(host)[NAMED] == [("queue", "A queue is", 1.0)]


def test_words_are_named_for_the_very_question_only(host, memory):
    judge(host, "fox", named="queue", text="A queue is")
    assert read_told(host, ALIKE)[NAMED] == [("queue", "", 0.0)]


def test_the_page_of_a_wrong_answer_may_be_the_right_one_for_other_words(host, memory):
    judge(host, "fox", named="fox", text="It jumps.")
    assert read_told(host) == {
        MISLED: [("fox", "It said so. Twice.", 1.0)],
        NAMED: [("fox", "It jumps.", 1.0)],
    }
    assert "fox" in read_recalled(host, FOX)
    assert rank(host, recall(host_id=host.pk, prompt=FOX), "x") == ["fox"]


def test_the_newest_verdict_counts_and_one_on_the_very_question_first(host, memory):
    judge(host, "fox", named="queue")
    judge(host, "queue", named="path")
    assert [url for url, *_ in read_told(host)[NAMED]] == ["path"]
    judge(host, "path", prompt=ALIKE)
    assert [url for url, *_ in read_told(host)[NAMED]] == ["path"]
    judge(host, "path")
    assert NAMED not in read_told(host)


def test_a_wrong_answer_from_other_words_does_not_unname_a_page(host, memory):
    judge(host, "fox", named="queue", text="A queue is")
    judge(host, "queue")
    assert read_told(host)[NAMED] == [("queue", "A queue is", 1.0)]


def test_a_page_that_staff_retired_or_that_is_gone_is_not_named(host, memory):
    judge(host, "fox", named="queue")
    retire_items(item_ids=[memory["queue"]], by=command_line("ada"), origin="admin")
    assert NAMED not in read_told(host)
    judge(host, "fox", named="path")
    url = f"{host.base_url}path"
    MemoryItem.objects.create(host=host, kind="pitfall", key="k", status="trusted", url=url, title="not_found")
    assert NAMED not in read_told(host)


def test_only_what_is_asked_for_is_told(host, memory):
    judge(host, "fox", named="queue")
    for told in ({MISLED}, {NAMED}, set()):
        items = recall(host_id=host.pk, prompt=FOX, told=told)
        assert {item.kind for item in items} & TOLD_KINDS == told
    assert "fox" in {item.url.removeprefix(host.base_url) for item in items}


def test_who_is_not_told_what_was_named_does_not_leave_it_for_last(host, memory):
    judge(host, "fox", named="fox", text="It jumps.")
    judge(host, "foxes")
    told = [item for item in recall(host_id=host.pk, prompt=FOX, told={MISLED}) if item.kind in TOLD_KINDS]
    assert [item.url.removeprefix(host.base_url) for item in told] == ["foxes"]


def test_an_evaluation_is_told_nothing_of_verdicts(host, memory):
    judge(host, "fox", named="queue")
    task = make_task(host, split="evaluation")
    type(task).objects.update(prompt=FOX)
    make_base_tags(Servers())
    [items] = freeze_inputs(candidate=base_recipe(role="task", base=BASE)).memories
    assert not {item["kind"] for item in items} & TOLD_KINDS
    assert f"{host.base_url}fox" in {item["url"] for item in items}


def test_an_address_that_is_none_is_left_out(host):
    quotes = [{"text": "x", "url": "javascript:alert(1)", "digest": ""}]
    run = Run.objects.create(lane="standard", host=host, prompt=FOX, pages_target=1, max_calls=3, quotes=quotes)
    judge(host, "", run=run)
    assert read_told(host) == {}
