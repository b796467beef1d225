"""The words by which memory items are found."""

from __future__ import annotations

import re

from django.contrib.postgres.search import SearchVector
from django.db.models import Value

from learning.models import MemoryItem
from training.agent.reading.words import pair_characters

# English stems, title above text: what a page is called says more than what it mentions.
SEARCH_CONFIG = "english"
# Bytes of a page that are searched. A tsvector holds 1 MB; with words split apart this many always fit.
SEARCHED_BYTES = 250_000


def index_item(item_id: int, *, title: str, searched: str) -> None:
    """Makes the item found by these words."""
    MemoryItem.objects.filter(pk=item_id).update(
        search=SearchVector(Value(split_identifiers(title)), weight="A", config=SEARCH_CONFIG)
        + SearchVector(Value(split_identifiers(cut_bytes(searched, SEARCHED_BYTES))), weight="B", config=SEARCH_CONFIG)
    )


def split_identifiers(text: str) -> str:
    """The text folded, with dots, underscores, slashes and hyphens as spaces: `os.path_join` is found by “join”.

    Postgres keeps `os.path` as one host-like word and a hyphenated word next to its parts, and takes a line of
    Chinese for one word. Asking and storing must split alike.
    """
    return re.sub(r"[\x00._/\\:=()\[\]{}<>|-]+", " ", pair_characters(text))


def cut_bytes(text: str, most: int) -> str:
    """The beginning of the text that fits into `most` bytes of UTF-8."""
    return text.encode()[:most].decode(errors="ignore")
