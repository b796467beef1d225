"""Every relative link and picture of the documents leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lealife.core.places import BASE_DIR

DOCUMENTS = sorted([*BASE_DIR.glob("*.md"), *(BASE_DIR / "docs").rglob("*.md")])
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
# Files and folders of the project, in the text: `lealife/core/` or `training/sources.py`.
FILE = re.compile(r"`((?:benchmarks|docs|lealife|learning|promotion|scripts|templates|tests|training)/[a-z_./]*)`")
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
PICTURES_MOST, PICTURE_BYTES_MOST = 6, 150_000


def list_headings(document: Path) -> set[str]:
    """The anchors that GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(BASE_DIR)))
def test_links_lead_somewhere(document: Path) -> None:
    broken = []
    for link in LINK.findall(CODE.sub("", document.read_text())):
        path, _, anchor = link.partition("#")
        target = (document.parent / path) if path else document
        if "://" in link:
            continue
        if not target.exists() or (anchor and anchor not in list_headings(target)):
            broken.append(link)
    assert not broken


def test_named_files_exist() -> None:
    documents = [document for document in DOCUMENTS if "decisions" not in document.parts]
    named = {name for document in documents for name in FILE.findall(document.read_text())}
    assert named
    assert [name for name in sorted(named) if not (BASE_DIR / name).exists()] == []


def test_every_document_can_be_reached_from_the_index() -> None:
    index = BASE_DIR / "docs" / "README.md"
    linked = {(index.parent / link.partition("#")[0]).resolve() for link in LINK.findall(index.read_text())}
    unlinked = {path for path in (BASE_DIR / "docs").rglob("*.md") if "decisions" not in path.parts} - linked - {index}
    assert not unlinked


def test_pictures_are_few_small_and_used() -> None:
    text = "".join(document.read_text() for document in DOCUMENTS)
    pictures = sorted((BASE_DIR / "docs" / "images").iterdir())
    assert len(pictures) <= PICTURES_MOST
    assert [path.name for path in pictures if path.stat().st_size > PICTURE_BYTES_MOST or path.name not in text] == []
