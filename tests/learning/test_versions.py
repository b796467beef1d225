"""A correction of memory: a new version in other words of the page, the old one kept as history."""

from __future__ import annotations

from typing import Any

import pytest

from lealife.core.actors import command_line
from lealife.core.errors import Conflict, InvalidInput
from lealife.run_actions import judge_run
from learning.memory import purge_memory, retire_items, trust_items
from learning.models import MemoryItem
from learning.recall import recall, shown
from learning.versions import correct_item
from tests.factories import PASSAGE, START, later, make_html, make_outcome
from tests.learning.visits import ingest, item_of, quote_of, visit
from training.models import AuditEntry, Host, TrainingOutcome

WHO = {"by": command_line("ada"), "origin": "admin"}
OTHER = "A hen lays an egg a day."
BODY = make_html("Foxes", PASSAGE, OTHER)


def teach(host: Host, *, body: bytes = BODY, hour: int = 0) -> TrainingOutcome:
    """A verified success that quotes the first passage of the page."""
    step = visit(host, body=body)
    outcome = make_outcome(
        host, steps=[step], quotes=(quote_of(step),), check_spec={"expected_text": PASSAGE}, now=later(hours=hour)
    )
    ingest(outcome)
    return outcome


def correct(item: MemoryItem, **words: Any) -> MemoryItem:
    return correct_item(
        item_id=item.pk, **{"title": item.title, "text": item.text, "why": "It says more.", **words, **WHO}
    )


def test_a_correction_is_a_new_version_and_the_old_one_is_retired_and_names_it(host):
    teach(host)
    old = item_of("route")
    new = correct(old, text=OTHER)
    old.refresh_from_db()
    assert (old.status, old.reason, old.text, old.replaced_by) == ("retired", "replaced", PASSAGE, new)
    assert (new.status, new.text, new.corrected_by, new.corrected_why) == ("trusted", OTHER, "ada", "It says more.")


def test_a_correction_is_logged_with_what_was_said_before_and_after(host):
    teach(host)
    old = item_of("route")
    new = correct(old, text=OTHER)
    entry = AuditEntry.objects.get(action="correct memory")
    assert (entry.actor, entry.origin, entry.subject) == ("ada", "admin", f"item {old.pk}")
    assert entry.details == {
        "before": {"item": old.pk, "title": old.title, "text": PASSAGE},
        "after": {"item": new.pk, "title": old.title, "text": OTHER},
        "why": "It says more.",
    }


@pytest.mark.parametrize("field", ["title", "text"])
def test_words_that_the_kept_page_does_not_hold_are_refused(host, field):
    teach(host)
    with pytest.raises(InvalidInput, match="The kept page does not hold these words") as refused:
        correct(item_of("route"), **{field: "Trust me, a fox is a bird."})
    assert refused.value.details == {"field": field}
    assert not MemoryItem.objects.filter(status="retired").exists()


def test_a_correction_needs_a_reason(host):
    teach(host)
    with pytest.raises(InvalidInput, match="Say why"):
        correct(item_of("route"), text=OTHER, why=" ")


def test_the_same_words_are_no_correction(host):
    teach(host)
    with pytest.raises(InvalidInput, match="the words that the item has"):
        correct(item_of("route"))


def test_what_a_run_did_has_no_words_to_correct(host):
    item = MemoryItem.objects.create(host=host, kind="pitfall", key="k", status="trusted", url=host.base_url)
    with pytest.raises(Conflict, match="Only pages and routes in use"):
        correct(item, text=OTHER)


def test_an_old_version_is_not_corrected_a_second_time(host):
    teach(host)
    old = item_of("route")
    correct(old, text=OTHER)
    with pytest.raises(Conflict, match="is a retired route"):
        correct(old, text="Foxes")


def test_a_corrected_route_is_found_by_its_new_words_and_no_more_by_the_old_ones(host):
    teach(host)
    MemoryItem.objects.exclude(kind="route").update(status="retired")
    new = correct(item_of("route"), text=OTHER)
    assert [item.item_id for item in shown(recall(host_id=host.pk, prompt=f"Who says “{OTHER}”?"))] == [new.pk]
    assert shown(recall(host_id=host.pk, prompt=f"Who says “{PASSAGE}”?")) == ()


def test_a_run_that_quotes_the_old_words_again_does_not_bring_them_back(host):
    teach(host)
    old = item_of("route")
    correct(old, text=OTHER)
    teach(host, hour=1)
    old.refresh_from_db()
    assert (old.status, MemoryItem.objects.filter(kind="route", text=PASSAGE).count()) == ("retired", 1)


def test_the_next_sighting_of_a_corrected_page_is_one_of_its_new_version(host):
    teach(host)
    new = correct(item_of("page"), text=OTHER)
    teach(host, hour=1)
    new.refresh_from_db()
    assert (new.status, new.text, new.sightings) == ("trusted", OTHER, 2)
    assert MemoryItem.objects.filter(kind="page").count() == 2


def test_a_page_that_changed_says_its_own_words_again(host):
    teach(host)
    new = correct(item_of("page"), text=OTHER)
    teach(host, body=make_html("Foxes", PASSAGE, "No hens here."), hour=1)
    new.refresh_from_db()
    assert (OTHER in new.text, new.corrected_by, new.reason) == (False, "", "changed")


def test_a_purge_of_an_outcome_forgets_both_versions(host):
    outcome = teach(host)
    correct(item_of("route"), text=OTHER)
    purge_memory(host_id=None, outcome_id=outcome.pk, since=None, **WHO)
    assert not MemoryItem.objects.exists()


def test_a_purge_of_the_correction_alone_leaves_an_old_version_that_can_be_trusted_again(host):
    teach(host)
    old = item_of("route")
    correct(old, text=OTHER)
    MemoryItem.objects.filter(pk=old.pk).update(
        created_at=START.replace(year=2020), updated_at=START.replace(year=2020)
    )
    purge_memory(host_id=None, outcome_id=None, since=START.replace(year=2021), **WHO)
    assert [item.pk for item in MemoryItem.objects.filter(kind="route")] == [old.pk]
    assert trust_items(item_ids=[old.pk], **WHO) == 1


def test_what_was_replaced_cannot_be_trusted_next_to_its_successor(host):
    teach(host)
    old = item_of("route")
    correct(old, text=OTHER)
    assert trust_items(item_ids=[old.pk], **WHO) == 0


def test_a_retired_successor_can_be_trusted_again(host):
    teach(host)
    new = correct(item_of("route"), text=OTHER)
    retire_items(item_ids=[new.pk], **WHO)
    assert trust_items(item_ids=[new.pk], **WHO) == 1


def test_a_verdict_on_the_run_moves_no_version_of_what_a_person_corrected(host):
    outcome = teach(host)
    new = correct(item_of("route"), text=OTHER)
    for right, status in ((False, "trusted"), (True, "trusted")):
        judge_run(run_id=outcome.run_id, right=right, note="", **WHO)
        assert dict(MemoryItem.objects.filter(kind="route").values_list("pk", "status")) == {
            new.pk: status,
            new.replaced.get().pk: "retired",
        }
