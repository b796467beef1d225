"""The egress guard: which addresses a run may connect to, checked before the request and again at the socket."""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from ipaddress import ip_address, ip_network
from typing import Any

import httpcore
import httpx
from ssrfguard import DEFAULT_DENIED, AddressTable, Block, BlockedAddressError, Policy, Reach, Resolver
from ssrfguard.httpx import SafeBackend, SafeTransport

from training.agent.errors import AgentError, ErrorCode
from training.agent.task import Site
from training.agent.web.address import is_same_site, name_alias, read_origin, site_origins

# Networks that a host with “may be private” may resolve to. Link-local and metadata addresses stay refused.
PRIVATE_NETWORKS = tuple(
    ip_network(text) for text in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")
)
# Addresses in private networks where clouds give out a machine's credentials: always refused, whatever the host allows.
METADATA_NETWORKS = tuple(
    ip_network(text)
    for text in (
        "169.254.0.0/16",
        "100.100.100.200/32",  # Alibaba Cloud
        "192.0.0.192/32",  # Oracle Cloud
        "fd00:ec2::/32",  # AWS
        "fd20:ce::/32",  # Google Cloud
        "fd00:c1::/32",  # Oracle Cloud
        "fd00:42::/32",  # Scaleway
    )
)
# Public by its number, but the inside of every machine on Azure.
_AZURE = Block(ip_network("168.63.129.16/32"), "Cloud metadata (Azure WireServer)", "", Reach.DENIED)
_DENIED = AddressTable((*DEFAULT_DENIED.blocks, _AZURE))


def build_policy(site: Site) -> Policy:
    """The site's hosts and ports. Of private addresses only those that the site is itself named by. ValueError.

    What the site's names resolve to is allowed when they are looked up, at each connection.
    """
    origins = site_origins(site)
    hosts = frozenset(host for host, _ in origins)
    policy = Policy(allowed_hosts=hosts, allowed_ports=frozenset(port for _, port in origins), denied_networks=_DENIED)
    return allow_private(policy, hosts) if site.may_be_private else policy


def allow_private(policy: Policy, addresses: Iterable[str]) -> Policy:
    """The policy with these addresses allowed, but only private ones that give out no cloud credentials."""
    allowed = []
    for text in addresses:
        try:
            address = ip_address(text)
        except ValueError:
            continue
        is_private = any(address in network for network in PRIVATE_NETWORKS)
        if is_private and not any(address in network for network in METADATA_NETWORKS):
            allowed.append(ip_network(address))
    return replace(policy, allowed_networks=tuple(allowed))


def check_address(url: str, *, site: Site, sent_by: str = "", is_part: bool = False) -> None:
    """Raises AgentError blocked_by_policy unless the address is http(s) and one that runs of the site may visit.

    `sent_by` is the page that links or redirects there, if any. Parts that a page loads (`is_part`) may be outside of
    the base path, but must be on the site.
    """
    if is_same_site(url, site=replace(site, stay_below_base_path=False) if is_part else site):
        return
    start = f"{sent_by[:200]} leads to {url[:200]}, which" if sent_by else url[:200]
    message = f"{start} is outside of {site.base_url}"
    if is_same_site(url, site=replace(site, stay_below_base_path=False)):
        message += ", and runs of this host stay below that path"
    elif sent_by and (alias := _find_alias(url, site=site)):
        message += f". If {alias} is another name of the same site, add it to the host as an alias"
    raise AgentError(ErrorCode.BLOCKED_BY_POLICY, f"{message}.")


def _find_alias(url: str, *, site: Site) -> str:
    """The alias that would let runs follow the address; "" when none would."""
    try:
        host, _ = read_origin(url)
        alias = name_alias(url, site=site)
    except ValueError:
        return ""
    try:
        ip_address(host)
    except ValueError:
        return alias
    policy = Policy(denied_networks=_DENIED)
    policy = allow_private(policy, [host]) if site.may_be_private else policy
    return alias if policy.permits_address(host) else ""


def explain_refusal(error: Exception, *, site: Site) -> str:
    """One sentence: what the guard refused, and whether the host's settings could allow it."""
    message = f"The egress guard refused it: {error}."
    if isinstance(error, BlockedAddressError) and not site.may_be_private:
        allowed = allow_private(Policy(), [error.address]).allowed_networks
        message += " If this host is meant to be in a private network, allow that in admin." if allowed else ""
    return message


def build_tls_context() -> ssl.SSLContext:
    """Trusts the public authorities, and those that SSL_CERT_FILE and SSL_CERT_DIR name.

    Raises AgentError fetch_failed when what they name cannot be read.
    """
    return _load_tls_context(os.environ.get("SSL_CERT_FILE") or None, os.environ.get("SSL_CERT_DIR") or None)


@cache  # to read the authorities takes some 40 ms of CPU, and each run opens a browser
def _load_tls_context(file: str | None, folder: str | None) -> ssl.SSLContext:
    context = httpx.create_ssl_context(trust_env=False)
    if file or folder:
        try:
            context.load_verify_locations(cafile=file, capath=folder)
        except OSError as error:
            named = " and ".join(filter(None, (file and f"SSL_CERT_FILE={file}", folder and f"SSL_CERT_DIR={folder}")))
            raise AgentError(ErrorCode.FETCH_FAILED, f"{named} contains no certificates: {error}.") from None
    return context


class Deadline:
    """The deadline of the current fetch. One per browser, set again at each fetch."""

    def __init__(self) -> None:
        self._ends_at = float("inf")

    def restart(self, seconds: float) -> None:
        """Gives the next fetch this many seconds."""
        self._ends_at = time.monotonic() + seconds

    def extend(self, seconds: float) -> None:
        """Gives the current fetch this much longer."""
        self._ends_at += seconds

    def left(self) -> float:
        """Seconds left, never negative."""
        return max(self._ends_at - time.monotonic(), 0.0)


class _TimedStream(httpcore.NetworkStream):
    """A stream whose every wait ends at the fetch's deadline, so that a server cannot delay it by sending slowly."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = self._deadline.left()
        if not left:
            raise httpcore.ReadTimeout("the fetch's time is up")
        return self._stream.read(max_bytes, min(left, timeout or left))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        left = self._deadline.left()
        if not left:
            raise httpcore.WriteTimeout("the fetch's time is up")
        self._stream.write(buffer, min(left, timeout or left))

    def close(self) -> None:
        self._stream.close()

    def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> Any:
        return _TimedStream(self._stream.start_tls(ssl_context, server_hostname, timeout), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _SiteBackend(httpcore.NetworkBackend):
    """Connects to the site's own hosts: resolves once per connection, checks every answer, and keeps the deadline.

    A host may use only the private addresses that its name had at the run's first lookup. If the name later resolves
    to another private address, that one is refused.
    """

    def __init__(self, *, site: Site, policy: Policy, resolver: Resolver | None, deadline: Deadline) -> None:
        self._site = site
        self._policy = policy
        self._resolve: Any = resolver or socket.getaddrinfo
        self._deadline = deadline
        self._policies: dict[str, Policy] = {}

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            answers = list(self._resolve(host, port, 0, socket.SOCK_STREAM, 0, 0))
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        backend = SafeBackend(policy=self._find_policy(host, answers), resolver=lambda *_: answers)
        stream = backend.connect_tcp(host, port, timeout, local_address, socket_options)
        return _TimedStream(stream, self._deadline)

    def _find_policy(self, host: str, answers: list[Any]) -> Policy:
        if not self._site.may_be_private:
            return self._policy
        if host not in self._policies:
            self._policies[host] = allow_private(self._policy, [str(sockaddr[0]) for *_, sockaddr in answers])
        return self._policies[host]


class GuardedTransport(SafeTransport):
    """An httpx transport of one site: ssrfguard checks requests and connections, the deadline every wait."""

    def __init__(self, *, site: Site, deadline: Deadline, resolver: Resolver | None = None) -> None:
        policy = build_policy(site)
        context = build_tls_context()
        super().__init__(policy=policy, verify=context, trust_env=False)
        # As SafeTransport itself does it: the pool takes the backend as a public argument.
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            max_connections=2,
            network_backend=_SiteBackend(site=site, policy=policy, resolver=resolver, deadline=deadline),
        )
