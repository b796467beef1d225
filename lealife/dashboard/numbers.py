"""Numbers in addresses and posted forms. A page treats an invalid number as missing."""

from __future__ import annotations

import re

# Not a form's IntegerField: that one takes 05, ٣ and 1_0 too. Eighteen digits are what Postgres can hold in an id.
_NUMBER = re.compile(r"[1-9][0-9]{0,17}")


def read_number(text: str) -> int | None:
    """The text as a whole number from 1 on that can be a row's id; None for any other text."""
    return int(text) if _NUMBER.fullmatch(text) else None
