"""Arms: one tag on one task, on frozen pages, run once and remembered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from promotion.evaluation.arms import ArmInputs, FreezingBrowser, find_freeze, run_arm
from promotion.models import EvaluationArm, FrozenPage
from promotion.recipes import Recipe
from promotion.tags import register_tag
from tests.promotion.scenes import (
    Picker,
    Servers,
    change_settings,
    make_base_tags,
    make_candidate,
    make_tasks,
    make_tools,
)
from tests.training.agent.sites import StubSite
from training.agent.errors import AgentError, ErrorCode
from training.agent.web.http_browser import HttpBrowser
from training.models import Host, Run, Step
from training.runs import fail_lapsed_runs
from training.tasks import build_task

GONE = AgentError(ErrorCode.MODEL_UNAVAILABLE, "Nobody answers.")


@pytest.fixture
def inputs(host: Host, servers: Servers) -> ArmInputs:
    controller, task = make_base_tags(servers)
    held_out = make_tasks(host, 3)[1]
    change_settings(controller_max_calls=1)
    return ArmInputs(
        prompt=held_out.prompt,
        check_spec=held_out.check_spec,
        host_id=host.pk,
        pages_target=2,
        max_calls=1,
        controller=controller,
        task=task,
        memories=(),
        freeze_id=find_freeze(memory_digest="m").pk,
        seed=0,
        engine=("http", "False", "False"),
    )


def raise_gone(number: int) -> None:
    raise GONE


def test_an_arm_that_picks_right_succeeds(inputs, servers):
    arm = run_arm(inputs, tools=make_tools(servers, Picker()))
    assert (arm.success, arm.invalid, arm.controller_calls) == (True, False, 1)
    run = Run.objects.get()
    assert (run.lane, run.status) == ("evaluation", "succeeded")
    assert run.served_controller_digest == inputs.controller.digest


def test_an_arm_that_picks_wrong_fails_validly(inputs, servers):
    arm = run_arm(inputs, tools=make_tools(servers, Picker(clumsy={inputs.controller.name})))
    assert (arm.success, arm.invalid) == (False, False)


def test_the_second_call_asks_no_model_and_no_site(inputs, servers, site: StubSite):
    model = Picker()
    first = run_arm(inputs, tools=make_tools(servers, model))
    asked, fetched = len(model.asked), len(site.asked)
    assert asked > 0
    assert run_arm(inputs, tools=make_tools(servers, model)) == first
    assert (len(model.asked), len(site.asked)) == (asked, fetched)
    assert Run.objects.count() == 1


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "Which page says “stands passage p02”?"},
        {"check_spec": {}},
        {"pages_target": 3},
        {"max_calls": 2},
        {"memories": ({"item_id": 1, "kind": "page", "url": "u", "title": "", "text": "", "score": 1.0},)},
        {"seed": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_input_is_another_arm(inputs, change):
    assert replace(inputs, **change).digest != inputs.digest


def test_another_tag_is_another_arm(inputs, servers):
    candidate = make_candidate(servers, inputs.controller)
    assert replace(inputs, controller=candidate).digest != inputs.digest


def test_an_arm_that_asked_no_controller_proves_nothing_of_its_tag(inputs, servers, browser: Client):
    """Where the ranker was sure every time, no reply shows what would have served."""
    recipe = replace(Recipe.from_json(inputs.controller.recipe), ask_below=0.0)
    seldom = register_tag(
        recipe=recipe, digest=recipe.materialise(servers), status="candidate", parent=inputs.controller
    )
    model = Picker()
    arm = run_arm(replace(inputs, controller=seldom), tools=make_tools(servers, model))
    assert (arm.invalid, arm.controller_calls, model.asked.count(seldom.name)) == (False, 0, 0)
    run = Run.objects.get(pk=arm.run_id)
    assert [step.picked_by for step in run.steps.all()] == ["start", "ranked"]
    assert (run.controller_digest, run.served_controller_digest) == (seldom.digest, "")
    page = browser.get(reverse("run", args=[run.pk])).content.decode()
    assert page.count("not asked") == 1


def test_an_arm_whose_model_goes_away_is_invalid_and_is_not_remembered(inputs, servers):
    arm = run_arm(inputs, tools=make_tools(servers, Picker(at_call=raise_gone)))
    assert (arm.success, arm.invalid) == (False, True)
    assert list(Run.objects.values_list("status", "error_code")) == [("failed", "model_unavailable")]
    again = run_arm(inputs, tools=make_tools(servers, Picker()))
    assert again.pk != arm.pk
    assert again.success


def test_an_arm_whose_every_chat_is_refused_is_invalid_and_claims_nothing_served(inputs, servers):
    """A fallback's luck would be remembered as the tag's for ever."""
    crashed = Picker(at_call=raise_gone)
    arm = run_arm(inputs, tools=make_tools(servers, crashed))
    assert (arm.success, arm.invalid, arm.controller_calls, len(crashed.asked)) == (False, True, 0, 1)
    run = Run.objects.get()
    assert (run.invalid_picks, run.served_controller_digest, run.served_task_digest) == (0, "", "")


def test_an_arm_that_breaks_is_invalid_and_holds_no_slot(inputs, servers):
    def open_nothing(host: Host) -> object:
        raise RuntimeError("the browser's program is gone")

    tools = replace(make_tools(servers, Picker()), open_browser=open_nothing)
    arm = run_arm(inputs, tools=tools)
    assert (arm.success, arm.invalid) == (False, True)
    run = Run.objects.get()
    assert (run.status, run.error_code) == ("failed", "internal_error")
    assert run.error == "RuntimeError: the browser's program is gone"


def test_an_arm_that_ran_out_of_time_is_invalid(inputs, servers, monkeypatch):
    monkeypatch.setattr("promotion.evaluation.arms.build_task", lambda run: replace(build_task(run), deadline_s=0.0))
    arm = run_arm(inputs, tools=make_tools(servers, Picker()))
    assert Run.objects.get().error_code == "timeout"
    assert (arm.success, arm.invalid) == (False, True)


def test_no_run_is_opened_while_no_server_answers(inputs, servers):
    def read_nothing(tag: str) -> str:
        raise GONE

    tools = replace(make_tools(servers, Picker()), served_digest=read_nothing)
    assert run_arm(inputs, tools=tools) is None
    assert not Run.objects.exists()


def test_servers_gone_at_the_end_of_a_run_leave_an_invalid_arm_and_no_open_run(inputs, servers):
    reads = []

    def read_twice(tag: str) -> str:
        reads.append(tag)
        if len(reads) > 2:
            raise GONE
        return servers.served_digest(tag)

    arm = run_arm(inputs, tools=replace(make_tools(servers, Picker()), served_digest=read_twice))
    assert (arm.success, arm.invalid) == (False, True)
    assert not Run.objects.open().exists()


@pytest.mark.parametrize("number", [1, 2])
def test_a_tag_that_changes_while_it_serves_makes_the_arm_invalid(inputs, servers, number):
    def change_tag(call: int) -> None:
        if call == number:
            servers.made[inputs.controller.name] = "another"

    arm = run_arm(inputs, tools=make_tools(servers, Picker(at_call=change_tag)))
    assert (arm.success, arm.invalid) == (False, True)


def test_a_tag_that_is_not_what_routing_claims_makes_the_arm_invalid(inputs, servers):
    servers.made[inputs.task.name] = "another"
    assert run_arm(inputs, tools=make_tools(servers, Picker())).invalid


def test_an_arm_waits_for_a_free_slot(inputs, servers, host):
    for _ in range(change_settings(global_max_concurrent_runs=1).global_max_concurrent_runs):
        Run.objects.create(lane="standard", status="running", host=host, prompt="p", pages_target=1, max_calls=1)
    assert run_arm(inputs, tools=make_tools(servers, Picker())) is None
    assert Run.objects.filter(lane="evaluation").count() == 0


def test_an_arm_that_is_stopped_leaves_no_result(inputs, servers):
    assert run_arm(inputs, tools=make_tools(servers, Picker(), should_stop=lambda: "cancelled")) is None
    assert Run.objects.get().error_code == "cancelled"
    assert not EvaluationArm.objects.exists()


def test_an_arm_whose_run_was_taken_for_lost_leaves_no_result_and_is_run_again(inputs, servers):
    def lapse(number: int) -> None:
        Run.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        assert fail_lapsed_runs(now=timezone.now()) == 1

    assert run_arm(inputs, tools=make_tools(servers, Picker(at_call=lapse))) is None
    assert Run.objects.get().error_code == "worker_lost"
    assert not EvaluationArm.objects.exists()
    assert run_arm(inputs, tools=make_tools(servers, Picker())).success


def test_the_lease_is_kept_while_the_agent_works_and_no_longer(inputs, servers):
    kept = []

    @contextmanager
    def keep_lease(run: Run) -> Iterator[None]:
        kept.append(run.pk)
        yield
        kept.append(Run.objects.get(pk=run.pk).status)

    run_arm(inputs, tools=replace(make_tools(servers, Picker()), keep_lease=keep_lease))
    assert kept == [Run.objects.get().pk, "running"]


def test_the_second_arm_sees_the_pages_of_the_first_although_the_site_changed(inputs, servers, pages, site):
    first = run_arm(inputs, tools=make_tools(servers, Picker()))
    for path in pages:
        pages[path] = b"<title>Changed</title><p>Nothing is here any more.</p>"
    candidate = make_candidate(servers, inputs.controller)
    fetched = len(site.asked)
    second = run_arm(replace(inputs, controller=candidate), tools=make_tools(servers, Picker()))
    assert second.success
    assert read_contents(second.run) == read_contents(first.run)
    assert len(site.asked) == fetched


def test_a_page_that_failed_when_it_was_frozen_fails_for_every_arm(host, site, pages, inputs):
    address = f"{site.url}gone.html"
    with HttpBrowser(site=replace(host.as_site(), base_url="http://127.0.0.1:9/")) as elsewhere:
        browser = FreezingBrowser(freeze_id=inputs.freeze_id, live=elsewhere)
        with pytest.raises(AgentError) as first:
            browser.fetch(address)
    pages["/gone.html"] = b"<p>Back again, after all.</p>"
    with HttpBrowser(site=host.as_site()) as live, pytest.raises(AgentError) as second:
        FreezingBrowser(freeze_id=inputs.freeze_id, live=live).fetch(address)
    assert first.value.code == second.value.code
    assert FrozenPage.objects.count() == 1


def test_one_memory_snapshot_has_one_freeze(db):
    assert find_freeze(memory_digest="a") == find_freeze(memory_digest="a")
    assert find_freeze(memory_digest="a") != find_freeze(memory_digest="b")


def read_contents(run: Run) -> list[str | None]:
    return list(Step.objects.filter(run=run).order_by("index").values_list("snapshot_id", flat=True))
