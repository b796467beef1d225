"""Numbers in addresses and posted forms, which a page takes for missing when they make no sense."""

from __future__ import annotations

from django import forms
from django.core.exceptions import ValidationError

# Not an IntegerField: that one takes 05, ٣ and 1_0 too. Eighteen digits are what Postgres can hold in an id.
_NUMBER = forms.RegexField(r"\A[1-9][0-9]{0,17}\Z", strip=False)


def read_number(text: str) -> int | None:
    """The whole number from 1 on that the text says and a row's id could be; None for anything else."""
    try:
        return int(_NUMBER.clean(text))
    except ValidationError:
        return None
