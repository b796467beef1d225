"""Addresses: one spelling each, and whose they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.agent.address import canonical_url, is_same_site
from training.agent.task import Site


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("HTTP://Example.ORG", "http://example.org/"),
        ("http://example.org:80/a", "http://example.org/a"),
        ("https://example.org:443/a#part", "https://example.org/a"),
        ("http://example.org:8080/a/./b/../c", "http://example.org:8080/a/c"),
        ("http://example.org/a/%7euser/%2e%2e/b", "http://example.org/a/b"),
        ("http://example.org/a b?q=a b&z=1&a=2", "http://example.org/a%20b?q=a%20b&z=1&a=2"),
        ("http://example.org./", "http://example.org/"),
        ("http://bücher.example/ä", "http://xn--bcher-kva.example/%C3%A4"),
        ("http://[0:0::1]:8080/", "http://[::1]:8080/"),
        ("http://example.org/../../etc/passwd", "http://example.org/etc/passwd"),
    ],
)
def test_an_address_has_one_spelling(url: str, canonical: str) -> None:
    assert canonical_url(url) == canonical


@pytest.mark.parametrize(
    "url",
    [
        "",
        "page.html",
        "ftp://example.org/",
        "file:///etc/passwd",
        "data:text/html,hello",
        "blob:http://example.org/1",
        "javascript:alert(1)",
        "http://user:secret@example.org/",
        "http://",
        "http:///path",
        "http://exa mple.org/",
        "http://example.org:99999/",
        "http://example.org:0/",
        "http://[fe80::1%25eth0]/",
        "http://[::1/",
        "http:\\\\example.org\\",
    ],
)
def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        canonical_url(url)


@given(
    st.builds(
        "{}://{}{}{}".format,
        st.sampled_from(["http", "HTTPS", "http"]),
        st.sampled_from(["example.org", "EXAMPLE.org.", "[::1]:80", "a.b:8080", "münchen.example"]),
        st.text(max_size=40),
        st.text(max_size=20).map(lambda text: f"?{text}" if text else ""),
    )
)
def test_canonical_spelling_is_stable(url: str) -> None:
    try:
        once = canonical_url(url)
    except ValueError:
        return
    assert canonical_url(once) == once
    assert "#" not in once


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_a_value_error(text: str) -> None:
    try:
        canonical_url(text)
    except ValueError:
        return


@pytest.mark.parametrize(
    ("url", "is_ours"),
    [
        ("http://docs.example.org/x", True),
        ("https://docs.example.org/x", True),
        ("http://docs.example.org:8080/x", False),
        ("http://www.example.org/", True),
        ("http://mirror.example.org:8000/", True),
        ("http://mirror.example.org/", False),
        ("http://example.org/", False),
        ("http://evil-docs.example.org/", False),
        ("http://docs.example.org.evil.example/", False),
        ("ftp://docs.example.org/", False),
    ],
)
def test_a_site_is_its_host_and_its_aliases(url: str, is_ours: bool) -> None:
    site = Site("docs", "http://docs.example.org/", aliases=("www.example.org", "mirror.example.org:8000"))
    assert is_same_site(url, site=site) is is_ours


def test_a_site_on_its_own_port_is_only_that_port() -> None:
    site = Site("local", "http://127.0.0.1:8000/")
    assert is_same_site("http://127.0.0.1:8000/x", site=site)
    assert not is_same_site("http://127.0.0.1/", site=site)
