"""Addresses: one spelling each, and whose they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.agent.task import Site
from training.agent.web.address import canonical_url, drop_fragment, find_base_path, is_same_site


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
        ("http://example.org/app#/orders?page=2", "http://example.org/app#/orders?page=2"),
        ("http://example.org/#!/orders 1", "http://example.org/#!/orders%201"),
        ("http://example.org/#!", "http://example.org/"),
        ("http://example.org/#/", "http://example.org/"),
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
    fragment = once.partition("#")[2]
    assert not fragment or fragment.startswith(("/", "!/"))


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


@pytest.mark.parametrize(("href", "kept"), [("a#top", "a"), ("#/x", "#/x"), ("a#!/x", "a#!/x"), ("#", ""), ("#/", "")])
def test_a_fragment_goes_unless_it_is_a_route(href: str, kept: str) -> None:
    assert drop_fragment(href) == kept


@pytest.mark.parametrize(
    ("base", "folder"),
    [
        ("", "/"),
        ("/", "/"),
        ("/docs/", "/docs/"),
        ("/docs", "/docs/"),
        ("/docs/index.html", "/docs/"),
        ("/a/b", "/a/b/"),
    ],
)
def test_the_base_path_is_the_folder_that_is_meant(base: str, folder: str) -> None:
    assert find_base_path(Site("docs", f"http://example.org{base}")) == folder


@pytest.mark.parametrize(
    ("path", "is_ours"),
    [
        ("/docs/", True),
        ("/docs", True),
        ("/docs/a/b.html?q=1", True),
        ("/docs-old/", False),
        ("/docsx", False),
        ("/", False),
        ("/shop/", False),
        ("/docs/../shop/", False),
        ("/docs/%2e%2e/shop/", False),
        ("/docs/..%2fshop/", False),
        ("/docs/..%5Cshop/", False),
        ("/docs/..;/shop/", False),
        ("/docs/%252e%252e%252fshop/", False),
        ("/docs/..;x=1/shop/", False),
        ("/docs/a..b;x/", True),
    ],
)
def test_a_site_may_be_no_more_than_its_path(path: str, is_ours: bool) -> None:
    site = Site("docs", "http://example.org/docs/", aliases=("www.example.org",), stay_below_base_path=True)
    assert is_same_site(f"http://example.org{path}", site=site) is is_ours
    assert is_same_site(f"https://www.example.org{path}", site=site) is is_ours
    assert is_same_site(f"http://example.org{path}", site=Site("docs", "http://example.org/docs/"))
    assert not is_same_site(f"http://elsewhere.example{path}", site=site)
