"""Addresses that come from pages are data. They become links only when they are web addresses."""

from __future__ import annotations


def link_address(url: str) -> str:
    """The URL when it is http or https, else "": page data may also contain `javascript:` addresses."""
    return url if url.startswith(("http://", "https://")) else ""
