"""Runtime settings: bounds, versions, and the log of who changed what."""

from __future__ import annotations

import pytest

from lealife.lib.errors import Conflict, InvalidInput
from training.models import RuntimeSettings, RuntimeSettingsChange
from training.runtime_settings import EVERY_TASK, FIELDS, TRAINING_ONLY, apply_settings, read_settings


def apply(version: int | None = None, by: str = "ada", **changes) -> RuntimeSettings:
    return apply_settings(changes=changes, version=version, by=by, origin="api")


def test_reading_makes_the_one_row(db):
    assert read_settings().version == 1
    assert read_settings() == RuntimeSettings.objects.get()


def test_first_run_defaults_come_from_the_environment_and_are_checked(db, monkeypatch):
    monkeypatch.setenv("LEALIFE_DEFAULT_RETRY_BUDGET", "7")
    assert read_settings().retry_budget == 7


def test_a_first_run_default_out_of_bounds_is_refused(db, monkeypatch):
    monkeypatch.setenv("LEALIFE_DEFAULT_RETRY_BUDGET", "0")
    with pytest.raises(InvalidInput):
        read_settings()


def test_a_change_is_a_new_version_with_its_author(db):
    row = apply(version=1, retry_budget=9)
    assert (row.retry_budget, row.version, row.updated_by) == (9, 2, "ada")
    assert read_settings().retry_budget == 9


def test_a_change_is_logged_with_old_and_new_value(db):
    apply(retry_budget=9, campaign_lock=True)
    change = RuntimeSettingsChange.objects.get()
    assert change.changes == {"retry_budget": [3, 9], "campaign_lock": [False, True]}
    assert (change.version, change.changed_by, change.changed_from) == (2, "ada", "api")


def test_a_draft_that_changes_nothing_is_no_new_version(db):
    assert apply(retry_budget=3).version == 1
    assert apply().version == 1
    assert not RuntimeSettingsChange.objects.exists()


def test_a_stale_draft_is_refused_with_the_difference(db):
    apply(version=1, by="bob", retry_budget=9)
    with pytest.raises(Conflict, match="changed to version 2 by bob while you edited version 1") as refusal:
        apply(version=1, retry_budget=5, campaign_lock=False)
    assert refusal.value.details == {"diff": {"retry_budget": [9, 5]}, "version": 2}
    assert read_settings().retry_budget == 9


def test_drafts_of_one_version_that_race_are_applied_once(race, db):
    read_settings()
    results = race(*[lambda value=value: apply(version=1, retry_budget=value) for value in range(4, 8)])
    assert sum(isinstance(result, RuntimeSettings) for result in results) == 1
    assert sum(isinstance(result, Conflict) for result in results) == 3
    assert RuntimeSettingsChange.objects.count() == 1


BOUNDS = [
    ("training_max_active_runs", 0, 1000),
    ("recent_host_window", 0, 1000),
    ("retry_budget", 1, 100),
    ("default_pages_target", 1, 50),
    ("reserved_control_slots", 0, 1000),
    ("controller_max_calls", 1, 100),
    ("window_size", 2, 10_000),
    ("evaluation_pairs", 4, 5000),
    ("canary_share_percent", 1, 90),
    ("canary_min_observations", 1, 10_000),
    ("canary_deadline_s", 10, 604_800),
    ("global_max_concurrent_runs", 1, 1000),
]


@pytest.mark.parametrize(("name", "least", "most"), BOUNDS)
def test_a_value_outside_its_bounds_is_refused(db, name, least, most):
    for value in (least - 1, most + 1, 10**30, -(10**30)):
        with pytest.raises(InvalidInput) as refusal:
            apply(**{name: value})
        assert refusal.value.details["field"] == name
    assert read_settings().version == 1


@pytest.mark.parametrize(("name", "least", "most"), BOUNDS)
def test_a_value_at_its_bounds_is_taken(db, name, least, most):
    room = {"global_max_concurrent_runs": 1000, "reserved_control_slots": 0}
    for value in (least, most - 1):
        assert getattr(apply(**{**room, name: value}), name) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("retry_budget", True),
        ("retry_budget", "many"),
        ("retry_budget", 3.7),
        ("retry_budget", None),
        ("retry_budget", [3]),
        ("retry_budget", {"n": 3}),
        ("campaign_lock", 1),
        ("campaign_lock", "perhaps"),
        ("campaign_lock", None),
        ("source_lane_mode", "sideways"),
        ("source_lane_mode", ["hybrid"]),
        ("source_lane_mode", "hybrid\x00"),
        ("browser_engine", ""),
        ("loop_interval_s", 0.01),
        ("loop_interval_s", 3601),
        ("loop_interval_s", "nan"),
        ("loop_interval_s", float("nan")),
        ("loop_interval_s", float("inf")),
        ("loop_interval_s", False),
    ],
)
def test_a_value_of_another_type_is_refused(db, name, value):
    with pytest.raises(InvalidInput) as refusal:
        apply(**{name: value})
    assert refusal.value.details["field"] == name
    assert read_settings().version == 1


@pytest.mark.parametrize("name", ["nonsense", "version", "id", "updated_by", "pk", "objects"])
def test_an_unknown_setting_is_refused(db, name):
    with pytest.raises(InvalidInput, match="There is no setting"):
        apply_settings(changes={name: 1}, version=None, by="ada", origin="api")


def test_one_bad_value_refuses_the_whole_draft(db):
    with pytest.raises(InvalidInput):
        apply(retry_budget=9, window_size=1)
    assert read_settings().retry_budget == 3


def test_reserved_slots_must_leave_some(db):
    with pytest.raises(InvalidInput, match="leave none of 4 for training"):
        apply(reserved_control_slots=4)
    assert apply(reserved_control_slots=4, global_max_concurrent_runs=5).reserved_control_slots == 4


def test_numbers_from_a_form_come_as_text(db):
    row = apply(retry_budget="8", loop_interval_s="0.5", campaign_lock="True")
    assert (row.retry_budget, row.loop_interval_s, row.campaign_lock) == (8, 0.5, True)


def test_every_setting_on_the_page_exists():
    assert set(TRAINING_ONLY) | set(EVERY_TASK) <= set(FIELDS)
