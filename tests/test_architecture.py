"""The shape of the code, checked: imports and relations point one way, and doors stay where they are.

data     training ──► learning ──► promotion ──► lealife
imports  training ◄── learning ◄── promotion ◄── lealife        lealife.core imports no app

Each rule is a function that returns what breaks it, so that every rule is shown to be able to fail.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import models
from django.test.utils import isolate_apps

ROOT = Path(__file__).resolve().parents[1]
# Lowest first. A package may import those below it, and the library floor.
FLOORS = ("training", "learning", "promotion", "lealife")
LIBRARY = "lealife.core"
AGENT = "training.agent"
QUEUE_DOORWAYS = {"lealife.pipeline.bell", "lealife.management.commands.worker"}
SIGNAL_MODULES = (
    "django.dispatch",
    "django.db.models.signals",
    "django.core.signals",
    "django.test.signals",
    "django.contrib.auth.signals",
    "django_q.signals",
)
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "services", "service", "manager", "managers", "handlers"}
LINES_MAX = 350
# Relations between apps that may be other than PROTECT, and why.
NOT_PROTECTED = {
    # Staff may delete a source; the task it was made of stays and is asked again through a new one.
    "learning.CurriculumTask.source": models.SET_NULL,
    # The frontier is a list of pages still to be read: without its host it means nothing, and it is no evidence.
    "learning.FrontierPage.host": models.CASCADE,
    # What a host says of missing pages means nothing without it either.
    "learning.MissingPage.host": models.CASCADE,
}


def read_modules() -> Iterator[tuple[str, Path]]:
    """Dotted name and path of every module of the product; tests and migrations are no part of it."""
    yield "manage", ROOT / "manage.py"
    for floor in FLOORS:
        for path in sorted((ROOT / floor).rglob("*.py")):
            if "migrations" not in path.parts:
                parts = path.relative_to(ROOT).with_suffix("").parts
                yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def read_imports(module: str, source: str, *, is_package: bool = False) -> set[str]:
    """Everything a module imports, wherever in it, as dotted names: `from a import b` is `a.b`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".") if is_package else module.split(".")[:-1]
                kept = package[: len(package) - node.level + 1]
                base = ".".join([*kept, *filter(None, [node.module])])
            found.update(f"{base}.{alias.name}" for alias in node.names)
    return found


def is_within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def find_upward_imports(module: str, imports: Iterable[str]) -> list[str]:
    """Imports that climb: to a higher floor, or out of the library floor into any app."""
    in_library = is_within(module, LIBRARY)
    height = -1 if in_library else _height(module)
    return [
        f"{module} imports {name}"
        for name in sorted(imports)
        if not is_within(name, LIBRARY) and _height(name) is not None and _height(name) > height
    ]


def _height(module: str) -> int | None:
    first = module.split(".")[0]
    return FLOORS.index(first) if first in FLOORS else len(FLOORS) if module == "manage" else None


def find_impure_agent_imports(module: str, imports: Iterable[str]) -> list[str]:
    """The agent knows neither Django nor any table: what it needs of this product lies in its own package."""
    if not is_within(module, AGENT):
        return []
    return [
        f"{module} imports {name}"
        for name in sorted(imports)
        if name.split(".")[0] in {"django", "django_q", *FLOORS} and not is_within(name, AGENT)
    ]


def find_queue_imports(module: str, imports: Iterable[str]) -> list[str]:
    """The queue is a bell with one doorway, and a command that runs its workers."""
    if module in QUEUE_DOORWAYS:
        return []
    return [f"{module} imports {name}" for name in sorted(imports) if is_within(name, "django_q")]


def find_outside_imports(module: str, imports: Iterable[str]) -> list[str]:
    """Benchmarks and tests use the product; the product never imports them."""
    return [f"{module} imports {name}" for name in sorted(imports) if name.split(".")[0] in {"benchmarks", "tests"}]


def find_signal_imports(module: str, imports: Iterable[str]) -> list[str]:
    """Signals hide who calls whom."""
    return [
        f"{module} imports {name}"
        for name in sorted(imports)
        if any(is_within(name, signals) for signals in SIGNAL_MODULES)
    ]


def find_long_module(module: str, source: str) -> list[str]:
    """A module past its limit is two nouns."""
    lines = len(source.splitlines())
    return [f"{module} has {lines} lines"] if lines > LINES_MAX else []


def find_vague_names(module: str) -> list[str]:
    """Modules are nouns that say what they hold."""
    return [f"{module} is named {part}" for part in module.split(".") if part in VAGUE_NAMES]


def find_bad_relations(model: type[models.Model]) -> list[str]:
    """Relations that point upwards, and relations between apps that cascade or that add a reverse name."""
    found = []
    for field in model._meta.get_fields(include_hidden=True):
        if not field.is_relation or field.auto_created or field.related_model is None:
            continue
        own, other = model._meta.app_label, field.related_model._meta.app_label
        if own == other or other not in FLOORS:
            continue
        name = f"{own}.{model.__name__}.{field.name}"
        if FLOORS.index(other) > FLOORS.index(own):
            found.append(f"{name} points upwards, to {other}")
        allowed = (models.PROTECT, NOT_PROTECTED.get(name, models.PROTECT))
        if getattr(field.remote_field, "on_delete", None) not in allowed:
            found.append(f"{name} is not PROTECT")
        if field.remote_field.related_name != "+":
            found.append(f"{name} adds a reverse name to {other}")
    return found


def find_unregistered(models_of_ours: Iterable[type[models.Model]], *, site: admin.AdminSite) -> list[str]:
    """Models that staff cannot look at."""
    return [model._meta.label for model in models_of_ours if not site.is_registered(model)]


MODULES = list(read_modules())
OUR_MODELS = [model for floor in FLOORS for model in apps.get_app_config(floor).get_models()]
IMPORT_RULES = (
    find_upward_imports,
    find_impure_agent_imports,
    find_queue_imports,
    find_outside_imports,
    find_signal_imports,
)


def test_the_modules_of_every_floor_are_looked_at():
    names = {name for name, _ in MODULES}
    assert {"training.claims", "training.agent.navigate", "learning.recall", "promotion.gate.rule"} <= names
    assert {"lealife.pipeline.stages", "lealife.core.errors", "lealife.management.commands.worker", "manage"} <= names


@pytest.mark.parametrize("rule", IMPORT_RULES, ids=lambda rule: rule.__name__.removeprefix("find_"))
def test_the_product_has_no(rule):
    broken = []
    for name, path in MODULES:
        imports = read_imports(name, path.read_text(), is_package=path.name == "__init__.py")
        broken += rule(name, imports)
    assert broken == []


def test_no_module_is_past_its_length():
    assert [found for name, path in MODULES for found in find_long_module(name, path.read_text())] == []


def test_no_test_file_is_past_its_length():
    paths = sorted((ROOT / "tests").rglob("*.py"))
    assert [found for path in paths for found in find_long_module(path.name, path.read_text())] == []


def test_no_module_has_a_name_that_says_nothing():
    assert [found for name, _ in MODULES for found in find_vague_names(name)] == []


def test_relations_between_apps_point_down_and_protect():
    assert [found for model in OUR_MODELS for found in find_bad_relations(model)] == []


def test_every_exception_for_a_relation_is_still_needed():
    for label, allowed in NOT_PROTECTED.items():
        app, model, field = label.split(".")
        assert apps.get_model(app, model)._meta.get_field(field).remote_field.on_delete is allowed


def test_staff_can_look_at_every_model():
    assert find_unregistered(OUR_MODELS, site=admin.site) == []


# What each rule is there to catch.


def test_an_upward_import_is_found_wherever_it_stands():
    source = "def later():\n    from lealife.pipeline import bell\n    import promotion.gate.rule\n"
    imports = read_imports("training.claims", source)
    assert find_upward_imports("training.claims", imports) == [
        "training.claims imports lealife.pipeline.bell",
        "training.claims imports promotion.gate.rule",
    ]


def test_a_relative_import_that_climbs_is_found():
    imports = read_imports("learning.recall", "from ..promotion import gate\n")
    assert find_upward_imports("learning.recall", imports) == ["learning.recall imports promotion.gate"]
    assert read_imports("training.models", "from . import runs\n", is_package=True) == {"training.models.runs"}


def test_a_downward_import_and_the_library_are_allowed():
    source = "from training.models import Run\nfrom lealife.core.errors import Conflict\nimport django\n"
    assert find_upward_imports("promotion.gate.rule", read_imports("promotion.gate.rule", source)) == []


def test_the_library_may_import_no_app_and_nothing_of_the_top_floor():
    source = (
        "from training.models import Run\nfrom lealife.pipeline.bell import ring\nfrom lealife.core import digest\n"
    )
    assert find_upward_imports("lealife.core.announce", read_imports("lealife.core.announce", source)) == [
        "lealife.core.announce imports lealife.pipeline.bell.ring",
        "lealife.core.announce imports training.models.Run",
    ]


def test_an_agent_that_knows_django_or_a_table_is_found():
    source = "from django.db import models\nfrom training.models import Run\nfrom training.agent.task import Task\n"
    assert find_impure_agent_imports(
        "training.agent.reading.page", read_imports("training.agent.reading.page", source)
    ) == [
        "training.agent.reading.page imports django.db.models",
        "training.agent.reading.page imports training.models.Run",
    ]


def test_an_import_of_a_benchmark_or_a_test_is_found():
    imports = read_imports("promotion.steering", "from benchmarks.gate import run_claims\nimport tests.factories\n")
    assert find_outside_imports("promotion.steering", imports) == [
        "promotion.steering imports benchmarks.gate.run_claims",
        "promotion.steering imports tests.factories",
    ]


def test_a_second_doorway_to_the_queue_is_found():
    imports = read_imports("lealife.pipeline.stages", "from django_q.tasks import async_task\n")
    assert find_queue_imports("lealife.pipeline.stages", imports) == [
        "lealife.pipeline.stages imports django_q.tasks.async_task"
    ]
    assert find_queue_imports("lealife.pipeline.bell", imports) == []


@pytest.mark.parametrize(
    "source",
    [
        "from django.dispatch import receiver",
        "from django.db.models.signals import post_save",
        "import django.dispatch",
    ],
)
def test_a_signal_is_found(source):
    assert find_signal_imports("training.runs", read_imports("training.runs", source))


def test_the_signals_of_the_operating_system_are_something_else():
    assert find_signal_imports("lealife.supervisor", read_imports("lealife.supervisor", "import signal")) == []


def test_a_long_module_is_found():
    assert find_long_module("training.runs", "x = 1\n" * 350) == []
    assert find_long_module("training.runs", "x = 1\n" * 351) == ["training.runs has 351 lines"]


def test_a_vague_name_is_found():
    assert find_vague_names("training.utils") == ["training.utils is named utils"]
    assert find_vague_names("lealife.services.mail") == ["lealife.services.mail is named services"]
    assert find_vague_names("training.heartbeats") == []


@isolate_apps("training", "promotion")
def test_a_relation_that_climbs_cascades_or_names_itself_is_found():
    class Tag(models.Model):  # noqa: DJ008  never in a database
        class Meta:
            app_label = "promotion"

    class Visit(models.Model):  # noqa: DJ008  never in a database
        tag = models.ForeignKey(Tag, on_delete=models.CASCADE)

        class Meta:
            app_label = "training"

    class Verdict(models.Model):  # noqa: DJ008  never in a database
        visit = models.OneToOneField(Visit, on_delete=models.PROTECT, related_name="+")
        tag = models.ForeignKey(Tag, on_delete=models.CASCADE)

        class Meta:
            app_label = "promotion"

    assert find_bad_relations(Visit) == [
        "training.Visit.tag points upwards, to promotion",
        "training.Visit.tag is not PROTECT",
        "training.Visit.tag adds a reverse name to promotion",
    ]
    assert find_bad_relations(Verdict) == []


def test_a_model_that_staff_cannot_see_is_found():
    assert find_unregistered(OUR_MODELS[:1], site=admin.AdminSite()) == [OUR_MODELS[0]._meta.label]
