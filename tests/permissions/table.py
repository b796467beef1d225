"""Who may do what: one row for each action and for each way in to it. A new one without a row fails."""

from __future__ import annotations

from typing import Any

STAFF, SUPERUSER, NOBODY = "any staff", "superuser", "nobody"

# Every function that changes something on request, by its dotted name.
ACTIONS = {
    "lealife.keys._make_key": "lealife.add_apikey",
    "lealife.keys.revoke_api_key": "lealife.change_apikey",
    "lealife.pipeline.launching.ask": "training.ask",
    "lealife.run_actions.judge_run": "training.give_verdict",
    "lealife.run_actions.repeat_run": "training.ask",
    "lealife.run_actions.train_on_run": "training.queue_source",
    "learning.cases.add_case": "training.give_verdict",
    "learning.curriculum.looking.read_again": "learning.read_again",
    "learning.memory.purge_memory": "learning.purge_memory",
    "learning.memory.retire_items": "learning.retire_memory",
    "learning.memory.trust_items": "learning.trust_memory",
    "learning.versions.correct_item": "learning.correct_memory",
    "promotion.adoption.adopt_tags": "promotion.adopt_digest",
    "promotion.applies.roll_back": "promotion.roll_back",
    "promotion.canary.abort_open_canary": "promotion.abort_canary",
    "promotion.retention.prune_tags": "promotion.prune_tags",
    "promotion.steering.evaluate_now": "promotion.evaluate_now",
    "promotion.steering.hold_promotion": "promotion.hold_promotion",
    "promotion.steering.request_drill": "promotion.drill_gate",
    "promotion.steering.resume_promotion": "promotion.hold_promotion",
    "promotion.tags.pin_tag": "promotion.pin_tag",
    "training.campaigns.cancel_campaign": "training.manage_campaign",
    "training.campaigns.create_campaign": "training.manage_campaign",
    "training.campaigns.requeue_failed": "training.manage_campaign",
    "training.coordinator.start_training": "training.start_training",
    "training.coordinator.stop_training": "training.stop_training",
    "training.definitions.delete_definition": "training.manage_definition",
    "training.definitions.disable_definition": "training.manage_definition",
    "training.definitions.enable_definition": "training.manage_definition",
    "training.definitions.queue_definition": "training.queue_source",
    "training.definitions.save_definition": "training.manage_definition",
    "training.hosts.archive_host": "training.archive_host",
    "training.hosts.unarchive_host": "training.archive_host",
    "training.runtime_settings.apply_settings": "training.change_settings",
    "training.sources.cancel_source": "training.cancel_source",
    "training.sources.correct_source": "training.queue_source",
    "training.sources.disable_source": "training.disable_source",
    "training.sources.enable_source": "training.disable_source",
    "training.sources.queue_source": "training.queue_source",
    "training.sources.requeue_source": "training.queue_source",
}

TASK = {"prompt": "Which page explains queues?", "host": "manual"}

# Pages and buttons: name of the address, its action if it has one, method, what is sent, who may.
PAGES: list[tuple[str, str, str, dict[str, str], str]] = [
    ("dashboard", "", "get", {}, STAFF),
    ("training", "", "get", {}, STAFF),
    ("sources", "", "get", {}, STAFF),
    ("candidate", "", "get", {}, STAFF),
    ("runs", "", "get", {}, STAFF),
    ("run", "", "get", {}, STAFF),
    ("frozen_page", "", "get", {}, STAFF),
    ("poll_page", "", "get", {}, STAFF),
    ("make_task", "", "get", {}, STAFF),
    ("make_task", "", "post", TASK, "training.ask"),
    ("start_training", "", "post", {}, "training.start_training"),
    ("stop_training", "", "post", {}, "training.stop_training"),
    ("queue_source", "", "post", {**TASK, "one": "1"}, "training.queue_source"),
    ("queue_source", "", "post", {**TASK, "campaign": "1", "size": "2"}, "training.manage_campaign"),
    ("say_check", "", "post", TASK, STAFF),
    ("queue_preset", "", "post", {}, "training.queue_source"),
    ("change_source", "disable", "post", {}, "training.disable_source"),
    ("change_source", "enable", "post", {}, "training.disable_source"),
    ("change_source", "requeue", "post", {}, "training.queue_source"),
    ("change_source", "cancel", "post", {}, "training.cancel_source"),
    ("change_campaign", "cancel", "post", {}, "training.manage_campaign"),
    ("change_campaign", "requeue-failed", "post", {}, "training.manage_campaign"),
    ("preview_settings", "", "post", {"version": "1"}, "training.change_settings"),
    ("apply_draft", "", "post", {"version": "1"}, "training.change_settings"),
    ("move_draft", "rebase", "post", {}, "training.change_settings"),
    ("move_draft", "discard", "post", {}, "training.change_settings"),
    ("act_on_run", "repeat", "post", {}, "training.ask"),
    ("act_on_run", "train", "post", {}, "training.queue_source"),
    ("act_on_run", "judge", "post", {"right": "yes"}, "training.give_verdict"),
    *[
        ("steer_promotion", action, method, {"reason": "test"}, permission)
        for action, permission in {
            "hold": "promotion.hold_promotion",
            "resume": "promotion.hold_promotion",
            "evaluate-now": "promotion.evaluate_now",
            "drill": "promotion.drill_gate",
            "abort-canary": "promotion.abort_canary",
            "roll-back": "promotion.roll_back",
        }.items()
        for method in ("get", "post")
    ],
]

# Endpoints: method, address, body, who may.
API: list[tuple[str, str, Any, str]] = [
    ("post", "/api/tasks", TASK, "training.ask"),
    ("get", "/api/tasks", None, STAFF),
    ("get", "/api/tasks/1", None, STAFF),
    ("post", "/api/tasks/1/actions/repeat/", None, "training.ask"),
    ("post", "/api/tasks/1/actions/train/", {"title": "Queues"}, "training.queue_source"),
    ("post", "/api/tasks/1/actions/verdict/", {"right": True, "note": "Read it."}, "training.give_verdict"),
    ("post", "/api/training/start", None, "training.start_training"),
    ("post", "/api/training/stop", None, "training.stop_training"),
    ("get", "/api/training/status", None, STAFF),
    ("get", "/api/training/sources", None, STAFF),
    ("post", "/api/training/sources", TASK, "training.queue_source"),
    ("post", "/api/training/campaigns", {**TASK, "size": 2}, "training.manage_campaign"),
    ("get", "/api/training/campaigns/1", None, STAFF),
    ("post", "/api/training/campaigns/1/actions/cancel/", None, "training.manage_campaign"),
    ("post", "/api/training/campaigns/1/actions/requeue-failed/", None, "training.manage_campaign"),
    ("get", "/api/training/definitions", None, STAFF),
    ("post", "/api/training/definitions", {**TASK, "title": "Queues"}, "training.manage_definition"),
    ("get", "/api/training/definitions/1", None, STAFF),
    ("patch", "/api/training/definitions/1", {"title": "Queues"}, "training.manage_definition"),
    ("post", "/api/training/definitions/1/actions/queue/", {"size": 1}, "training.queue_source"),
    ("post", "/api/training/definitions/1/actions/enable/", None, "training.manage_definition"),
    ("post", "/api/training/definitions/1/actions/disable/", None, "training.manage_definition"),
    ("get", "/api/training/settings", None, STAFF),
    ("patch", "/api/training/settings", {"version": 1, "changes": {"retry_budget": 5}}, "training.change_settings"),
    ("get", "/api/models/proof", None, STAFF),
    ("post", "/api/models/actions/roll-back/", {"role": "controller", "reason": "test"}, "promotion.roll_back"),
    ("get", "/api/models/drills", None, STAFF),
    ("post", "/api/models/actions/hold/", {"reason": "test"}, "promotion.hold_promotion"),
    ("post", "/api/models/actions/resume/", None, "promotion.hold_promotion"),
    ("post", "/api/models/actions/evaluate-now/", None, "promotion.evaluate_now"),
    ("post", "/api/models/actions/drill/", None, "promotion.drill_gate"),
    ("get", "/api/health", None, STAFF),
]

# What admin offers on a list, by model.
ADMIN_ACTIONS = {
    "auth.User": {"delete_selected": "auth.delete_user"},
    "auth.Group": {"delete_selected": SUPERUSER},
    "lealife.ApiKey": {"revoke_selected": "lealife.change_apikey"},
    "learning.MemoryItem": {
        "trust_selected": "learning.trust_memory",
        "retire_selected": "learning.retire_memory",
        "purge_outcomes": "learning.purge_memory",
        "purge_hosts": "learning.purge_memory",
        "purge_since": "learning.purge_memory",
    },
    "promotion.LiveApply": {"roll_back_selected": "promotion.roll_back"},
    "promotion.ModelTag": {"pin_selected": "promotion.pin_tag", "unpin_selected": "promotion.pin_tag"},
    "promotion.PromotionWindow": {
        "hold": "promotion.hold_promotion",
        "resume": "promotion.hold_promotion",
        "evaluate": "promotion.evaluate_now",
        "drill": "promotion.drill_gate",
    },
    "training.Campaign": {
        "requeue_selected": "training.manage_campaign",
        "cancel_selected": "training.manage_campaign",
    },
    "training.Host": {
        "delete_selected": "training.delete_host",
        "check_selected": "training.change_host",
        "read_again_selected": "learning.read_again",
        "archive_selected": "training.archive_host",
        "unarchive_selected": "training.archive_host",
        "forget_selected": "learning.purge_memory",
    },
    "training.Run": {
        "repeat_selected": "training.ask",
        "train_on_selected": "training.queue_source",
        "judge_right": "training.give_verdict",
        "judge_wrong": "training.give_verdict",
    },
    "training.TaskDefinition": {
        "queue_selected": "training.queue_source",
        "enable_selected": "training.manage_definition",
        "disable_selected": "training.manage_definition",
        "delete_selected": "training.manage_definition",
    },
    "training.TrainingSource": {
        "disable_selected": "training.disable_source",
        "enable_selected": "training.disable_source",
        "requeue_selected": "training.queue_source",
        "cancel_selected": "training.cancel_source",
    },
}

# Who may add, change and delete by hand in admin; every model that is not named here: nobody.
ADMIN_FORMS = {
    "auth.User": ("auth.add_user", "auth.change_user", "auth.delete_user"),
    "auth.Group": (SUPERUSER, SUPERUSER, SUPERUSER),
    "lealife.ApiKey": ("lealife.add_apikey", NOBODY, NOBODY),
    "learning.MemoryItem": (NOBODY, "learning.correct_memory", NOBODY),
    "training.Campaign": ("training.manage_campaign", NOBODY, NOBODY),
    "training.Host": ("training.add_host", "training.change_host", "training.delete_host"),
    "training.RuntimeSettings": (NOBODY, "training.change_settings", NOBODY),
    "training.TaskDefinition": (
        "training.manage_definition",
        "training.manage_definition",
        "training.manage_definition",
    ),
    "training.TrainingSource": ("training.queue_source", "training.queue_source", NOBODY),
}

# Lists that can be imported and exported, and who may import. To export one needs Django's permission to view.
ADMIN_IMPORTS = {
    "learning.CurriculumTask": "training.give_verdict",
    "training.Host": "training.add_host",
    "training.TaskDefinition": "training.manage_definition",
    "training.TrainingSource": "training.queue_source",
}

# What a client may send on the socket, by the keys of the message: watching pages is all it does.
SOCKET_MESSAGES = {"page": STAFF, "have": STAFF, "ack": STAFF}

# Beyond `training.change_settings`, for settings that concern more than training.
SETTINGS_BEYOND = {"training.change_every_setting"}

WORDS = {STAFF, SUPERUSER, NOBODY}
PERMISSIONS = sorted(
    {
        *ACTIONS.values(),
        *SETTINGS_BEYOND,
        *(row[-1] for row in (*PAGES, *API)),
        *(needed for actions in ADMIN_ACTIONS.values() for needed in actions.values()),
        *(needed for forms in ADMIN_FORMS.values() for needed in forms),
    }
    - WORDS
)
# One caller for each column: without any permission, with each single one, and a superuser.
CALLERS = ["", *PERMISSIONS, SUPERUSER]
ALL_BUT = "all but "


def list_deciders(needed: str) -> dict[str, bool]:
    """The callers who settle whom a door lets in, and whether it lets each in; `needed` is a permission or any staff.

    Holding more permissions never takes a right away. So the caller with all permissions but the needed one stands for
    all who lack it, and the caller with that one alone stands for all who hold it.
    """
    if needed == STAFF:
        return {"": True, ALL_BUT: True, SUPERUSER: True}
    return {"": False, ALL_BUT + needed: False, needed: True, SUPERUSER: True}


def list_held(caller: str) -> list[str]:
    """The permissions that this caller holds."""
    if caller.startswith(ALL_BUT):
        return [permission for permission in PERMISSIONS if permission != caller.removeprefix(ALL_BUT)]
    return [] if caller in ("", SUPERUSER) else [caller]


def may(caller: str, needed: str) -> bool:
    """What the table says of a caller who holds this one permission."""
    if needed == NOBODY:
        return False
    return caller == SUPERUSER or needed in (STAFF, caller)
