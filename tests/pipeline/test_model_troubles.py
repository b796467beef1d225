"""A model server in trouble: the run says which, nothing counts, health names it, and it is back once it is well."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import LazySettings

from lealife.core.actors import command_line
from lealife.core.digest import digest_value
from lealife.core.gateway import OllamaPool
from lealife.health import name_suspects
from lealife.model_health import ModelHealth, check_models
from lealife.pipeline.launching import ask
from lealife.pipeline.stages import drain
from promotion.routing import read_routing
from promotion.tags import ensure_base_tags
from tests.core.scripted_ollama import BASE, REFUSALS, Scripted, run_scripted
from tests.pipeline.scenes import train_once
from training.model_faults import read_faults
from training.models import Host, TrainingSource

pytestmark = [pytest.mark.django_db(transaction=True)]

BROKEN = [*REFUSALS, "drips", "hangs", "breaks off", "never ends", "only thinks"]


@pytest.fixture
def servers(
    settings: LazySettings, transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Scripted, Scripted]]:
    """Two servers with the first tags made on both. No model for vectors is wanted."""
    settings.LEALIFE_EMBED_MODEL = ""
    monkeypatch.setattr("lealife.core.server_checks.CHAT_S", 1.0)
    settings.LEALIFE_MODEL_DEADLINE_S = 4
    settings.LEALIFE_BASE_MODEL = BASE
    with run_scripted() as one, run_scripted() as two:
        settings.OLLAMA_HOST = f"{one.address},{two.address}"
        # A busy machine may need longer than a run's chat is given here.
        ensure_base_tags(server=OllamaPool(hosts=[one.address, two.address]), base=BASE)
        yield one, two


@pytest.fixture
def server(servers: tuple[Scripted, Scripted], settings: LazySettings) -> Scripted:
    """The first of them as the only one."""
    settings.OLLAMA_HOST = servers[0].address
    return servers[0]


def read_model_health() -> ModelHealth:
    return check_models(name_suspects(routing=read_routing(), failed=read_faults()))


@pytest.mark.parametrize("mood", BROKEN)
def test_the_only_server_in_trouble_ends_the_run_blameless(host: Host, server: Scripted, mood: str):
    server.mood = mood
    outcome = train_once(host)
    assert (outcome.success, outcome.error_code) == (False, "model_unavailable")
    assert (outcome.served_controller_digest, outcome.served_task_digest) == ("", "")
    assert server.address in outcome.run.error
    assert outcome.run.invalid_picks == 0
    source = TrainingSource.objects.get()
    assert (source.status, source.failed_attempts) == ("pending", 0)
    health = read_model_health()
    assert health.state == "down"
    assert server.address in health.reasons[0]
    advice = "use another base model" if mood == "only thinks" else "restart it"
    assert advice in health.reasons[0].lower()
    server.mood = "well"
    TrainingSource.objects.update(status="done")
    # The next look finds it well, and the next run is served.
    assert read_model_health() == ModelHealth("up")
    assert train_once(host).success


@pytest.mark.parametrize("mood", BROKEN)
def test_one_of_two_servers_in_trouble_leaves_its_work_to_the_other(
    host: Host, servers: tuple[Scripted, Scripted], mood: str
):
    for one in servers:
        one.mood = mood
        outcome = train_once(host)
        assert (outcome.success, outcome.error_code) == (True, "")
        health = read_model_health()
        assert health.state == "up"
        # One that hangs does not list its tags either; the others fail in a chat only.
        what = "does not answer" if mood == "hangs" else "cannot serve"
        assert health.reasons[0] == f"1 of 2 model servers {what}."
        assert one.address in health.reasons[1]
        # It is named until it answers, however much the other has served since.
        assert train_once(host).success
        assert read_model_health() == health
        one.mood = "well"
        assert read_model_health() == ModelHealth("up")


def test_a_thinking_model_is_asked_not_to_think(host: Host, server: Scripted):
    server.mood, server.skills = "thinks", ("completion", "thinking")
    outcome = train_once(host)
    assert (outcome.success, outcome.run.invalid_picks) == (True, 0)
    assert {chat["think"] for chat in server.chats} == {False}
    assert read_model_health() == ModelHealth("up")


def test_another_digest_than_is_registered_is_named(host: Host, server: Scripted):
    [tag] = [name for name in server.tags if name.startswith("lealife-controller:")]
    right, server.tags[tag] = server.tags[tag], digest_value("another")
    health = read_model_health()
    assert health.state == "down"
    assert tag in health.reasons[0] and server.address in health.reasons[0]
    server.tags[tag] = right
    assert read_model_health() == ModelHealth("up")


def test_a_server_that_lost_its_base_says_what_to_pull(host: Host, server: Scripted):
    kept = dict(server.tags)
    server.tags.clear()
    outcome = train_once(host)
    assert (outcome.success, outcome.error_code) == (False, "model_unavailable")
    assert TrainingSource.objects.get().failed_attempts == 0
    assert read_model_health().reasons == (
        f"{server.address} has no model {BASE}. Run on that machine: ollama pull {BASE}",
    )
    server.tags.update(kept)
    assert read_model_health() == ModelHealth("up")


def test_one_of_two_servers_that_lost_its_base_is_named_and_the_other_serves(
    host: Host, servers: tuple[Scripted, Scripted]
):
    for one in servers:
        kept = dict(one.tags)
        one.tags.clear()
        assert train_once(host).success
        advice = f"{one.address} has no model {BASE}. Run on that machine: ollama pull {BASE}"
        assert read_model_health() == ModelHealth("up", ("1 of 2 model servers cannot serve.", advice))
        one.tags.update(kept)
        assert read_model_health() == ModelHealth("up")


def test_another_digest_on_one_of_two_servers_is_named(host: Host, servers: tuple[Scripted, Scripted]):
    for one in servers:
        [tag] = [name for name in one.tags if name.startswith("lealife-task:")]
        right, one.tags[tag] = one.tags[tag], digest_value("another")
        outcome = train_once(host)
        assert (outcome.success, outcome.error_code) == (False, "served_other_digest")
        health = read_model_health()
        # The servers disagree about the tag, so that no run counts: the other one's health does not help.
        assert (health.state, health.reasons[0]) == ("down", "1 of 2 model servers cannot serve.")
        assert tag in health.reasons[1] and one.address in health.reasons[1]
        one.tags[tag] = right
        assert read_model_health() == ModelHealth("up")


def test_thinking_models_on_two_servers_are_asked_not_to_think(host: Host, servers: tuple[Scripted, Scripted]):
    """One lists the skill, the other only shows it."""
    servers[0].skills = ("completion", "thinking")
    for one in servers:
        one.mood = "thinks"
    outcome = train_once(host)
    assert (outcome.success, outcome.run.invalid_picks) == (True, 0)


def test_a_role_that_asked_nothing_is_served_by_nothing(host: Host, server: Scripted, pages):
    """One link is no choice: the controller is not asked, and nothing proves what would have served."""
    pages["/"] = b'<title>Garden</title><p>All there is.</p><a href="/roses.html">Roses</a>'
    outcome = train_once(host)
    assert outcome.success
    assert outcome.served_controller_digest == ""
    assert outcome.served_task_digest == outcome.task_digest


def test_a_missing_model_for_vectors_is_named_and_nothing_is_down(server: Scripted, settings: LazySettings):
    settings.LEALIFE_EMBED_MODEL = "all-minilm"
    health = check_models(name_suspects(routing=read_routing(), failed=read_faults()))
    assert health.state == "up"
    assert health.reasons == (
        "No model server has all-minilm, so questions are answered by their words alone. `ollama pull all-minilm` "
        "brings it.",
    )


def test_a_question_of_a_person_is_more_urgent_than_training(host: Host, server: Scripted):
    train_once(host)
    assert server.chat_priorities and set(server.chat_priorities) == {"u=5"}
    server.priorities.clear()
    server.asked.clear()
    ask(prompt="Which flowers grow here?", host=host, check_spec=None, pages_target=None, by=command_line("ada"))
    assert drain("execute") == 1
    assert server.chat_priorities and set(server.chat_priorities) == {"u=3"}
