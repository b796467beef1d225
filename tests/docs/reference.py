"""The pages of docs/reference that are made from the code: settings, commands, permissions and error codes."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator

from django.apps import apps
from django.core.management import find_commands, load_command_class
from django.core.management.base import DjangoHelpFormatter
from django.db.models import Model

from lealife.core.places import BASE_DIR
from lealife.dashboard.runs.error_words import WORDS
from lealife.keys import OPERATING
from tests.permissions.table import ACTIONS
from training.runtime_settings import find_permission
from training.settings_catalogue import CHOICE, SETTINGS, SWITCH, Group, Setting, names_of

NOTICE = "<!-- Made from the code. After a change run tests/docs/test_reference.py with LEALIFE_WRITE_SNAPSHOTS=1. -->"
GROUPS = {
    Group.TRAINING: ("Training", "These steer the training loop alone. Change them on the training page."),
    Group.EVERY_TASK: ("Every task", "These hold for every run, training or not. Change them in admin."),
    Group.PROMOTION: ("Promotion", "These steer evaluation, canary and live apply. Change them in admin."),
}


def write_settings() -> str:
    """Every runtime setting, from its catalogue."""
    parts = [
        NOTICE,
        "# Runtime settings",
        "Runtime settings are a row in the database. A change needs no restart: every process reads it at its next "
        "tick. The API reads them with `GET /api/training/settings` and changes them with `PATCH`.",
        "The first run takes each value from the environment variable `LEALIFE_DEFAULT_` plus the setting's name in "
        "capitals, for example `LEALIFE_DEFAULT_CANARY_SHARE_PERCENT=50`. Later runs ignore these variables.",
        "Where things are (database, model servers, data folder) is said by the [environment](environment.md).",
    ]
    for group in Group:
        title, meaning = GROUPS[group]
        rows = [
            (f"**{setting.label}**<br>`{name}`", _say_default(setting), setting.bounds, setting.hint)
            for name in names_of(group)
            for setting in [SETTINGS[name]]
        ]
        parts += [f"## {title}", meaning, _write_table(("setting", "default", "may be", "meaning"), rows)]
    return _join(parts)


def _say_default(setting: Setting) -> str:
    if setting.kind == SWITCH:
        return "On" if setting.default else "Off"
    return f"`{setting.default}`" if setting.kind == CHOICE else f"{setting.default:,}"


def write_commands() -> str:
    """Every command of the product with its arguments, from the parsers themselves."""
    parts = [
        NOTICE,
        "# Commands",
        "Run a command in a checkout as `.venv/bin/python manage.py COMMAND`, and where LeaLife is installed as a "
        "package as `lealife COMMAND`. Both do the same. Each command explains itself with `--help`, and Django's own "
        "commands (`migrate`, `createsuperuser`, `changepassword`, `collectstatic` …) work too.",
        "A command may do everything: who can run it can also read the database's password.",
    ]
    for name in find_commands(str(BASE_DIR / "lealife" / "management")):
        parser = load_command_class("lealife", name).create_parser("manage.py", name)
        parts += [f"## {name}", parser.description or "", *_write_arguments(parser)]
    return _join(parts)


def _write_arguments(parser: argparse.ArgumentParser) -> Iterator[str]:
    rows = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for choice in action._choices_actions:
                words = [choice.dest, *_name_values(action.choices[choice.dest])]
                rows.append((f"`{' '.join(words)}`", "", choice.help or ""))
        elif not set(action.option_strings) & {*DjangoHelpFormatter.show_last, "-h"}:
            rows.append((f"`{_name_argument(action)}`", _say_argument_default(action), action.help or ""))
    if rows:
        yield _write_table(("argument", "default", "meaning"), rows)


def _name_values(parser: argparse.ArgumentParser) -> list[str]:
    """The positional arguments of a subcommand: FILE."""
    return [action.dest.upper() for action in parser._actions if not action.option_strings]


def _name_argument(action: argparse.Action) -> str:
    values = "|".join(map(str, action.choices)) if action.choices else action.metavar or action.dest.upper()
    if not action.option_strings:
        return str(values)
    return action.option_strings[-1] if action.nargs == 0 else f"{action.option_strings[-1]} {values}"


def _say_argument_default(action: argparse.Action) -> str:
    return "" if action.default in (None, "", False) or action.nargs == 0 else f"`{action.default}`"


def write_permissions() -> str:
    """Every permission that an action asks for, and the scope of API keys that gives it."""
    labels = {
        f"{model._meta.app_label}.{codename}": label
        for model in apps.get_models()
        for codename, label in [*model._meta.permissions, *_default_permissions(model)]
    }
    rows = [
        (f"`{permission}`", labels[permission], "operate" if permission in OPERATING else "admin")
        for permission in sorted(set(ACTIONS.values()) | {find_permission(name) for name in SETTINGS})
    ]
    return _join(
        [
            NOTICE,
            "# Permissions",
            "Every action asks for one Django permission, whether the request comes from a page, the API, admin or the "
            "live socket. Give permissions in admin, under *Users* or *Groups*. Superusers have all of them. "
            "Staff without any permission may look at every page. Tables that admin edits directly, such as hosts, "
            "need Django's own permissions to view, add, change and delete.",
            "An API key has a scope: `read` may look, `operate` has the permissions of daily work, `admin` has all. "
            "A key never does more than its owner may at that moment.",
            _write_table(("permission", "its owner", "smallest scope of a key"), rows),
        ]
    )


def _default_permissions(model: type[Model]) -> list[tuple[str, str]]:
    meta = model._meta
    name, plural = meta.model_name, meta.verbose_name_plural
    return [(f"{verb}_{name}", f"May {verb} {plural}") for verb in meta.default_permissions]


def write_errors() -> str:
    """The closed list of error codes, with what each means and what can be done."""
    rows = [(f"`{code}`", words.meaning, words.remedy) for code, words in WORDS.items()]
    return _join(
        [
            NOTICE,
            "# Error codes of runs",
            "A run that fails has one code of this list. The run's page shows the same words.",
            _write_table(("code", "what happened", "what you can do"), rows),
        ]
    )


PAGES: dict[str, Callable[[], str]] = {
    "settings.md": write_settings,
    "commands.md": write_commands,
    "permissions.md": write_permissions,
    "errors.md": write_errors,
}


def _write_table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _join(parts: Iterable[str]) -> str:
    return "\n\n".join(filter(None, parts)) + "\n"
