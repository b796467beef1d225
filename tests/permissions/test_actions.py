"""Actions: each checks for itself, and each stands in the table."""

from __future__ import annotations

import ast
import re
from importlib import import_module

import pytest
from django.contrib.auth.models import Permission

from lealife.core.actors import ACTIONS, Actor, command_line, read_user, requires
from lealife.core.errors import Forbidden, Refused
from promotion.steering import hold_promotion
from tests.permissions import table
from tests.permissions.conftest import make_user
from tests.test_architecture import MODULES, ROOT
from training.coordinator import read_coordinator, start_training
from training.runtime_settings import apply_settings, read_settings

# Functions with a `by` that are no actions themselves: an action or the work itself calls each.
BELOW_ACTIONS = {
    "lealife.dashboard.training.actions.queue_form",
    "lealife.keys.check_scope",
    "lealife.keys.create_api_key",
    "lealife.keys.may_give",
    "promotion.applies.switch_digest",
    "training.operator_verdicts.record_verdict",
    "training.runs.queue_run",
    "training.runtime_settings.write_settings",
}


def test_every_action_has_its_row():
    for module, path in MODULES:
        if "@requires(" in path.read_text():
            import_module(module)
    assert {name: action.permission for name, action in ACTIONS.items() if not name.startswith("tests.")} == (
        table.ACTIONS
    )


def test_every_function_with_an_actor_argument_is_an_action_or_called_by_one():
    found = set()
    for module, path in MODULES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and "by" in {arg.arg for arg in node.args.kwonlyargs}:
                found.add(f"{module}.{node.name}")
    public = {name for name in found if not name.rpartition(".")[2].startswith("_")}
    assert public - set(table.ACTIONS) == BELOW_ACTIONS


@pytest.mark.django_db
def test_every_permission_of_the_table_is_one_of_djangos():
    known = {f"{app}.{code}" for app, code in Permission.objects.values_list("content_type__app_label", "codename")}
    assert set(table.PERMISSIONS) <= known


def test_every_permission_that_a_template_names_is_needed_by_an_action():
    named = set()
    for path in (ROOT / "templates").rglob("*.html"):
        text = path.read_text()
        named |= {name for found in re.findall(r'{% needs "([^"]+)" %}', text) for name in found.split()}
        named |= set(re.findall(r"\bperms\.(\w+\.\w+)", text))
        named |= set(re.findall(r"permission <code>([\w.]+)</code>", text))
    assert named <= set(table.ACTIONS.values())
    assert len(named) > 10


def test_a_bare_name_carries_no_rights():
    with pytest.raises(TypeError, match="start_training needs an Actor as `by`, not 'ada'"):
        start_training(by="ada", origin="page")
    with pytest.raises(TypeError, match="not None"):
        start_training(origin="page")


@pytest.mark.django_db
def test_the_refusal_names_who_may_not_do_what_and_why():
    with pytest.raises(Forbidden) as refused:
        start_training(by=Actor("ann"), origin="page")
    assert str(refused.value) == "ann may not start training: it needs the permission training.start_training."
    assert isinstance(refused.value, Refused)
    assert not read_coordinator().enabled


@pytest.mark.django_db
def test_an_inactive_superuser_may_nothing():
    user = make_user("gone", is_superuser=True, is_active=False)
    assert read_user(user) == Actor("gone")


@pytest.mark.django_db
def test_a_setting_that_concerns_every_task_needs_its_own_permission():
    by = Actor("ann", frozenset({"training.change_settings"}))
    assert apply_settings(changes={"retry_budget": 9}, version=None, by=by, origin="page").retry_budget == 9
    with pytest.raises(Forbidden, match=re.escape("training.change_every_setting")):
        apply_settings(changes={"global_max_concurrent_runs": 9}, version=None, by=by, origin="page")
    # The switch has one permission, whether it is thrown as an action or as a setting.
    with pytest.raises(Forbidden, match=re.escape("promotion.hold_promotion")):
        apply_settings(changes={"promotion_hold": True}, version=None, by=by, origin="page")
    hold_promotion(by=Actor("ann", frozenset({"promotion.hold_promotion"})), origin="page")
    assert read_settings().promotion_hold


def test_an_action_keeps_its_name_and_what_it_returns():
    @requires("training.ask")
    def shout(*, words: str, by: Actor) -> str:
        """Says it louder."""
        return f"{by}: {words.upper()}"

    del ACTIONS[f"{__name__}.shout"]
    assert (shout.__name__, shout.__doc__, shout.permission) == ("shout", "Says it louder.", "training.ask")
    assert shout(words="hi", by=command_line("ann")) == "ann: HI"
