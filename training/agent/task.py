"""A run's task, its site, and its success check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import regex

from training.agent.schema import check_schema

PATTERN_MAX = 500
TEXT_MAX = 2_000
URLS_MAX = 50
PAGES_MAX = 50
# How long a run may take unless its task says otherwise, in seconds.
DEADLINE_S = 120.0


@dataclass(frozen=True, slots=True)
class Site:
    """A website that a run may visit. `aliases` are its other hosts ("www.example.org" or "host:port").

    `stay_below_base_path` keeps runs below the base URL's path, for example /docs/ on a host that others share.
    """

    name: str
    base_url: str
    aliases: tuple[str, ...] = ()
    may_be_private: bool = False
    politeness_delay_s: float = 0.0
    stay_below_base_path: bool = False


@dataclass(frozen=True, slots=True)
class SuccessCheck:
    """The deterministic check of a run; all given parts must hold.

    `expected_urls`: one of them visited, and a checked quote from one of them when there are quotes.
    `expected_text`: in the answer or in one of its quotes, ignoring white space and case; `in_answer`: in the answer.
    `pattern`: a regular expression that matches in the answer or in one of its quotes.
    `json_schema`: the answer is JSON of that shape (type, properties, required, enum, items); it is written so.
    `min_pages`: distinct pages fetched.
    Raises ValueError for a pattern that is too long or does not compile, and for out-of-range parts.
    """

    expected_urls: tuple[str, ...] = ()
    expected_text: str = ""
    pattern: str = ""
    json_schema: dict[str, Any] | None = None
    min_pages: int = 0
    in_answer: bool = False

    def __post_init__(self) -> None:
        if len(self.expected_urls) > URLS_MAX or not all(isinstance(url, str) for url in self.expected_urls):
            raise ValueError(f"expected_urls takes up to {URLS_MAX} addresses")
        if not isinstance(self.expected_text, str) or len(self.expected_text) > TEXT_MAX:
            raise ValueError(f"expected_text takes up to {TEXT_MAX} characters")
        if not isinstance(self.pattern, str) or len(self.pattern) > PATTERN_MAX:
            raise ValueError(f"pattern takes up to {PATTERN_MAX} characters")
        try:
            regex.compile(self.pattern)
        except (regex.error, RecursionError, OverflowError) as error:
            raise ValueError(f"pattern does not compile: {error}") from None
        if self.json_schema is not None:
            check_schema(self.json_schema)
        if not isinstance(self.in_answer, bool) or (self.in_answer and not self.expected_text):
            raise ValueError("in_answer is true or false, and true only with expected_text")
        if isinstance(self.min_pages, bool) or not isinstance(self.min_pages, int):
            raise ValueError("min_pages is a whole number")
        if not 0 <= self.min_pages <= PAGES_MAX:
            raise ValueError(f"min_pages is 0 to {PAGES_MAX}")

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> SuccessCheck:
        """A check from its JSON. Raises ValueError for unknown keys and unusable values."""
        if not isinstance(data, dict):
            raise ValueError("a check is a JSON object")
        unknown = sorted(set(data) - set(cls.__dataclass_fields__))
        if unknown:
            raise ValueError(f"unknown keys {', '.join(map(repr, unknown))}")
        urls = data.get("expected_urls") or ()
        if isinstance(urls, str) or not isinstance(urls, list | tuple):
            raise ValueError("expected_urls is a list of addresses")
        given = {name: value for name, value in data.items() if value}
        return cls(**{**given, "expected_urls": tuple(urls)})

    def to_json(self) -> dict[str, Any]:
        """The given parts as JSON; `from_json` reads it back."""
        parts = {name: getattr(self, name) for name in self.__dataclass_fields__}
        parts["expected_urls"] = list(self.expected_urls)
        return {name: value for name, value in parts.items() if value}

    @property
    def checks_nothing(self) -> bool:
        """Whether nothing is given but the shape of the answer, which proves nothing."""
        return not self.to_json().keys() - {"json_schema"}


@dataclass(frozen=True, slots=True)
class Task:
    """One run's task. `max_calls` bounds the picks, `deadline_s` the seconds.

    `write_answer=False` leaves the task model out: the answer is then the best quote.
    """

    prompt: str
    site: Site
    check: SuccessCheck
    pages_target: int
    max_calls: int
    deadline_s: float = DEADLINE_S
    write_answer: bool = True
