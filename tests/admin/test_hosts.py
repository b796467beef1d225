"""A host that is changed in admin: what was refused is tried again once the host allows it."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from lealife.core.digest import digest_bytes
from learning.curriculum.seeding import find_unread_host
from learning.models import FrontierPage
from training.models import AuditEntry, Host

State = FrontierPage.State


def add_page(host: Host, url: str, *, state: str, code: str) -> FrontierPage:
    return FrontierPage.objects.create(
        host=host, url=url, url_digest=digest_bytes(url.encode()), state=state, error_code=code
    )


def change(staff: Client, host: Host, **changes: object) -> None:
    fields = {
        "name": host.name,
        "base_url": host.base_url,
        "aliases": "[]",
        "initial-aliases": "[]",
        "politeness_delay_ms": 1000,
        "seed_curriculum": "on",
    }
    answer = staff.post(reverse("admin:training_host_change", args=[host.pk]), fields | changes)
    assert answer.status_code == 302, answer.content


@pytest.mark.parametrize(
    "changes", [{"may_be_private": "on"}, {"aliases": '["www.intranet.example"]'}], ids=["private", "alias"]
)
def test_pages_that_were_blocked_are_due_again(staff: Client, changes: dict[str, str]) -> None:
    host = Host.objects.create(name="intranet", base_url="http://intranet.example/")
    blocked = add_page(host, host.base_url, state=State.UNREADABLE, code="blocked_by_policy")
    broken = add_page(host, f"{host.base_url}picture", state=State.UNREADABLE, code="not_html")
    assert find_unread_host(now=timezone.now()) is None
    change(staff, host, **changes)
    blocked.refresh_from_db()
    broken.refresh_from_db()
    assert (blocked.state, blocked.error_code, broken.state) == (State.KNOWN, "", State.UNREADABLE)
    assert find_unread_host(now=timezone.now()) == host


def test_another_change_leaves_blocked_pages_alone(staff: Client) -> None:
    host = Host.objects.create(name="intranet", base_url="http://intranet.example/")
    add_page(host, host.base_url, state=State.UNREADABLE, code="blocked_by_policy")
    change(staff, host, politeness_delay_ms=2000)
    assert find_unread_host(now=timezone.now()) is None


@pytest.mark.parametrize("bulk", [False, True])
def test_a_host_that_is_deleted_leaves_a_line_in_the_audit_log(staff: Client, bulk: bool) -> None:
    host = Host.objects.create(name="intranet", base_url="http://intranet.example/")
    if bulk:
        chosen = {"action": "delete_selected", "_selected_action": [str(host.pk)], "post": "yes"}
        staff.post(reverse("admin:training_host_changelist"), chosen)
    else:
        staff.post(reverse("admin:training_host_delete", args=[host.pk]), {"post": "yes"})
    assert not Host.objects.exists()
    assert AuditEntry.objects.get(action="delete host").subject == "host intranet"
