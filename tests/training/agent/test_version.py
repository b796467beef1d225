"""The agent's version follows its source."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from training.agent import version


@pytest.fixture
def copied_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    package = Path(version.__file__).parent
    copy = tmp_path / "agent"
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(version, "__file__", str(copy / "version.py"))
    version.read_agent_version.cache_clear()
    yield copy
    version.read_agent_version.cache_clear()


def read_afresh() -> str:
    version.read_agent_version.cache_clear()
    return version.read_agent_version()


def test_equal_source_has_an_equal_version(copied_agent: Path) -> None:
    assert read_afresh() == read_afresh()
    assert len(read_afresh()) == 16


def test_one_changed_letter_in_any_module_changes_the_version(copied_agent: Path) -> None:
    before = read_afresh()
    module = copied_agent / "reading" / "words.py"
    module.write_text(module.read_text() + "# a note\n")
    assert read_afresh() != before


def test_a_new_or_a_renamed_module_changes_the_version(copied_agent: Path) -> None:
    before = read_afresh()
    (copied_agent / "new.py").touch()
    added = read_afresh()
    (copied_agent / "new.py").rename(copied_agent / "renamed.py")
    assert len({before, added, read_afresh()}) == 3
