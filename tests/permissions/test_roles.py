"""Roles: groups for each job, made with the tables, and left alone afterwards."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission
from django.urls import reverse

from lealife.core.actors import read_user
from lealife.roles import ACTIONS, ADMIN, VIEWER, make_roles
from tests.permissions.conftest import make_user
from tests.permissions.table import PERMISSIONS

pytestmark = pytest.mark.django_db
# Those of the product. Django's own are for superusers, and for whom they are given one by one.
OURS = {name for name in PERMISSIONS if name.partition(".")[0] in {"training", "learning", "promotion", "lealife"}}


@pytest.fixture(autouse=True)
def roles():
    """The roles, whatever an earlier test left of the tables."""
    make_roles(groups=Group.objects, permissions=Permission.objects)


def test_every_action_belongs_to_a_role_and_every_role_names_real_permissions():
    known = {f"{app}.{code}" for app, code in Permission.objects.values_list("content_type__app_label", "codename")}
    given = {name for names in ACTIONS.values() for name in names}
    assert given <= known
    # Rights over people, keys and promotion's own settings are for the role Admin.
    assert OURS - given == {
        "lealife.add_apikey", "lealife.change_apikey", "training.change_every_setting"
    }  # fmt: skip


@pytest.mark.parametrize("role", [*ACTIONS, ADMIN])
def test_a_person_may_do_what_the_role_says_and_no_more(role):
    user = make_user(f"{role}-person")
    user.groups.add(Group.objects.get(name=role))
    by = read_user(user)
    assert {name for name in OURS if by.may(name)} == (OURS if role == ADMIN else set(ACTIONS[role]))
    assert not any(by.may(name) for name in set(PERMISSIONS) - OURS)


def test_a_role_that_was_edited_stays_as_it_is():
    viewer = Group.objects.get(name=VIEWER)
    viewer.permissions.clear()
    Group.objects.filter(name=ADMIN).delete()
    make_roles(groups=Group.objects, permissions=Permission.objects)
    assert not viewer.permissions.exists()
    assert Group.objects.get(name=ADMIN).permissions.exists()


def test_the_index_of_admin_is_by_job_and_internals_are_for_superusers(client, admin_client):
    shown = admin_client.get(reverse("admin:index")).content.decode()
    for words in ("Run it", "Questions and answers", "What it knows", "What is trusted", "Evidence", "Internals"):
        assert words in shown
    user = make_user("viewer")
    user.groups.add(Group.objects.get(name=VIEWER))
    client.force_login(user)
    shown = client.get(reverse("admin:index")).content.decode()
    assert "What is trusted" in shown
    assert "Internals" not in shown and "People and keys" not in shown
    listed = client.get(reverse("admin:app_list", args=["training"])).content.decode()
    assert "Training outcomes" in listed and "Worker heartbeats" not in listed
    assert "Worker heartbeats" in admin_client.get(reverse("admin:app_list", args=["training"])).content.decode()
