"""LeaLife as an installed package: `pip install .` brings all its files and a command."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

from django.conf import settings

from lealife.core.places import BASE_DIR

PROJECT = tomllib.loads((BASE_DIR / "pyproject.toml").read_text())
SETUPTOOLS = PROJECT["tool"]["setuptools"]


def list_data_files() -> list[Path]:
    """Every file of a package that is no Python source."""
    packages = [pattern.rstrip("*") for pattern in SETUPTOOLS["packages"]["find"]["include"]]
    files = [path for package in packages for path in (BASE_DIR / package).rglob("*") if path.is_file()]
    return [path for path in files if path.suffix not in {".py", ".pyc"}]


def test_every_data_file_is_packaged() -> None:
    packaged = {
        path
        for package, patterns in SETUPTOOLS["package-data"].items()
        for pattern in patterns
        for path in (BASE_DIR.glob(f"*/**/{pattern}") if package == "*" else (BASE_DIR / package).glob(f"{pattern}/*"))
    }
    assert list_data_files()
    assert set(list_data_files()) <= packaged


def test_templates_and_assets_are_looked_for_where_they_are_installed() -> None:
    folders = [Path(folder) for folder in [*settings.TEMPLATES[0]["DIRS"], *settings.STATICFILES_DIRS]]
    packages = {pattern.rstrip("*") for pattern in SETUPTOOLS["packages"]["find"]["include"]}
    assert {folder.relative_to(BASE_DIR).parts[0] for folder in folders} <= packages


def test_the_command_is_that_of_manage_py() -> None:
    module, _, function = PROJECT["project"]["scripts"]["lealife"].partition(":")
    assert callable(getattr(import_module(module), function))
    ways = (["manage.py"], ["-m", "lealife"])
    versions = {subprocess.check_output([sys.executable, *way, "version"], cwd=BASE_DIR, text=True) for way in ways}
    assert len(versions) == 1
