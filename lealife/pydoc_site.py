"""Python's own documentation, served by `pydoc`: `python -I -S pydoc_site.py -n ADDRESS -p PORT`.

Left out are tests and programs, which no one looks up and which make up most of its pages, and the character sets,
whose hundred pages say the same.
"""

from __future__ import annotations

import pkgutil
import pydoc
from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import Any

LEFT_OUT = frozenset({"test", "tests", "idle_test", "idlelib", "lib2to3", "turtledemo"})
ALIKE = "encodings"

_list_modules = pkgutil.iter_modules


def iter_modules(path: Iterable[Any] | None = None, prefix: str = "") -> Iterator[pkgutil.ModuleInfo]:
    """The modules of a folder that are worth a page: what `pydoc` lists and links to."""
    folders = None if path is None else list(path)
    if folders and PurePath(folders[0]).name == ALIKE:
        return
    yield from (found for found in _list_modules(folders, prefix) if found.name not in LEFT_OUT)


if __name__ == "__main__":
    pkgutil.iter_modules = iter_modules
    pydoc.cli()
