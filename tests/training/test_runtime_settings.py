"""Runtime settings: bounds, versions, and the log of who changed what."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from lealife.core.actors import command_line
from lealife.core.errors import Conflict, InvalidInput
from training.coordinator import start_training, stop_training
from training.models import AuditEntry, RuntimeSettings, RuntimeSettingsChange
from training.runtime_settings import EVERY_TASK, FIELDS, TRAINING_ONLY, apply_settings, read_settings
from training.settings_catalogue import SETTINGS


def apply(version: int | None = None, by: str = "ada", **changes) -> RuntimeSettings:
    return apply_settings(changes=changes, version=version, by=command_line(by), origin="api")


def test_reading_makes_the_one_row(db):
    assert read_settings().version == 1
    assert read_settings() == RuntimeSettings.objects.get()


def test_first_run_defaults_come_from_the_environment_and_are_checked(db, monkeypatch):
    monkeypatch.setenv("LEALIFE_DEFAULT_RETRY_BUDGET", "7")
    assert read_settings().retry_budget == 7


def test_first_run_defaults_that_leave_no_slot_for_training_are_refused(db, monkeypatch):
    monkeypatch.setenv("LEALIFE_DEFAULT_RESERVED_CONTROL_SLOTS", "3")
    monkeypatch.setenv("LEALIFE_DEFAULT_GLOBAL_MAX_CONCURRENT_RUNS", "3")
    with pytest.raises(InvalidInput, match="3 reserved control slots leave none of 3 for training"):
        read_settings()


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
    assert refusal.value.details == {
        "diff": {"retry_budget": [9, 5]},
        "changed": {"retry_budget": [3, 9]},
        "version": 2,
    }
    assert read_settings().retry_budget == 9


def test_drafts_of_one_version_that_race_are_applied_once(race, db):
    read_settings()
    results = race(*[lambda value=value: apply(version=1, retry_budget=value) for value in range(4, 8)])
    assert sum(isinstance(result, RuntimeSettings) for result in results) == 1
    assert sum(isinstance(result, Conflict) for result in results) == 3
    assert RuntimeSettingsChange.objects.count() == 1


def test_two_operators_with_different_drafts_get_one_version_and_one_difference(race, db):
    read_settings()
    drafts = {"ada": {"retry_budget": 9}, "bob": {"loop_interval_s": 0.5}}
    calls = [lambda by=by, draft=draft: apply(version=1, by=by, **draft) for by, draft in drafts.items()]
    results = dict(zip(drafts, race(*calls), strict=True))
    [loser] = [by for by, result in results.items() if isinstance(result, Conflict)]
    winner = next(by for by in drafts if by != loser)
    [(name, value)] = drafts[winner].items()
    live = read_settings()
    assert (live.version, live.updated_by, getattr(live, name)) == (2, winner, value)
    # The one who was refused learns what the other changed, and what is left of their own draft.
    details = results[loser].details
    assert list(details["changed"]) == [name]
    assert details["changed"][name][1] == value
    assert list(details["diff"]) == list(drafts[loser])


def test_what_others_changed_and_changed_back_is_no_difference(db):
    for value in (9, 3):
        apply(retry_budget=value)
    apply(campaign_lock=True)
    with pytest.raises(Conflict) as refusal:
        apply(version=1, retry_budget=5)
    assert refusal.value.details["changed"] == {"campaign_lock": [False, True]}


def test_a_draft_against_a_version_that_never_was_is_refused(db):
    with pytest.raises(Conflict, match="There is no version 7 of the settings: 1 is live"):
        apply(version=7, retry_budget=5)


@pytest.mark.parametrize(("table", "who"), [(RuntimeSettingsChange, "changed_by"), (AuditEntry, "actor")])
@pytest.mark.parametrize("write", ["save", "update", "delete"])
def test_the_change_log_and_the_audit_log_refuse_every_rewrite(db, table, who, write):
    apply(retry_budget=9)
    stop_training(by=command_line("ada"), origin="page")
    start_training(by=command_line("ada"), origin="page")
    rows = table.objects.all()
    writes = {
        "save": lambda: rows[0].save(),
        "update": lambda: rows.update(**{who: "eve"}),
        "delete": rows.delete,
    }
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        writes[write]()
    assert table.objects.exists()


def test_the_environment_sets_the_first_run_and_nothing_later(db, monkeypatch):
    monkeypatch.setenv("LEALIFE_DEFAULT_RETRY_BUDGET", "7")
    assert read_settings().retry_budget == 7
    monkeypatch.setenv("LEALIFE_DEFAULT_RETRY_BUDGET", "9")
    monkeypatch.setenv("LEALIFE_DEFAULT_LOOP_INTERVAL_S", "0")
    row = read_settings()
    assert (row.retry_budget, row.loop_interval_s, row.version) == (7, 1.0, 1)


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
    ("hold_back_percent", 0, 50),
    ("watch_observations", 1, 10_000),
    ("watch_deadline_s", 10, 604_800),
    ("drill_every_days", 0, 365),
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
        ("loop_interval_s", 10**400),
        ("loop_interval_s", None),
        ("retry_budget", float("inf")),
        ("retry_budget", float("nan")),
        ("loop_interval_s", False),
    ],
)
def test_a_value_of_another_type_is_refused(db, name, value):
    with pytest.raises(InvalidInput) as refusal:
        apply(**{name: value})
    assert refusal.value.details["field"] == name
    assert read_settings().version == 1


@pytest.mark.parametrize("name", ["retry_budget", "loop_interval_s", "campaign_lock", "source_lane_mode"])
def test_a_number_that_python_itself_will_not_write_is_refused(db, name):
    with pytest.raises(InvalidInput):
        apply(**{name: 10**5000})


@pytest.mark.parametrize("name", ["nonsense", "version", "id", "updated_by", "pk", "objects"])
def test_an_unknown_setting_is_refused(db, name):
    with pytest.raises(InvalidInput, match="There is no setting"):
        apply_settings(changes={name: 1}, version=None, by=command_line("ada"), origin="api")


def test_one_bad_value_refuses_the_whole_draft(db):
    with pytest.raises(InvalidInput):
        apply(retry_budget=9, window_size=1)
    assert read_settings().retry_budget == 3


def test_reserved_slots_must_leave_some(db):
    with pytest.raises(InvalidInput, match="leave none of 4 for training"):
        apply(reserved_control_slots=4)
    assert apply(reserved_control_slots=4, global_max_concurrent_runs=5).reserved_control_slots == 4


def test_what_a_person_typed_comes_as_text(db):
    typed = {"retry_budget": "8", "campaign_lock": "True", "loop_interval_s": "0.5"}
    row = apply_settings(changes=typed, version=None, by=command_line("ada"), origin="page", typed=True)
    assert (row.retry_budget, row.campaign_lock, row.loop_interval_s) == (8, True, 0.5)


@pytest.mark.parametrize(("name", "text"), [("retry_budget", "8"), ("campaign_lock", "True")])
def test_text_from_a_program_is_no_number_and_no_switch(db, name, text):
    with pytest.raises(InvalidInput) as refusal:
        apply(**{name: text})
    assert refusal.value.details["field"] == name


def test_the_catalogue_describes_every_setting_of_the_row_and_no_other():
    unset = {"id", "version", "updated_at", "updated_by"}
    assert set(SETTINGS) == {field.name for field in RuntimeSettings._meta.concrete_fields} - unset
    assert set(TRAINING_ONLY) | set(EVERY_TASK) <= set(FIELDS)


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_a_settings_field_is_what_the_catalogue_says(setting):
    field = RuntimeSettings._meta.get_field(setting.name)
    assert field.default == setting.default
    assert field.help_text == setting.hint != ""
    if setting.kind in {"whole", "number"}:
        assert setting.unit
        assert {setting.least, setting.most} <= {validator.limit_value for validator in field.validators}
    if setting.kind == "choice":
        assert tuple(field.choices) == setting.choices


def test_a_refusal_says_what_would_be_taken(db):
    with pytest.raises(InvalidInput, match="Retry Budget / Source cannot be True: 1–100 failed attempts"):
        apply(retry_budget=True)
    with pytest.raises(InvalidInput, match=r"Loop Interval \(s\) cannot be 'nan': 0.05–3,600 seconds"):
        apply(loop_interval_s="nan")


def test_admin_and_api_say_what_the_catalogue_says(admin_client):
    setting = SETTINGS["retry_budget"]
    page = admin_client.get("/admin/training/runtimesettings/1/change/").content.decode()
    assert setting.label in page
    assert f"{setting.hint} (1–100 failed attempts)" in page
    told = {field["name"]: field for field in admin_client.get("/api/training/settings").json()["fields"]}
    assert list(told) == list(SETTINGS)
    assert (told["retry_budget"]["unit"], told["retry_budget"]["least"], told["retry_budget"]["most"]) == (
        "failed attempts",
        1,
        100,
    )
