"""Addresses that come from pages: data, which a browser may follow only when they are web addresses."""

from __future__ import annotations


def link_address(url: str) -> str:
    """The URL when it is http or https, else nothing: addresses are page data, and `javascript:` is one too."""
    return url if url.startswith(("http://", "https://")) else ""
