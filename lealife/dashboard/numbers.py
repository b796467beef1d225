"""Numbers in addresses and posted forms. A page treats an invalid number as missing."""

from __future__ import annotations

from django import forms
from django.core.exceptions import ValidationError

# Not an IntegerField: that one takes 05, ٣ and 1_0 too. Eighteen digits are what Postgres can hold in an id.
_NUMBER = forms.RegexField(r"\A[1-9][0-9]{0,17}\Z", strip=False)


def read_number(text: str) -> int | None:
    """The text as a whole number from 1 on that can be a row's id; None for any other text."""
    try:
        return int(_NUMBER.clean(text))
    except ValidationError:
        return None
