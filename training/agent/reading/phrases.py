"""Phrases: quoted words, found on a page as it spells them."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from itertools import accumulate

from training.agent.reading.text import squeeze
from training.agent.reading.words import fold

# A phrase of the question that is found outside of every passage is quoted with no more characters than this.
PHRASE_QUOTE_MAX = 600


def cut_out(phrase: str, text: str) -> str:
    """The phrase as the page spells it, perhaps over several passages; whole words if only the folded text matches."""
    pattern = r"\s+".join(re.escape(word) for word in phrase.split())
    match = re.search(pattern, text, re.IGNORECASE)
    if match:
        return squeeze(match.group())[:PHRASE_QUOTE_MAX]
    words = text.split()
    folded = [fold(word) for word in words]
    start = " ".join(folded).find(phrase)
    if start < 0:
        return ""
    # Where each word ends, in the folded text.
    ends = list(accumulate(folded, lambda end, word: end + 1 + len(word), initial=-1))[1:]
    first, last = bisect_right(ends, start), bisect_left(ends, start + len(phrase))
    return " ".join(words[first : last + 1])[:PHRASE_QUOTE_MAX]
