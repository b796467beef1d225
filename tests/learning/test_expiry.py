"""Expiry: pages that are gone, moved or changed take out of recall what they taught, and retire their tasks."""

from __future__ import annotations

import pytest

from learning.ingest import ingest_outcome
from learning.models import CurriculumTask, FrontierPage, MemoryItem
from learning.recall import recall
from tests.factories import PASSAGE, later, make_crawled, make_curriculum_source, make_html, make_outcome, make_step
from training.models import AuditEntry, Host, OperatorVerdict, Run, TrainingSource

FOX = make_html("Foxes", PASSAGE)
QUESTION = "Where does the quick brown fox jump?"


class Visits:
    """Runs that visit the page /fox of a host, an hour apart."""

    def __init__(self, host: Host) -> None:
        self.host, self.url, self.hour = host, f"{host.base_url}fox", 0

    def go(self, *, body: bytes = FOX, **step) -> None:
        self.hour += 1
        seen = make_step(url=self.url, body=body, **step)
        quotes = () if step.get("error_code") else ({"text": PASSAGE, "url": self.url, "digest": seen.body_digest},)
        check = {"expected_text": PASSAGE}
        now = later(hours=self.hour)
        good = not step.get("error_code") and PASSAGE.encode() in body
        outcome = make_outcome(
            self.host, steps=[seen], now=now, success=good, quotes=quotes if good else (), check_spec=check
        )
        ingest_outcome(outcome_id=outcome.pk, now=now)

    def miss(self, status: int = 404) -> None:
        self.go(body=b"<p>Not here.</p>", status=status, error_code="fetch_failed", error=f"HTTP {status}.")

    def states(self) -> dict[str, str]:
        items = MemoryItem.objects.exclude(kind="pitfall")
        return {item.kind: f"{item.status} {item.reason}".strip() for item in items}


@pytest.fixture
def visits(host) -> Visits:
    visits = Visits(host)
    visits.go()
    visits.go()
    assert visits.states() == {"page": "trusted", "route": "trusted"}
    return visits


def make_task(host: Host, *, split: str = "train") -> CurriculumTask:
    url = f"{host.base_url}fox"
    make_crawled(host, url=url, body=FOX)
    from lealife.core.digest import digest_bytes

    source = make_curriculum_source(host, status="done") if split == "train" else None
    return CurriculumTask.objects.create(
        host=host, split=split, expected_url=url, page_digest=digest_bytes(url.encode()), passage=PASSAGE,
        prompt="?", source=source,
    )  # fmt: skip


def test_a_page_that_is_missing_twice_in_a_row_is_gone_with_what_it_taught(visits):
    visits.miss()
    assert visits.states() == {"page": "trusted", "route": "trusted"}
    visits.miss()
    assert visits.states() == {"page": "retired gone", "route": "retired gone"}


def test_a_page_that_says_it_is_gone_is_gone_at_once(visits):
    visits.miss(410)
    assert visits.states() == {"page": "retired gone", "route": "retired gone"}


def test_a_page_that_answers_in_between_is_not_gone(visits):
    visits.miss()
    visits.go()
    visits.miss()
    assert visits.states() == {"page": "trusted", "route": "trusted"}


def test_a_server_that_breaks_takes_no_page_with_it(visits):
    for _ in range(4):
        visits.miss(503)
    assert visits.states() == {"page": "trusted", "route": "trusted"}


def test_a_page_that_is_back_is_confirmed_like_a_new_one(visits):
    visits.miss(410)
    visits.go()
    assert visits.states()["page"] == "quarantined gone"
    visits.go()
    assert visits.states() == {"page": "trusted", "route": "trusted"}


def test_what_staff_retired_does_not_come_back_with_its_page(visits):
    MemoryItem.objects.filter(kind="page").update(status="retired", reason="by_hand")
    visits.miss(410)
    visits.go()
    visits.go()
    assert visits.states()["page"] == "retired by_hand"


def test_a_route_whose_words_left_the_page_is_quarantined(visits):
    visits.go(body=make_html("Foxes", "The fox has left, and nobody knows where it went to."))
    assert visits.states() == {"page": "quarantined changed", "route": "quarantined changed"}


def test_a_route_whose_words_still_stand_on_a_changed_page_holds(visits):
    visits.go(body=make_html("Foxes", PASSAGE, "Today is another day, and this is another sentence."))
    assert visits.states() == {"page": "quarantined changed", "route": "trusted"}


def test_a_page_that_leads_elsewhere_now_is_recalled_no_more(visits):
    visits.go(final_url=f"{visits.host.base_url}den", body=make_html("Den", PASSAGE, "Here is the den of the fox."))
    assert MemoryItem.objects.get(kind="page", url=visits.url).reason == "moved"


def test_what_a_page_taught_is_retired_when_it_says_noindex(visits):
    task = make_task(visits.host)
    visits.go(body=b"<meta name=robots content=noindex>" + FOX)
    assert visits.states() == {"page": "retired changed", "route": "retired changed"}
    task.refresh_from_db()
    assert task.gone_at is not None


def test_a_gone_page_is_not_recalled_and_its_address_is_a_pitfall(visits):
    assert {item.kind for item in recall(host_id=visits.host.pk, prompt=QUESTION)} <= {"page", "route", "passage"}
    visits.miss()
    visits.miss()
    [pitfall] = recall(host_id=visits.host.pk, prompt=QUESTION)
    assert (pitfall.kind, pitfall.url, pitfall.why) == ("pitfall", visits.url, "This address failed: HTTP 404.")


def test_a_pitfall_ends_when_the_address_answers(visits):
    visits.miss()
    visits.miss()
    visits.go()
    assert set(MemoryItem.objects.filter(kind="pitfall").values_list("status", "reason")) == {("retired", "answers")}


def test_tasks_of_a_gone_page_are_asked_no_more_and_again_when_it_is_back(visits):
    task = make_task(visits.host)
    visits.miss(410)
    assert not CurriculumTask.objects.asked().exists()
    assert TrainingSource.objects.get(pk=task.source_id).status == "cancelled"
    assert FrontierPage.objects.get().state == "unreadable"
    visits.go()
    assert CurriculumTask.objects.asked().get() == task
    assert TrainingSource.objects.get(pk=task.source_id).status == "pending"
    assert FrontierPage.objects.get().state == "known"


def test_a_task_whose_words_left_the_page_is_asked_no_more(visits):
    make_task(visits.host)
    visits.go(body=make_html("Foxes", "The fox has left, and nobody knows where it went to."))
    assert not CurriculumTask.objects.asked().exists()
    assert FrontierPage.objects.get().state == "known"


def test_a_held_out_task_is_never_retired_in_silence(visits):
    task = make_task(visits.host, split="evaluation")
    visits.miss(410)
    entry = AuditEntry.objects.get(action="withdraw held-out task")
    assert (entry.actor, entry.subject) == ("curriculum", f"task {task.pk}")
    assert entry.details["page"] == visits.url


def test_a_case_rests_while_its_page_is_gone_or_its_words_are(visits):
    def read_asked() -> list[str]:
        return list(CurriculumTask.objects.asked().order_by("pk").values_list("prompt", flat=True))

    run = Run.objects.create(host=visits.host, lane="standard", prompt=QUESTION, pages_target=1, max_calls=1)
    verdict = OperatorVerdict.objects.create(run=run, right=True, by="ada", origin="page")
    for number, passage in enumerate(("", PASSAGE.upper())):
        CurriculumTask.objects.create(
            host=visits.host, kind="person", verdict=verdict, split="train", expected_url=visits.url, page_digest="d",
            passage=passage, prompt=f"{number}",
        )  # fmt: skip
    visits.go()
    assert read_asked() == ["0", "1"]
    visits.go(body=make_html("Foxes", "The fox has left, and nobody knows where it went to."))
    assert read_asked() == ["0"]
    visits.miss(410)
    assert read_asked() == []
    visits.go()
    assert read_asked() == ["0", "1"]
