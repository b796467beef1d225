"""Roles: groups with the permissions of one job.

They are made once, with the tables. After that they are groups like any other, edited in admin.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from django.db.models import Manager, Q

VIEWER, OPERATOR, CURATOR, RELEASER, ADMIN = "Viewer", "Operator", "Curator", "Release manager", "Admin"
# In addition to looking, which every role may.
ACTIONS: Mapping[str, Collection[str]] = {
    VIEWER: (),
    OPERATOR: (
        "training.ask",
        "training.give_verdict",
        "training.queue_source",
        "training.disable_source",
        "training.cancel_source",
        "training.manage_campaign",
        "training.start_training",
        "training.stop_training",
        "training.change_settings",
    ),
    CURATOR: (
        "training.add_host",
        "training.change_host",
        "training.delete_host",
        "training.archive_host",
        "training.ask",
        "training.give_verdict",
        "training.queue_source",
        "training.manage_definition",
        "learning.read_again",
        "learning.retire_memory",
        "learning.trust_memory",
        "learning.correct_memory",
        "learning.purge_memory",
    ),
    RELEASER: (
        "promotion.hold_promotion",
        "promotion.evaluate_now",
        "promotion.drill_gate",
        "promotion.abort_canary",
        "promotion.roll_back",
        "promotion.adopt_digest",
        "promotion.pin_tag",
        "promotion.prune_tags",
    ),
}
# What a role may look at in admin: everything but people and keys.
SHOWN_APPS = ("training", "learning", "promotion")


def make_roles(*, groups: Manager[Any], permissions: Manager[Any]) -> None:
    """Makes the roles that are missing; a migration gives the tables as it knows them."""
    for name in (*ACTIONS, ADMIN):
        group, is_new = groups.get_or_create(name=name)
        if is_new:
            group.permissions.set(permissions.filter(select_permissions(name)))


def select_permissions(role: str) -> Q:
    """The permissions that a role is made with."""
    if role == ADMIN:
        # Only a superuser gives rights.
        return Q(content_type__app_label__in=(*SHOWN_APPS, "lealife"))
    wanted = Q(content_type__app_label__in=SHOWN_APPS, codename__startswith="view_")
    for name in ACTIONS[role]:
        app, _, code = name.partition(".")
        wanted |= Q(content_type__app_label=app, codename=code)
    return wanted
