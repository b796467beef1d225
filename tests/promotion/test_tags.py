"""The first tags of an installation, and what is known of all of them."""

from __future__ import annotations

import threading

import pytest
from django.db import connection
from django.utils import timezone

from lealife.core.actors import command_line
from lealife.core.errors import NotFound
from lealife.core.gateway import ModelUnavailable
from lealife.dashboard import readings
from lealife.dashboard.facts import read_facts
from promotion.applies import apply_canary
from promotion.models import ModelTag
from promotion.recipes import Recipe, base_recipe
from promotion.tags import ensure_base_tags, pin_tag, restore_tags
from tests.promotion.scenes import BASE, Servers, make_base_tags, make_candidate, make_passed_canary
from training.models import AuditEntry


def test_the_first_tag_of_each_role_is_made_and_activated(db, servers):
    assert ensure_base_tags(server=servers, base=BASE)
    tags = {tag.role: tag for tag in ModelTag.objects.all()}
    assert set(tags) == {"controller", "task"}
    for role, tag in tags.items():
        assert (tag.status, tag.base, tag.parent) == ("active", BASE, None)
        assert tag.digest == servers.made[tag.name]
        assert Recipe.from_json(tag.recipe) == base_recipe(role=role, base=BASE)


def test_a_second_call_makes_nothing(db, servers):
    ensure_base_tags(server=servers, base=BASE)
    made = dict(servers.made)
    assert not ensure_base_tags(server=servers, base="another:7b")
    assert servers.made == made
    assert ModelTag.objects.count() == 2


def test_a_serving_tag_that_a_server_lost_is_made_again(db, servers):
    controller, _ = make_base_tags(servers)
    del servers.made[controller.name]
    assert restore_tags(server=servers) == [controller.name]
    assert servers.made[controller.name] == controller.digest
    assert restore_tags(server=servers) == []


def test_what_the_last_switch_replaced_is_made_again_too(db, servers):
    canary = make_passed_canary(servers)
    replaced = apply_canary(canary_id=canary.pk, now=timezone.now()).from_tag
    del servers.made[replaced.name]
    assert restore_tags(server=servers) == [replaced.name]


def test_a_server_that_is_away_leaves_no_tag_behind(db):
    class Away(Servers):
        def create_tag(self, *, tag: str, **recipe: object) -> str:
            raise ModelUnavailable("Nobody answers.")

    with pytest.raises(ModelUnavailable):
        ensure_base_tags(server=Away(), base=BASE)
    assert not ModelTag.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_racing_processes_make_one_active_tag_a_role(servers):
    start, errors = threading.Barrier(8), []

    def run() -> None:
        try:
            connection.ensure_connection()
            start.wait()
            ensure_base_tags(server=servers, base=BASE)
        except Exception as error:  # noqa: BLE001  what it was is what the test looks at
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sorted(ModelTag.objects.values_list("role", "status")) == [("controller", "active"), ("task", "active")]


def test_the_same_recipe_has_the_same_name_and_survives_its_row(db, servers):
    controller, _ = make_base_tags(servers)
    recipe = Recipe.from_json(controller.recipe)
    assert recipe.tag_name == controller.name
    assert recipe.digest == controller.recipe_digest
    candidate = make_candidate(servers, controller)
    assert Recipe.from_json(candidate.recipe).digest == candidate.recipe_digest != controller.recipe_digest


def test_tags_are_listed_by_what_they_do(db, servers, monkeypatch):
    controller, task = make_base_tags(servers)
    candidate = make_candidate(servers, controller)
    for number in range(3):
        make_candidate(servers, controller, saying=f"old {number}")
    ModelTag.objects.exclude(pk__in=[controller.pk, task.pk, candidate.pk]).update(status="rejected")
    monkeypatch.setattr(readings, "TAGS_SAMPLED", 2)
    configured, unused = readings.read_tags()
    assert configured == (controller, task)
    assert (len(unused), read_facts(now=timezone.now()).unused_tags) == (2, 3)
    assert candidate not in unused


def test_a_tag_is_pinned_and_let_go_and_both_are_in_the_audit_log(db, servers):
    controller, _ = make_base_tags(servers)
    for pinned in (True, False):
        pin_tag(tag_id=controller.pk, pinned=pinned, by=command_line("ada"), origin="admin")
        controller.refresh_from_db()
        assert controller.pinned is pinned
    assert list(AuditEntry.objects.order_by("id").values_list("action", flat=True)) == ["pin tag", "unpin tag"]


def test_a_tag_that_does_not_exist_cannot_be_pinned(db):
    with pytest.raises(NotFound):
        pin_tag(tag_id=1, pinned=True, by=command_line("ada"), origin="admin")
