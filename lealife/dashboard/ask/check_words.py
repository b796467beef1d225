"""A success check in plain words: what must hold for a run to count as a success."""

from __future__ import annotations

from typing import Any

SHOWN_MAX = 160


def describe_check(check_spec: dict[str, Any], *, pages_target: int | None) -> tuple[str, ...]:
    """One sentence for each part, all of which must hold; without a check, those of the default."""
    sentences = []
    if not check_spec.keys() - {"json_schema"}:
        pages = "the usual number of pages"
        if pages_target:
            pages = f"{pages_target} page{'s' if pages_target != 1 else ''}"
        sentences.append(
            f"No check of its own: the run must find a quote that is likely enough to answer, and read {pages}."
        )
    if urls := check_spec.get("expected_urls"):
        more = f" or {len(urls) - 1} more" if len(urls) > 1 else ""
        sentences.append(f"The page {_shorten(urls[0])}{more} must be visited, and a quote must come from it.")
    if text := check_spec.get("expected_text"):
        sentences.append(f"The words “{_shorten(text)}” must be in the answer or in one of its quotes, in any case.")
    if pattern := check_spec.get("pattern"):
        sentences.append(f"The pattern {_shorten(pattern)} must be found in the answer or in one of its quotes.")
    if check_spec.get("json_schema"):
        sentences.append("The answer must be JSON that fits the given schema, and say only what its quotes say.")
    if pages := check_spec.get("min_pages"):
        sentences.append(f"The run must read at least {pages} page{'s' if pages != 1 else ''}.")
    return tuple(sentences)


def _shorten(text: object) -> str:
    words = " ".join(str(text).split())
    return words if len(words) <= SHOWN_MAX else f"{words[: SHOWN_MAX - 1]}…"
