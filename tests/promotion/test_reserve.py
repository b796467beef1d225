"""The reserve: what a live apply was worth, on tasks that decide nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import DatabaseError, transaction

from promotion.applies import switch_digest
from promotion.evaluation import reserve
from promotion.evaluation.gain import read_gain
from promotion.evaluation.reserve import is_measuring
from promotion.models import FrozenPage, LiveApply, ModelTag, ReserveMeasurement
from promotion.models.reserve import ReservePair
from tests.promotion.reserves import TASKS, apply_next, find_gain, measure, put_back
from tests.promotion.scenes import Picker, change_settings, make_host, make_tasks
from tests.test_architecture import read_imports, read_modules
from training.agent.errors import AgentError, ErrorCode
from training.models import Host

# What is measured.


def test_only_reserve_tasks_of_enabled_hosts_are_chosen(host, servers, site):
    change_settings(controller_max_calls=1)
    chosen = make_tasks(host, 3, split="reserve")
    for split in ("train", "evaluation"):
        make_tasks(make_host(site, name=split, base_url=f"http://{split}.test/"), 2, split=split)
    make_tasks(make_host(site, name="off", base_url="http://off.test/", enabled=False), 2, split="reserve")
    chosen[0].ambiguous = True
    chosen[0].save()
    apply_next(servers)
    assert set(ReserveMeasurement.objects.get().task_ids) == {task.pk for task in chosen[1:]}


def test_at_most_so_many_are_chosen_by_a_seed_that_is_the_applys_own(host, servers, monkeypatch):
    monkeypatch.setattr(reserve, "MOST", 4)
    make_tasks(host, 12, split="reserve")
    change_settings(controller_max_calls=1)
    first, second = (
        ReserveMeasurement.objects.get(apply=apply_next(servers, number=number)).task_ids for number in (1, 2)
    )
    assert len(first) == len(second) == 4
    assert first != second


def test_tasks_that_came_after_the_apply_are_not_run(apply, servers, site):
    make_tasks(make_host(site, name="later", base_url="http://later.test/"), 2, split="reserve")
    measure(servers, Picker())
    assert ReservePair.objects.count() == TASKS


def test_both_tags_do_the_same_tasks_on_the_same_pages_with_the_other_tag_as_it_was(apply, servers):
    measure(servers, Picker())
    measurement = ReserveMeasurement.objects.get()
    for pair in measurement.pairs.select_related("before_arm__run", "after_arm__run"):
        before, after = pair.before_arm.run, pair.after_arm.run
        assert (before.controller_tag, after.controller_tag) == (apply.from_tag.name, apply.to_tag.name)
        assert before.task_tag == after.task_tag == measurement.beside.name
        assert before.prompt == after.prompt == pair.task.prompt
        assert before.memories == after.memories
        assert (before.lane, after.lane) == ("evaluation", "evaluation")
    # Each page was fetched once, for both.
    assert FrozenPage.objects.filter(freeze=measurement.freeze).count() == TASKS + 1


def test_a_roll_back_and_an_adopted_digest_are_not_measured(apply, servers):
    put_back(servers)
    active = ModelTag.objects.get(role="controller", status="active")
    with transaction.atomic():
        switch_digest(tag=active, digest="another", by="tests")
    assert LiveApply.objects.count() == 3
    assert ReserveMeasurement.objects.get().apply == apply


# The result.


def test_a_gain_is_told_with_its_interval_when_all_tasks_are_done(apply, servers):
    measure(servers, Picker(clumsy={apply.from_tag.name}))
    gain = find_gain(apply)
    assert (gain.state, gain.pairs, gain.wins, gain.losses, gain.ties) == ("measured", TASKS, TASKS, 0, 0)
    assert (gain.success_before, gain.success_after, gain.success.mean) == (0, 1, 1)
    assert gain.sentence == "+100 pp on 6 unseen tasks, 95 % interval 36 to 100."
    assert not gain.is_loss
    assert not is_measuring()


def test_a_loss_is_told_as_one(apply, servers):
    measure(servers, Picker(clumsy={apply.to_tag.name}))
    gain = find_gain(apply)
    assert gain.is_loss
    assert gain.sentence == "Worse than before: −100 pp on 6 unseen tasks, 95 % interval −100 to −36."


def test_no_figure_is_shown_before_the_end(apply, servers):
    assert measure(servers, Picker(clumsy={apply.from_tag.name}), times=2) == 2
    gain = find_gain(apply)
    assert (gain.state, gain.done, gain.success, gain.calls, gain.success_before) == ("open", 2, None, None, None)
    assert gain.sentence == "What it was worth is being measured: 2 of 6 unseen tasks are done."


def test_a_later_switch_of_the_role_closes_it_as_it_stands(apply, servers):
    measure(servers, Picker(), times=2)
    back = put_back(servers)
    assert measure(servers, Picker()) == 1
    gain = find_gain(apply)
    assert (gain.state, gain.pairs) == ("cut", 2)
    assert gain.sentence.startswith("0 pp on 2 of 6 chosen unseen tasks, 95 % interval ")
    assert gain.sentence.endswith(f" Cut short: live apply {back.pk} switched the controller tag first.")


def test_one_that_was_not_begun_says_that_it_was_not_measured(apply, servers):
    back = put_back(servers)
    measure(servers, Picker())
    assert find_gain(apply).sentence == f"Not measured: live apply {back.pk} switched the controller tag first."


def test_without_a_reserve_nothing_is_measured_and_the_apply_goes_through(host, servers):
    apply = apply_next(servers)
    assert measure(servers, Picker()) == 1
    assert find_gain(apply).sentence == "Not measured: there were no unseen tasks."


def test_tasks_that_cannot_be_asked_any_more_are_left_out(apply, host, servers):
    measure(servers, Picker(), times=2)
    Host.objects.filter(pk=host.pk).update(enabled=False)
    measure(servers, Picker())
    assert "on 2 of 6 chosen unseen tasks" in find_gain(apply).sentence


def test_a_pair_in_which_the_model_broke_counts_for_nothing(apply, servers):
    def break_first(number: int) -> None:
        if number == 1:
            raise AgentError(ErrorCode.MODEL_UNAVAILABLE, "Gone.")

    measure(servers, Picker(at_call=break_first))
    gain = find_gain(apply)
    assert (gain.done, gain.pairs, gain.ties) == (TASKS, TASKS - 1, TASKS - 1)


def test_an_apply_of_which_nothing_is_known_has_no_gain(apply, servers):
    assert read_gain(None) is None
    assert read_gain(put_back(servers)) is None


# Evidence, and who may read it.


@pytest.mark.parametrize(
    "change",
    [
        lambda: ReservePair.objects.update(result="win"),
        lambda: ReservePair.objects.all().delete(),
        lambda: ReserveMeasurement.objects.update(wins=99),
        lambda: ReserveMeasurement.objects.update(state="open"),
    ],
)
def test_what_was_measured_stands(apply, servers, change: Callable[[], object]):
    measure(servers, Picker())
    with pytest.raises(DatabaseError), transaction.atomic():
        change()


def test_the_tasks_of_an_open_measurement_stand(apply):
    with pytest.raises(DatabaseError), transaction.atomic():
        ReserveMeasurement.objects.update(task_ids=[])


# Those that open, work, show or declare it.
READERS = {
    "promotion.applies": {"promotion.evaluation.reserve"},
    "promotion.evaluation.reserve": {"promotion.models", "promotion.evaluation.gain"},
    "promotion.evaluation.gain": {"promotion.models"},
    "promotion.models": {"promotion.models.reserve"},
    "promotion.proof.timeline": {"promotion.evaluation.gain"},
    "promotion.admin": {"promotion.models", "promotion.evaluation.gain"},
    # Only which tags an open measurement needs.
    "promotion.retention": {"promotion.models"},
}


def test_nothing_that_decides_reads_the_reserve():
    for module, path in read_modules():
        imported = read_imports(module, path.read_text(), is_package=path.name == "__init__.py")
        read = {name for name in imported if "reserve" in name.lower() or name.startswith("promotion.evaluation.gain")}
        if not module.startswith("promotion."):
            # Below promotion no module could; above it pages, commands and the stage show and do it.
            assert module.startswith("lealife") or not read, module
            continue
        assert all(any(name.startswith(near) for near in READERS.get(module, ())) for name in read), (module, read)
    # What the apply takes from it is the opening alone.
    source = dict(read_modules())["promotion.applies"].read_text()
    assert "import open_measurement\n" in source and source.count("open_measurement") == 2
