"""The reference says what the code says. After a wanted change run this with LEALIFE_WRITE_SNAPSHOTS=1 and commit."""

from __future__ import annotations

import os
import re

import pytest

from lealife.core.places import BASE_DIR
from tests.docs.environment import read_variables
from tests.docs.reference import PAGES

FOLDER = BASE_DIR / "docs" / "reference"


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_what_the_code_makes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # `up` reads its default port from here.
    monkeypatch.delenv("PORT", raising=False)
    current = PAGES[name]()
    if os.environ.get("LEALIFE_WRITE_SNAPSHOTS") == "1":
        (FOLDER / name).write_text(current)
    assert current == (FOLDER / name).read_text()


def read_rows() -> dict[str, str]:
    """Variable → default, as docs/reference/environment.md has them."""
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.*?) \|", (FOLDER / "environment.md").read_text(), re.MULTILINE)
    return {name: default.strip("`") for name, default in rows}


def test_every_environment_variable_is_documented_and_no_other() -> None:
    assert set(read_rows()) == set(read_variables())


def test_documented_defaults_are_the_defaults_in_the_code() -> None:
    rows = read_rows()
    differing = {
        name: (rows[name], default)
        for name, default in read_variables().items()
        if default is not None and rows[name] != default
    }
    assert not differing
