"""Curriculum: verifiable tasks from the site itself; held-out pages are never trained on."""

from __future__ import annotations

from collections import Counter

import pytest
from django.db import IntegrityError, transaction
from hypothesis import given
from hypothesis import strategies as some

from learning.curriculum.kinds.says import is_statement
from learning.curriculum.seeding import crawl_host
from learning.curriculum.tasks import EVALUATION_SHARE, RESERVE_SHARE, passage_key, split_of
from learning.models import CurriculumTask, FrontierPage
from tests.factories import begin_claimed, finish, later, make_curriculum_source, make_host, make_html
from tests.learning.sites import SENTENCE, Shelf, SoftShelf, crawl, pages_of, read_all
from training.models import AuditEntry, Host, TrainingSource


def test_a_crawl_makes_tasks_that_name_the_page_that_answers(host):
    crawl(host, pages_of(host, count=12))
    tasks = list(CurriculumTask.objects.all())
    assert len(tasks) >= 12
    for task in tasks:
        assert task.check_spec == {"expected_urls": [task.expected_url]}
        assert task.passage in task.prompt
        assert task.split == split_of(task.expected_url)


def test_training_tasks_are_queued_and_held_out_ones_are_not(db):
    # The split is by the address: this one has pages of every split, whatever other tests made hosts before.
    host = make_host(base_url="http://127.0.0.1:9/splits/")
    crawl(host, pages_of(host, count=20))
    train, held = CurriculumTask.objects.filter(split="train"), CurriculumTask.objects.held_out()
    assert train.exists() and set(held.values_list("split", flat=True)) == {"evaluation", "reserve"}
    assert not train.filter(source=None).exists()
    assert not held.exclude(source=None).exists()
    prompts = set(TrainingSource.objects.values_list("prompt", flat=True))
    assert prompts == set(train.values_list("prompt", flat=True))
    assert prompts.isdisjoint(held.values_list("prompt", flat=True))


def test_postgres_refuses_to_queue_a_held_out_task(host):
    source = make_curriculum_source(host)
    with pytest.raises(IntegrityError, match="held_out_tasks_are_never_queued"), transaction.atomic():
        CurriculumTask.objects.create(
            host=host, split="evaluation", expected_url="u", page_digest="d", passage="p", prompt="?", source=source
        )


@given(some.text(max_size=40))
def test_the_split_depends_on_the_page_alone(path):
    url = f"http://127.0.0.1/{path}"
    assert split_of(url) == split_of(url)


def test_three_pages_in_ten_judge_candidates_and_half_as_many_are_kept_back():
    splits = Counter(split_of(f"http://127.0.0.1/{number}") for number in range(4_000))
    assert abs(splits["evaluation"] / 4_000 - EVALUATION_SHARE) < 0.03
    assert abs(splits["reserve"] / 4_000 - RESERVE_SHARE) < 0.03


def test_no_task_asks_for_the_start_page(host):
    crawl(host, {"": make_html("Start", SENTENCE.format("start"))})
    assert not CurriculumTask.objects.exists()


def test_a_page_that_says_it_is_missing_makes_no_task(host):
    FrontierPage.objects.create(host=host, url=f"{host.base_url}gone", url_digest="g", depth=1)
    crawl(host, {"": make_html("x"), "gone": make_html("Gone", SENTENCE.format("404"))}, status=404)
    assert not CurriculumTask.objects.exists()
    assert set(FrontierPage.objects.values_list("state", "error_code")) == {("unreadable", "fetch_failed")}


def test_a_later_page_with_the_same_content_gets_no_task_and_the_first_keeps_its_task(host):
    pages = pages_of(host, count=2)
    pages["page1"] = pages["page0"].replace(b"<title>page0", b"<title>page1")
    crawl(host, pages)
    assert set(CurriculumTask.objects.values_list("expected_url", "ambiguous")) == {(f"{host.base_url}page0", False)}
    assert "cancelled" not in TrainingSource.objects.values_list("status", flat=True)


def test_a_page_that_copies_all_others_withdraws_no_task_of_theirs(host):
    pages = pages_of(host, count=12)
    said = [SENTENCE.format(f"page{page}-{line}") for page in range(12) for line in range(3)]
    copies = {f"copy{number}": make_html(f"Copy {number}", *said, SENTENCE.format(number)) for number in range(4)}
    pages[""] = make_html("Start", links=[f"{host.base_url}{name}" for name in [*pages, *copies] if name])
    crawl(host, pages | copies)
    honest = CurriculumTask.objects.exclude(expected_url__contains="copy")
    assert len(set(honest.values_list("expected_url", flat=True))) == 12
    assert not honest.exclude(ambiguous=False, gone_at=None).exists()


def test_a_copy_of_the_site_that_is_read_first_takes_no_task_from_its_pages(host):
    pages = pages_of(host, count=12)
    said = [SENTENCE.format(f"page{page}-{line}") for page in range(12) for line in range(3)]
    pages = {"": b"", "all": make_html("All in one", *said), **pages}
    pages[""] = make_html("Start", links=[f"{host.base_url}{name}" for name in pages if name])
    crawl(host, pages)
    asked = CurriculumTask.objects.asked().exclude(expected_url=f"{host.base_url}all")
    assert len(set(asked.values_list("expected_url", flat=True))) == 12


def frame_of(host: Host, *, count: int) -> dict[str, bytes]:
    """Pages that all say one sentence, and three of their own; the first one says no other."""
    frame = "This sentence stands at the foot of every page of this website, always."
    own = {name: [SENTENCE.format(f"{name}{line}") for line in range(3)] for name in map("p{}".format, range(count))}
    leaves = {name: make_html(name, frame, *said) for name, said in own.items()} | {"p0": make_html("p0", frame)}
    return {"": make_html("Start", links=[f"{host.base_url}{name}" for name in leaves]), **leaves}


def test_what_every_page_says_is_asked_for_no_more(host):
    crawl(host, frame_of(host, count=8))
    assert CurriculumTask.objects.filter(ambiguous=True).count() == 1
    assert not CurriculumTask.objects.asked().filter(passage__contains="foot of every page").exists()


def test_a_held_out_task_is_never_withdrawn_in_silence(host, monkeypatch):
    monkeypatch.setattr("learning.curriculum.tasks.EVALUATION_SHARE", 1.0)
    crawl(host, frame_of(host, count=8))
    withdrawn = CurriculumTask.objects.get(ambiguous=True, split="evaluation")
    entry = AuditEntry.objects.get(action="withdraw held-out task")
    assert (entry.subject, entry.details["page"]) == (f"task {withdrawn.pk}", withdrawn.expected_url)


def test_one_page_under_several_addresses_gets_the_tasks_of_one(host):
    body = make_html("One", *[SENTENCE.format(line) for line in range(3)])
    names = [f"one?from={number}" for number in range(6)]
    crawl(
        host, {"": make_html("Start", links=[f"{host.base_url}{name}" for name in names]), **dict.fromkeys(names, body)}
    )
    assert CurriculumTask.objects.values("expected_url").distinct().count() == 1


def test_the_missing_page_of_a_site_that_answers_every_address_gives_no_task(host):
    names = [f"dead{number}" for number in range(12)]
    shelf = SoftShelf(host, {"": make_html("Start", links=[f"{host.base_url}{name}" for name in [*names, "live"]])})
    shelf.pages["live"] = make_html("Live", SENTENCE.format("live"))
    read_all(host, shelf)
    assert set(CurriculumTask.objects.values_list("expected_url", flat=True)) == {f"{host.base_url}live"}
    assert FrontierPage.objects.filter(state="unreadable").count() == 12


def name_of_split(host: Host, split: str, *, but: str = "") -> str:
    return next(
        name for number in range(99) if (name := f"n{number}") != but and split_of(f"{host.base_url}{name}") == split
    )


def make_twins(host: Host, first: bytes, second: bytes) -> tuple[Shelf, str]:
    """A site whose second page, read later, says what the first says; the crawl has read the first."""
    name = name_of_split(host, "train")
    pages = {
        "": make_html("Start", links=[f"{host.base_url}{name}", f"{host.base_url}twin"]),
        name: first,
        "twin": second,
    }
    return crawl(host, pages, visits=2), name


def read_rest(host: Host, shelf: Shelf) -> None:
    crawl_host(host=host, browser=shelf, now=later(days=1))


def test_a_passage_that_differs_only_in_case_is_a_copy_too(host):
    text = SENTENCE.format("one")
    shelf, _ = make_twins(host, make_html("a", text), make_html("b", text.upper()))
    read_rest(host, shelf)
    assert CurriculumTask.objects.get().passage == text
    assert TrainingSource.objects.get().status == "pending"


def test_a_task_withdrawn_while_it_runs_is_not_tried_again(host, monkeypatch):
    # No page is held out.
    monkeypatch.setattr("learning.curriculum.tasks.EVALUATION_SHARE", 0.0)
    monkeypatch.setattr("learning.curriculum.tasks.RESERVE_SHARE", 0.0)
    shelf = crawl(host, frame_of(host, count=8), visits=2)
    run = begin_claimed(now=later(days=2))
    source = TrainingSource.objects.get(status="claimed")
    CurriculumTask.objects.filter(source=source).update(
        passage="This sentence stands at the foot of every page of this website, always."
    )
    read_rest(host, shelf)
    finish(run, success=False, now=later(days=2))
    source.refresh_from_db()
    assert source.status == "cancelled"


@pytest.mark.parametrize(
    ("passage", "taken"),
    [
        ("Ten plain words stand here and say what they mean.", True),
        ("Too short to ask for.", False),
        ("word " * 40, False),
        ("x = {'a': [1, 2, 3], 'b': (4, 5)}; y = x['a'][0] + 3 * 4", False),
        ("He said “ten plain words stand here” and then he left us.", False),
    ],
)
def test_only_statements_are_asked_for(passage, taken):
    assert is_statement(passage) is taken


def test_a_passage_has_one_key_whatever_its_case():
    assert passage_key("Straße") == passage_key("STRASSE")
    assert -(2**63) <= passage_key("x") < 2**63
