"""Admin of memory: what a run would be given, corrections, and counts that are those of the runs."""

from __future__ import annotations

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse

from lealife.pipeline.memories import recall_for_run
from learning.lessons import is_checked
from learning.models import MemoryItem
from promotion.routing import read_routing
from tests.factories import PASSAGE, later, make_outcome
from tests.guards import behind_guards
from tests.learning.test_corrections import judge
from tests.learning.test_recall import PAGES, remember
from tests.learning.visits import FOX, ingest, item_of, quote_of, visit
from tests.permissions.conftest import make_user
from tests.promotion.scenes import Servers, make_base_tags
from training.models import Host, Run, TrainingOutcome

PLACE = "admin:learning_memoryitem_recalled"
QUESTION = "Where does the quick brown fox jump?"


@pytest.fixture
def memory(host: Host, settings: LazySettings) -> dict[str, int]:
    """Trusted pages, the tags that serve, and no model for vectors."""
    settings.LEALIFE_EMBED_MODEL = ""
    make_base_tags(Servers())
    with transaction.atomic():
        return {name: remember(host, name, text) for name, text in PAGES.items()}


def search(client: Client, host: Host, question: str) -> tuple[list, list, str]:
    """What the page lists as given and as ruled out, and the page."""
    answer = client.get(reverse(PLACE), {"host": host.pk, "question": question})
    given, avoided = ([item for item, _ in answer.context[name]] for name in ("given", "avoided"))
    return given, avoided, answer.content.decode()


def test_the_search_lists_what_a_run_would_be_given_in_the_same_order(staff: Client, host: Host, memory):
    given, avoided, page = search(staff, host, QUESTION)
    controller, _ = read_routing().require()
    recalled = recall_for_run(host_id=host.pk, prompt=QUESTION, controller=controller, trains=False)
    assert [*given, *avoided] == list(recalled)
    assert len(given) > 1
    places = [page.index(f"{item.url}</td>") for item in given]
    assert places == sorted(places)


def test_the_search_says_what_each_score_is_made_of(staff: Client, host: Host, memory):
    given, _, page = search(staff, host, QUESTION)
    assert "bm25 " in given[0].why
    assert "Helped in 0 of 0 checked runs." in given[0].why
    assert given[0].why in page


def test_the_search_lists_the_known_pages_that_lack_quoted_words_as_ruled_out(staff: Client, host: Host, memory):
    given, avoided, page = search(staff, host, f"Which page says “{PAGES['queue']}”?")
    assert [item.item_id for item in given] == [memory["queue"]]
    assert {item.item_id for item in avoided} == set(memory.values()) - {memory["queue"]}
    assert "lacks the quoted words: left for last" in page


def test_the_search_shows_what_people_named_and_what_misled(staff: Client, host: Host, memory):
    judge(host, "fox", named="queue", prompt=QUESTION)
    given, avoided, _ = search(staff, host, QUESTION)
    assert [item.url for item in given if item.kind == "named"] == [f"{host.base_url}queue"]
    assert [item.url for item in avoided] == [f"{host.base_url}fox"]


def test_the_search_shows_nothing_before_a_question_is_asked(staff: Client, host: Host):
    page = staff.get(reverse(PLACE)).content.decode()
    assert 'name="question"' in page
    assert "Given, best first" not in page


def test_the_search_says_why_it_cannot_be_made_before_there_are_tags(staff: Client, host: Host):
    page = staff.get(reverse(PLACE), {"host": host.pk, "question": QUESTION}).content.decode()
    assert "No model tags are active yet." in page


def test_the_search_needs_the_permission_to_look_at_memory(host: Host, memory):
    client = Client()
    for permission, status in (("learning.view_frontierpage", 403), ("learning.view_memoryitem", 200)):
        client.force_login(make_user(permission, permission))
        assert client.get(reverse(PLACE), {"host": host.pk, "question": QUESTION}).status_code == status


@pytest.mark.django_db(transaction=True)
def test_the_search_asks_for_vectors_outside_of_a_transaction(host, memory, monkeypatch: pytest.MonkeyPatch):
    asked: list[bool] = []

    def embed(texts: list[str]) -> list[list[float]]:
        asked.append(connection.in_atomic_block)
        return []

    monkeypatch.setattr("lealife.pipeline.memories.embed_if_possible", embed)
    client = Client()
    client.force_login(User.objects.create_superuser("ada"))
    search(client, host, QUESTION)
    assert asked
    assert not any(asked)


def change(client: Client, item: MemoryItem, **sent: str):
    """Saves the item's form."""
    form = {"title": item.title, "text": item.text, "why": "It is clearer.", **sent}
    return client.post(reverse("admin:learning_memoryitem_change", args=[item.pk]), form)


def test_an_item_is_corrected_on_its_page_and_shows_its_lineage(staff: Client, host: Host, memory):
    old = MemoryItem.objects.get(pk=memory["fox"])
    assert change(staff, old, text="lazy dog near the river bank").status_code == 302
    old.refresh_from_db()
    new = old.replaced_by
    assert (new.text, new.corrected_by) == ("lazy dog near the river bank", "ada")
    shown = staff.get(reverse("admin:learning_memoryitem_change", args=[new.pk])).content.decode()
    assert f"Item {old.pk}</a>" in shown
    assert "It is clearer." in shown


def test_a_refused_correction_is_shown_again_with_the_reason(staff: Client, host: Host, memory):
    answer = change(staff, MemoryItem.objects.get(pk=memory["fox"]), text="A fox is a bird.")
    assert answer.status_code == 200
    assert "The kept page does not hold these words." in answer.content.decode()
    assert MemoryItem.objects.count() == len(memory)


def test_an_item_that_was_corrected_meanwhile_is_refused_in_words(staff: Client, host: Host, memory):
    old = MemoryItem.objects.get(pk=memory["fox"])
    change(staff, old, text="lazy dog")
    assert "is a retired page." in change(staff, old, text="river bank").content.decode()


def test_a_retired_item_has_no_form(staff: Client, host: Host, memory):
    MemoryItem.objects.update(status="retired")
    page = staff.get(reverse("admin:learning_memoryitem_change", args=[memory["fox"]])).content.decode()
    assert 'name="why"' not in page


def follow(host: Host, *, hour: int, success: bool = True, check: bool = True) -> TrainingOutcome:
    """A run that was given the page /fox, followed it and quoted it."""
    page, step = item_of("page"), visit(host, body=FOX)
    outcome = make_outcome(
        host, steps=[step], success=success, now=later(hours=hour), memory_used=(page.pk,), quotes=(quote_of(step),),
        check_spec={"expected_text": PASSAGE} if check else None,
    )  # fmt: skip
    with behind_guards():
        Run.objects.filter(pk=outcome.run_id).update(memories=[{"id": page.pk, "kind": "page"}])
    ingest(outcome)
    return outcome


def test_the_counts_of_an_item_are_those_of_the_runs_that_recalled_it(staff: Client, host: Host):
    ingest(make_outcome(host, steps=[visit(host)]))
    # The failure last: its source is tried again.
    for hour, (success, check) in enumerate([(True, True), (True, False), (True, True), (False, True)], 1):
        follow(host, hour=hour, success=success, check=check)
    page = item_of("page")
    runs = [run for run in Run.objects.all() if page.pk in {item["id"] for item in run.memories}]
    checked = [run for run in runs if is_checked(run.outcome)]
    helped = [run for run in checked if run.status == "succeeded" and page.pk in run.memory_used]
    assert (page.recalled_count, page.checked_count, page.helped_count) == (len(runs), len(checked), len(helped))
    assert (len(runs), len(checked), len(helped)) == (4, 3, 2)
    row = staff.get(reverse("admin:learning_memoryitem_changelist"), {"q": str(page.pk)}).content.decode()
    for name, count in (("recalled", 4), ("checked", 3), ("helped", 2)):
        assert f'<td class="field-{name}_count">{count}</td>' in row


@pytest.mark.parametrize("term", ["lazy river", "os.path_join", "hamlet"])
def test_memory_is_found_by_words_of_its_page_and_by_its_address(staff: Client, host: Host, memory, term: str):
    names = {"lazy river": {"fox"}, "os.path_join": {"path"}, "hamlet": {"hamlet"}}
    found = staff.get(reverse("admin:learning_memoryitem_changelist"), {"q": term}).context["cl"].result_list
    assert {item.pk for item in found} >= {memory[name] for name in names[term]}
    assert len(found) < len(memory)
