"""Normalises text for storing and comparing: blanks, invisible characters, composed letters. Measures its length."""

from __future__ import annotations

import re
import unicodedata

_BLANKS = re.compile(r"\s+")
# Invisible characters: soft hyphens, zero-width blanks, word joiners, byte order marks and marks of direction.
_INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
_DENSE = re.compile(
    "[\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"
)
# One Chinese, Japanese or Korean character carries about as much as three letters of an alphabet.
_DENSITY = 3


def squeeze(text: str) -> str:
    """The text with every run of white space as one blank."""
    return _BLANKS.sub(" ", text).strip()


def clean_text(text: str) -> str:
    """The text as it is shown: composed (NFC), without invisible characters, with single blanks."""
    if text.isascii():
        return squeeze(text)
    return squeeze(unicodedata.normalize("NFC", _INVISIBLE.sub("", text)))


def measure_length(text: str) -> int:
    """The length of a text in letters of an alphabet: a Chinese, Japanese or Korean character counts three."""
    if text.isascii():
        return len(text)
    dense = len(text) - len(_DENSE.sub("", text))
    return len(text) + (_DENSITY - 1) * dense
