"""The egress guard: hostile hosts are refused before any connect."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tests.training.agent.sites import Stub, serve
from training.agent.errors import AgentError, ErrorCode
from training.agent.task import Site
from training.agent.web.guard import build_policy
from training.agent.web.http_browser import HttpBrowser

# Literal hosts, however they are spelled.
HOSTILE_LITERALS = [
    "127.0.0.1",
    "127.1",
    "127.0.0.53",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "0.0.0.0",
    "0",
    "\u2460\u2461\u2466.0.0.1",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "224.0.0.1",
    "255.255.255.255",
    "240.0.0.1",
    "[::1]",
    "[::]",
    "[::127.0.0.1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:169.254.169.254]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:7f00:1::]",
    "[fe80::1]",
    "[fd00:ec2::254]",
    "[ff02::1]",
]

# Names, by what the resolver says of them.
HOSTILE_ANSWERS = [
    ["127.0.0.1"],
    ["10.1.2.3"],
    ["169.254.169.254"],
    ["::1"],
    ["64:ff9b::a9fe:a9fe"],
    ["93.184.216.34", "127.0.0.1"],
]


def answering(*addresses: str) -> Any:
    def resolve(host: str, port: int, *_: Any) -> list[Any]:
        answers = []
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            sockaddr = (address, port, 0, 0) if ":" in address else (address, port)
            answers.append((family, socket.SOCK_STREAM, 6, "", sockaddr))
        return answers

    return resolve


def refused(site: Site, url: str, **options: Any) -> AgentError:
    with pytest.raises(AgentError) as caught, HttpBrowser(site=site, **options) as browser:
        browser.fetch(url)
    return caught.value


@pytest.mark.parametrize("host", HOSTILE_LITERALS)
def test_a_hostile_host_is_refused_unconnected(host: str, connects: list[str]) -> None:
    url = f"http://{host}/"
    # A numeric spelling may also be handed to the resolver: it would decode it, as getaddrinfo does.
    error = refused(Site("hostile", url), url, resolver=answering("127.0.0.1"))
    assert error.code == ErrorCode.BLOCKED_BY_POLICY
    assert connects == []


@pytest.mark.parametrize("addresses", HOSTILE_ANSWERS)
def test_a_name_that_resolves_inwards_is_refused_unconnected(addresses: list[str], connects: list[str]) -> None:
    site = Site("named", "http://public.example/")
    error = refused(site, site.base_url, resolver=answering(*addresses))
    assert error.code == ErrorCode.BLOCKED_BY_POLICY
    assert connects == []


# Never for anybody, whatever a host's row says. Without brackets, as a resolver spells them.
NEVER = [
    "169.254.169.254",
    "169.254.170.2",
    "169.254.0.23",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd20:ce::254",
    "fd00:c1::a9fe:a9fe",
    "fd00:42::42",
    "fe80::a9fe:a9fe",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a9fe:a9fe",
    "2002:a9fe:a9fe::",
    "::ffff:169.254.169.254",
    "0.0.0.0",
    "224.0.0.1",
]


@pytest.mark.parametrize("address", NEVER)
def test_metadata_and_link_local_stay_refused_for_a_private_site(address: str, connects: list[str]) -> None:
    url = f"http://[{address}]/" if ":" in address else f"http://{address}/"
    assert refused(Site("private", url, may_be_private=True), url).code == ErrorCode.BLOCKED_BY_POLICY
    named = Site("named", "http://metadata.example/", may_be_private=True)
    assert refused(named, named.base_url, resolver=answering(address)).code == ErrorCode.BLOCKED_BY_POLICY
    both = refused(named, named.base_url, resolver=answering("10.1.2.3", address))
    assert both.code == ErrorCode.BLOCKED_BY_POLICY
    assert connects == []


@pytest.mark.parametrize("address", ["10.0.0.1", "127.0.0.2", "192.168.1.1", "172.16.0.1", "::1", "fd12:3456::1"])
def test_a_private_host_is_let_to_its_own_addresses_alone(address: str) -> None:
    policy = build_policy(Site("private", "http://127.0.0.1:8000/", may_be_private=True))
    assert policy.permits_address("127.0.0.1")
    assert not policy.permits_address(address)
    assert not build_policy(Site("private", "http://inside.example/", may_be_private=True)).permits_address(address)


@pytest.mark.parametrize("moved", ["10.0.0.9", "127.0.0.2", "::1"])
def test_a_private_name_that_moves_to_another_private_address_is_refused(moved: str) -> None:
    answers = iter([["127.0.0.1"], [moved], [moved]])

    def rebinding(host: str, port: int, *rest: Any) -> list[Any]:
        return answering(*next(answers))(host, port, *rest)

    closing = {"Connection": "close"}
    with serve({"/": Stub(b"<p>first</p>", headers=closing), "/robots.txt": Stub(b"", headers=closing)}) as stub:
        site = Site("moved", stub.url.replace("127.0.0.1", "inside.example"), may_be_private=True)
        assert refused(site, site.base_url, resolver=rebinding).code == ErrorCode.BLOCKED_BY_POLICY
        assert "/" not in stub.asked


def test_a_private_name_and_its_alias_are_followed_to_where_they_lead() -> None:
    with serve({"/": b"<p>inside</p>"}) as stub:
        url = stub.url.replace("127.0.0.1", "inside.example")
        site = Site("inside", url, aliases=("www.inside.example",), may_be_private=True)
        with HttpBrowser(site=site, resolver=answering("127.0.0.1")) as browser:
            assert browser.fetch(url).body == b"<p>inside</p>"
            assert browser.fetch(url.replace("inside.", "www.inside.")).body == b"<p>inside</p>"


def test_a_private_site_is_only_its_own_host_and_port(connects: list[str]) -> None:
    with serve({"/": b"<p>other</p>"}) as mine, serve({"/": b"<p>secret</p>"}) as other:
        for url in (other.url, other.url.replace("127.0.0.1", "localhost"), "http://127.0.0.1:22/"):
            assert refused(mine.site(), url).code == ErrorCode.BLOCKED_BY_POLICY
        assert other.asked == []
    assert connects == []


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "data:text/html,x",
        "javascript:alert(1)",
        "blob:null/1",
        "ftp://site.example/",
        "//x",
    ],
)
def test_only_web_addresses_are_fetched(url: str, connects: list[str]) -> None:
    assert refused(Site("site", "http://site.example/"), url).code == ErrorCode.BLOCKED_BY_POLICY
    assert connects == []


def test_a_name_that_moves_between_two_fetches_is_checked_again() -> None:
    """DNS rebinding: the second connection resolves again, and that answer is checked too."""
    answers = iter([["127.0.0.1"], ["169.254.169.254"]])

    def rebinding(host: str, port: int, *rest: Any) -> list[Any]:
        return answering(*next(answers))(host, port, *rest)

    closing = {"Connection": "close"}
    pages = {"/": Stub(b"<p>first</p>", headers=closing), "/robots.txt": Stub(b"", headers=closing)}
    with serve(pages) as stub:
        site = Site("rebound", stub.url.replace("127.0.0.1", "rebound.example"), may_be_private=True)
        error = refused(site, site.base_url, resolver=rebinding)
        assert error.code in (ErrorCode.BLOCKED_BY_POLICY, ErrorCode.FETCH_FAILED)
        assert "/" not in stub.asked


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9/")
    with serve({"/": b"<p>direct</p>"}) as stub, HttpBrowser(site=stub.site()) as browser:
        assert browser.fetch(stub.url).body == b"<p>direct</p>"


def test_an_unusable_base_address_is_refused() -> None:
    with pytest.raises(AgentError) as caught:
        HttpBrowser(site=Site("none", "not an address"))
    assert caught.value.code == ErrorCode.BLOCKED_BY_POLICY
