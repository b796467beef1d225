"""Admin: what is registered, and every action, form and list × every caller."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.test import Client, RequestFactory
from django.urls import NoReverseMatch, reverse

from lealife.core.import_admin import ImportAdmin
from tests.permissions.conftest import make_callers, make_user, open_browser
from tests.permissions.table import ADMIN_ACTIONS, ADMIN_FORMS, ADMIN_IMPORTS, CALLERS, NOBODY, list_deciders, may
from training.models import AuditEntry, Host, TrainingSource

OURS = {"training", "learning", "promotion", "lealife"}
DJANGOS = {"auth.User", "auth.Group"}
REGISTERED = {model._meta.label: one for model, one in admin.site._registry.items()}


def ask_as(user: User):
    """A request by this user."""
    request = RequestFactory().get("/admin/")
    request.user = user
    return request


def test_only_our_models_and_djangos_users_and_groups_are_registered() -> None:
    strange = {label for label in REGISTERED if label.partition(".")[0] not in OURS and label not in DJANGOS}
    assert strange == set()
    assert set(REGISTERED) >= DJANGOS


@pytest.mark.parametrize("model", ["schedule", "ormq", "success", "failure"])
def test_the_queue_has_no_page_in_admin(model: str) -> None:
    with pytest.raises(NoReverseMatch):
        reverse(f"admin:django_q_{model}_add")


def test_every_admin_action_has_its_row(users: dict[str, User]) -> None:
    offered = {label: set(one.get_actions(ask_as(users["superuser"]))) for label, one in REGISTERED.items()}
    assert {label: names for label, names in offered.items() if names} == {
        label: set(actions) for label, actions in ADMIN_ACTIONS.items()
    }


@pytest.mark.parametrize("label", sorted(ADMIN_ACTIONS))
def test_an_action_is_offered_to_whom_the_table_says(label: str, users: dict[str, User]) -> None:
    wrong = []
    for caller in CALLERS:
        offered = set(REGISTERED[label].get_actions(ask_as(users[caller])))
        expected = {name for name, needed in ADMIN_ACTIONS[label].items() if may(caller, needed)}
        if offered != expected:
            wrong.append((caller, offered ^ expected))
    assert wrong == []


@pytest.mark.parametrize("label", sorted(REGISTERED))
def test_forms_are_open_to_whom_the_table_says(label: str, users: dict[str, User]) -> None:
    one, needed = REGISTERED[label], ADMIN_FORMS.get(label, (NOBODY, NOBODY, NOBODY))
    wrong = []
    for caller in CALLERS:
        request = ask_as(users[caller])
        found = (
            one.has_add_permission(request),
            one.has_change_permission(request),
            one.has_delete_permission(request),
        )
        if found != tuple(may(caller, each) for each in needed):
            wrong.append((caller, found))
    assert wrong == []


@pytest.mark.parametrize(
    ("label", "action"), [(label, action) for label, actions in ADMIN_ACTIONS.items() for action in actions]
)
def test_an_action_that_is_sent_all_the_same_does_nothing(label: str, action: str, rows) -> None:
    app, _, name = label.partition(".")
    client = Client()
    client.force_login(make_user("eve", f"{app}.view_{name.lower()}"))
    model = REGISTERED[label].model
    before = (AuditEntry.objects.count(), model._default_manager.count())
    chosen = model._default_manager.values_list("pk", flat=True).first()
    listing = reverse(f"admin:{app}_{name.lower()}_changelist")
    sent = {"action": action, "_selected_action": [str(chosen)], "confirm": "purge", "reason": "x", "post": "yes"}
    client.post(listing, sent)
    assert (AuditEntry.objects.count(), model._default_manager.count()) == before


def test_every_import_has_its_row() -> None:
    assert {label for label, one in REGISTERED.items() if isinstance(one, ImportAdmin)} == set(ADMIN_IMPORTS)


def find_wrong(needed: str, *addresses: str) -> list[tuple[str, int]]:
    """The callers whom an address lets in or keeps out against the table, and how it answers them."""
    wrong = []
    users = make_callers(list_deciders(needed))
    for caller, allowed in list_deciders(needed).items():
        for address in addresses:
            status = open_browser(users[caller]).post(address).status_code
            if status != (200 if allowed else 403):
                wrong.append((caller, status))
    return wrong


@pytest.mark.parametrize("label", sorted(ADMIN_IMPORTS))
def test_an_import_is_open_to_whom_the_table_says(label: str, cheap_requests: None) -> None:
    name = label.lower().replace(".", "_")
    pages = [reverse(f"admin:{name}_{page}") for page in ("import", "process_import")]
    assert find_wrong(ADMIN_IMPORTS[label], *pages) == []


@pytest.mark.parametrize("label", sorted(ADMIN_IMPORTS))
def test_an_export_is_open_to_who_may_view_the_list_and_to_no_other(label: str, cheap_requests: None) -> None:
    app, _, name = label.lower().partition(".")
    assert find_wrong(f"{app}.view_{name}", reverse(f"admin:{app}_{name}_export")) == []


def test_one_permission_is_enough_to_find_and_use_its_action(rows) -> None:
    client = Client()
    client.force_login(make_user("ann", "training.cancel_source"))
    source = TrainingSource.objects.filter(status="pending").first()
    listing = reverse("admin:training_trainingsource_changelist")
    assert "cancel_selected" in client.get(listing).content.decode()
    client.post(listing, {"action": "cancel_selected", "_selected_action": [str(source.pk)]})
    source.refresh_from_db()
    assert source.status == "cancelled"


def test_settings_beyond_training_are_read_only_without_their_permission(rows) -> None:
    address = reverse("admin:training_runtimesettings_change", args=[1])
    client = Client()
    client.force_login(make_user("ann", "training.change_settings"))
    page = client.get(address).content.decode()
    assert 'name="retry_budget"' in page
    assert 'name="global_max_concurrent_runs"' not in page
    client.force_login(make_user("bob", "training.change_settings", "training.change_every_setting"))
    page = client.get(address).content.decode()
    assert 'name="global_max_concurrent_runs"' in page
    assert 'name="promotion_hold"' not in page


# Users and groups: who manages users gives nobody more than they may do themselves.


@pytest.fixture
def manager(db: None) -> Client:
    """Somebody who may manage users, and nothing else."""
    client = Client()
    client.force_login(make_user("mia", "auth.add_user", "auth.change_user", "auth.delete_user", "auth.change_group"))
    return client


def change_user(client: Client, user: User, **sent: object):
    """Saves the user's form with these fields besides."""
    base = {"username": user.username, "date_joined_0": "2026-01-01", "date_joined_1": "00:00:00", "is_active": "on"}
    return client.post(reverse("admin:auth_user_change", args=[user.pk]), {**base, **sent})


def test_a_manager_of_users_cannot_give_rights(manager: Client) -> None:
    mia = User.objects.get(username="mia")
    group = Group.objects.create(name="all")
    group.permissions.set(Permission.objects.all())
    change_user(
        manager,
        mia,
        is_staff="on",
        is_superuser="on",
        groups=[group.pk],
        user_permissions=list(Permission.objects.values_list("pk", flat=True)),
        first_name="Mia",
    )
    mia = User.objects.get(username="mia")
    assert mia.first_name == "Mia"
    assert (mia.is_superuser, mia.groups.count(), mia.user_permissions.count()) == (False, 0, 4)
    manager.post(reverse("admin:auth_group_change", args=[group.pk]), {"name": "mine", "permissions": []})
    assert Group.objects.get(pk=group.pk).name == "all"


def test_a_manager_of_users_cannot_become_a_superuser_by_their_password(manager: Client) -> None:
    root = User.objects.create_superuser("root", password="before that")
    new = {"usable_password": "true", "password1": "quite another one", "password2": "quite another one"}
    manager.post(reverse("admin:auth_user_password_change", args=[root.pk]), new)
    change_user(manager, root, email="mine@example.org")
    manager.post(reverse("admin:auth_user_delete", args=[root.pk]), {"post": "yes"})
    root.refresh_from_db()
    assert root.check_password("before that")
    assert root.email == ""


@pytest.mark.parametrize("active", [True, False])
def test_a_user_manager_cannot_change_a_user_with_more_permissions(manager: Client, active: bool) -> None:
    ann = make_user("ann", "training.start_training", is_active=active)
    new = {"usable_password": "true", "password1": "quite another one", "password2": "quite another one"}
    manager.post(reverse("admin:auth_user_password_change", args=[ann.pk]), new)
    change_user(manager, ann, email="mine@example.org", is_active="on")
    chosen = {"action": "delete_selected", "_selected_action": [str(ann.pk)], "post": "yes"}
    manager.post(reverse("admin:auth_user_changelist"), chosen)
    ann.refresh_from_db()
    assert (ann.has_usable_password(), ann.email, ann.is_active) == (False, "", active)


def test_a_host_is_saved_with_djangos_own_permission(db: None) -> None:
    client = Client()
    client.force_login(make_user("ann", "training.add_host"))
    sent = {"name": "manual", "base_url": "https://docs.example/", "aliases": "[]", "politeness_delay_ms": "1000"}
    client.post(reverse("admin:training_host_add"), sent)
    assert Host.objects.get().name == "manual"
