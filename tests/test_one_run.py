"""The walk through one run names only files and functions that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WALK = ROOT / "docs" / "explanation" / "one-run.md"
PLACE = re.compile(r"`((?:training|learning|promotion|lealife)/[\w/]+\.py)`((?: `[\w.]+`,?)*)")


def test_every_file_and_function_of_the_walk_exists() -> None:
    places = PLACE.findall(WALK.read_text())
    assert len(places) > 30
    missing = []
    for file, names in places:
        path = ROOT / file
        source = path.read_text() if path.exists() else ""
        for name in re.findall(r"`([\w.]+)`", names) or [""]:
            leaf = name.rpartition(".")[2]
            if not path.exists() or (leaf and not re.search(rf"^\s*(?:def|class) {leaf}\b", source, re.MULTILINE)):
                missing.append(f"{file} {name}")
    assert missing == []
