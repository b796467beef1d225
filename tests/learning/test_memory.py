"""Memory: retired by hand, purged by host, outcome or time."""

from __future__ import annotations

from functools import partial
from threading import Event, Thread

import pytest
from django.db import connection, transaction

from lealife.core.actors import command_line
from lealife.core.errors import InvalidInput
from learning.ingest import ingest_outcome
from learning.lessons import item_key
from learning.memory import lock_memory, purge_memory, retire_items
from learning.memory_search import split_identifiers
from learning.models import MemoryEvidence, MemoryItem, RunLearningOutcome
from learning.uplift import read_standing
from tests.factories import PASSAGE, START, later, make_host, make_html, make_outcome, make_step
from training.models import AuditEntry, Host, TrainingOutcome

WHO = {"by": command_line("ada"), "origin": "admin"}


def learn(host, *pages: str, hour: int = 0) -> TrainingOutcome:
    steps = [
        make_step(url=f"{host.base_url}{page}", body=make_html(page, PASSAGE), index=index)
        for index, page in enumerate(pages)
    ]
    outcome = make_outcome(host, steps=steps, now=later(hours=hour))
    ingest_outcome(outcome_id=outcome.pk, now=later(hours=hour))
    return outcome


def purge(**what) -> int:
    return purge_memory(**{"host_id": None, "outcome_id": None, "since": None, **what, **WHO})


def test_a_purge_of_a_host_forgets_that_host_alone(host):
    other = make_host()
    learn(host, "a", "b"), learn(other, "c")
    assert purge(host_id=host.pk) == 2
    assert set(MemoryItem.objects.values_list("host_id", flat=True)) == {other.pk}
    assert MemoryEvidence.objects.count() == 1


def test_a_purge_of_an_outcome_forgets_what_it_taught(host):
    learn(host, "a")
    second = learn(host, "a", "b", hour=1)
    learn(host, "c", hour=2)
    assert purge(outcome_id=second.pk) == 2
    assert [item.url[-1] for item in MemoryItem.objects.all()] == ["c"]


def test_a_purge_since_a_time_keeps_what_is_older(host):
    learn(host, "a")
    MemoryItem.objects.update(created_at=START.replace(year=2020), updated_at=START.replace(year=2020))
    learn(host, "b", hour=1)
    assert purge(since=START.replace(year=2021)) == 1
    assert [item.url[-1] for item in MemoryItem.objects.all()] == ["a"]


def test_a_purge_since_a_time_forgets_what_was_rewritten_since(host):
    learn(host, "a")
    # Known for long, but what it says now was first seen after the time.
    MemoryItem.objects.update(created_at=START.replace(year=2020))
    assert purge(since=START.replace(year=2021)) == 1


def test_a_purge_leaves_outcomes_and_the_fact_of_their_ingest(host):
    learn(host, "a")
    purge(host_id=host.pk)
    assert (TrainingOutcome.objects.count(), RunLearningOutcome.objects.count()) == (1, 1)


def test_a_purge_of_nothing_said_is_refused(db):
    with pytest.raises(InvalidInput, match="Say what to forget"):
        purge()


def test_a_purge_is_logged(host):
    learn(host, "a")
    purge(host_id=host.pk)
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action, entry.subject) == ("ada", "purge memory", "1 items")
    assert entry.details == {"host": host.name, "passages": 0}


def test_what_was_purged_can_be_learned_again(host):
    learn(host, "a")
    purge(host_id=host.pk)
    learn(host, "a", hour=1)
    assert MemoryItem.objects.get().status == "quarantined"


def test_retiring_takes_items_out_of_recall_and_is_logged(host):
    learn(host, "a", "b")
    ids = list(MemoryItem.objects.values_list("pk", flat=True))
    assert (retire_items(item_ids=ids, **WHO), retire_items(item_ids=ids, **WHO)) == (2, 0)
    assert not MemoryItem.objects.recallable().exists()
    assert AuditEntry.objects.count() == 2


def test_items_are_counted_by_kind_and_status(host):
    assert read_standing().counts == {}
    learn(host, "a", "b")
    assert read_standing().counts == {"page/quarantined": 2}
    learn(host, "b", hour=1)
    assert read_standing().counts == {"page/quarantined": 1, "page/trusted": 1}
    retire_items(item_ids=MemoryItem.objects.values_list("pk", flat=True), **WHO)
    assert read_standing().counts == {"page/retired": 2}
    purge(host_id=host.pk)
    assert read_standing().counts == {}


def test_writers_that_count_in_different_orders_do_not_deadlock(race):
    first_host, second_host, counted = make_host(), make_host(), Event()

    def write(host: Host, kind: str) -> None:
        MemoryItem.objects.create(host=host, kind=kind, key=kind)

    def write_both_ways(slot: int) -> None:
        while not MemoryItem.objects.filter(host=second_host).exists():
            with transaction.atomic():
                # Two transactions of one slot: their numbers are sixteen apart.
                if read_slot() == slot:
                    write(second_host, "route")
                    counted.set()
                    write(second_host, "page")

    def write_between() -> None:
        with transaction.atomic():
            write(first_host, "page")
            attempt = partial(race, partial(write_both_ways, read_slot()))
            other = Thread(target=lambda: results.extend(attempt()), daemon=True)
            other.start()
            counted.wait(0.5)
            write(first_host, "route")
        other.join(timeout=30)

    results: list[object] = []
    assert race(write_between) == [None]
    assert results == [None]
    assert read_standing().counts == {"page/quarantined": 2, "route/quarantined": 2}


@pytest.mark.parametrize("change", ["retire", "purge"])
def test_who_changes_items_waits_for_who_learns_of_their_host(race, change):
    host = make_host()
    item = MemoryItem.objects.create(host=host, kind="page", key="k")
    changes = {
        "retire": lambda: retire_items(item_ids=[item.pk], **WHO),
        "purge": lambda: purge(host_id=host.pk),
    }
    changed: list[int] = []
    other = Thread(target=lambda: changed.extend(race(changes[change])), daemon=True)

    def learn_slowly() -> None:
        with transaction.atomic():
            lock_memory(host.pk)
            other.start()
            other.join(timeout=0.5)
            # Its row is free, for whoever holds the count of another item to take next.
            assert MemoryItem.objects.select_for_update(nowait=True).get(pk=item.pk).status == "quarantined"
        other.join(timeout=30)

    assert (race(learn_slowly), changed) == ([None], [1])


def read_slot() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT txid_current() % 16")
        return cursor.fetchone()[0]


def test_the_key_of_an_item_depends_on_its_kind_and_parts():
    assert item_key("page", "u") == item_key("page", "u") != item_key("route", "u")


def test_identifiers_are_split_where_people_join_them():
    assert split_identifiers("os.path_join(a)\x00<b>") == "os path join a b "
