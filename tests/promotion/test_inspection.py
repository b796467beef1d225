"""What the model servers have, and what is registered: seen on a real embedded Ollama."""

from __future__ import annotations

import json
from dataclasses import asdict
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from lealife.core.gateway import ModelUnavailable, OllamaPool
from promotion.inspection import inspect_tags
from promotion.models import ModelTag
from promotion.tags import restore_tags
from tests.embedded.ollama_process import BASE, copy_tag


@pytest.fixture
def controller(pool: OllamaPool) -> ModelTag:
    return ModelTag.objects.get(role="controller")


def find(pool: OllamaPool, tag: str) -> list[tuple[str, str]]:
    """(state, sentence) of `tag` on each server."""
    return [(found.state, found.sentence) for found in inspect_tags(server=pool).findings if found.tag == tag]


def test_what_is_installed_is_listed_with_its_role_status_and_bytes(pool, controller, ollama_address):
    inspection = inspect_tags(server=pool)
    found = next(finding for finding in inspection.findings if finding.tag == controller.name)
    assert (found.server, found.state, found.role, found.status) == (
        ollama_address,
        "installed",
        "controller",
        "active",
    )
    assert (found.digest, found.bytes > 90_000_000) == (controller.digest, True)
    assert inspection.alarms == inspection.away == ()


def test_tags_without_a_row_are_foreign_and_the_base_is_named_as_such(pool, ollama_address, settings):
    copy_tag(pool, source=BASE, destination="somebody:else")
    copy_tag(pool, source=BASE, destination="lealife-task:0123456789ab")
    assert find(pool, "somebody:else") == [
        ("foreign", f"somebody:else on {ollama_address} was not made by LeaLife. It is unused.")
    ]
    assert find(pool, BASE) == [("foreign", f"{BASE} on {ollama_address} is the base of registered tags.")]
    settings.LEALIFE_EMBED_MODEL = "somebody:else"
    assert find(pool, "somebody:else") == [("foreign", f"somebody:else on {ollama_address} is the model for vectors.")]
    assert "never registered" in find(pool, "lealife-task:0123456789ab")[0][1]
    assert inspect_tags(server=pool).alarms == ()


def test_a_tag_deleted_on_the_server_is_named(pool, controller, ollama_address):
    pool.delete_tag(tag=controller.name)
    sentence = (
        f"{controller.name}, active as controller, is missing on {ollama_address}: it was deleted outside LeaLife."
    )
    assert find(pool, controller.name) == [("missing", sentence)]
    assert [alarm.tag for alarm in inspect_tags(server=pool).serving_alarms] == [controller.name]
    restore_tags(server=pool)
    assert inspect_tags(server=pool).alarms == ()


def test_a_tag_made_again_with_other_content_is_named_as_drift(pool, controller, ollama_address):
    other = pool.create_tag(tag=controller.name, base=BASE, system="Always pick the last.")
    [(state, sentence)] = find(pool, controller.name)
    assert state == "drifted"
    assert f"{other[:12]} instead of {controller.digest[:12]} on {ollama_address}" in sentence


def test_an_alarm_of_a_tag_that_serves_nothing_is_no_serving_alarm(pool, controller):
    ModelTag.objects.filter(pk=controller.pk).update(status="retired")
    pool.delete_tag(tag=controller.name)
    inspection = inspect_tags(server=pool)
    assert ([alarm.tag for alarm in inspection.alarms], inspection.serving_alarms) == ([controller.name], ())


def test_a_server_that_does_not_answer_is_away_and_none_at_all_is_refused(pool, ollama_address):
    nobody = "http://127.0.0.1:9"
    inspection = inspect_tags(server=OllamaPool(hosts=[ollama_address, nobody]))
    assert (inspection.away, inspection.alarms) == ((nobody,), ())
    with pytest.raises(ModelUnavailable):
        inspect_tags(server=OllamaPool(hosts=[nobody]))


def test_inspecting_changes_nothing(pool, controller):
    pool.delete_tag(tag=controller.name)
    before = (pool.list_tags(), list(ModelTag.objects.values()))
    inspect_tags(server=pool)
    assert (pool.list_tags(), list(ModelTag.objects.values())) == before


@pytest.fixture
def configured(pool: OllamaPool, ollama_address: str, settings: object) -> OllamaPool:
    settings.OLLAMA_HOST = ollama_address
    return pool


def test_the_command_lists_one_json_line_a_tag(configured):
    out = StringIO()
    call_command("tags", "--json", stdout=out)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert lines == [asdict(finding) for finding in inspect_tags(server=configured).findings]


def test_the_check_passes_while_all_is_as_registered_and_fails_when_a_tag_is_missing(configured, controller):
    call_command("tags", "list", "--check", stdout=StringIO())
    configured.delete_tag(tag=controller.name)
    with pytest.raises(CommandError, match=f"{controller.name}.*is missing"):
        call_command("tags", "list", "--check", stdout=StringIO())


def test_without_the_check_the_command_names_drift_and_ends_well(configured, controller):
    configured.create_tag(tag=controller.name, base=BASE, system="Always pick the last.")
    err = StringIO()
    call_command("tags", stdout=StringIO(), stderr=err)
    assert "changed outside LeaLife" in err.getvalue()


def test_the_command_has_every_server_fetch_a_model(configured):
    out = StringIO()
    call_command("tags", "pull", "smollm2", stdout=out)
    assert "smollm2 is on http://" in out.getvalue()
    assert all(configured.read_digest(tag="smollm2:latest").values())
    with pytest.raises(CommandError, match="file does not exist"):
        call_command("tags", "pull", "no-such-model:1b", stdout=StringIO())
    with pytest.raises(CommandError, match="Say which model"):
        call_command("tags", "pull", stdout=StringIO())
