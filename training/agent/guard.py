"""The egress guard: which addresses a run may connect to, decided before and again at the socket."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from ipaddress import ip_network
from typing import Any

import httpcore
import httpx
from ssrfguard import Policy, Resolver
from ssrfguard.httpx import SafeBackend, SafeTransport

from training.agent.address import is_same_site, site_origins
from training.agent.errors import AgentError, ErrorCode
from training.agent.task import Site

# What a host that may be private may resolve to. Link-local and the metadata addresses in it stay refused.
PRIVATE_NETWORKS = tuple(
    ip_network(text) for text in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")
)


def build_policy(site: Site) -> Policy:
    """The site's hosts and ports, and private networks only where the site allows them. Raises ValueError."""
    origins = site_origins(site)
    return Policy(
        allowed_hosts=frozenset(host for host, _ in origins),
        allowed_ports=frozenset(port for _, port in origins),
        allowed_networks=PRIVATE_NETWORKS if site.may_be_private else (),
    )


def check_address(url: str, *, site: Site) -> None:
    """Raises AgentError blocked_by_policy unless the address is http(s) and the site's own."""
    if not is_same_site(url, site=site):
        raise AgentError(ErrorCode.BLOCKED_BY_POLICY, f"{url[:200]} is outside of {site.base_url}.")


class Deadline:
    """When the current fetch must be over. One per browser, moved at each fetch."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends_at = float("inf")

    def restart(self, seconds: float) -> None:
        """Gives the next fetch this many seconds."""
        self._ends_at = self._clock() + seconds

    def extend(self, seconds: float) -> None:
        """Gives the current fetch this much longer."""
        self._ends_at += seconds

    def left(self) -> float:
        """Seconds left, never negative."""
        return max(self._ends_at - self._clock(), 0.0)


class _TimedStream(httpcore.NetworkStream):
    """A stream whose every wait ends with the fetch's deadline: a server that drips bytes gains nothing."""

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


class _TimedBackend(SafeBackend):
    """ssrfguard's backend (resolve once, check every answer, connect to that answer), with the deadline."""

    def __init__(self, *, policy: Policy, resolver: Resolver | None, deadline: Deadline) -> None:
        super().__init__(policy=policy, resolver=resolver)
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        stream = super().connect_tcp(host, port, timeout, local_address, socket_options)
        return _TimedStream(stream, self._deadline)


class GuardedTransport(SafeTransport):
    """An httpx transport of one site: ssrfguard checks requests and connections, the deadline every wait."""

    def __init__(self, *, site: Site, deadline: Deadline, resolver: Resolver | None = None) -> None:
        policy = build_policy(site)
        context = httpx.create_ssl_context(trust_env=False)
        super().__init__(policy=policy, verify=context, trust_env=False)
        # As SafeTransport itself does it: the pool takes the backend as a public argument.
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            max_connections=2,
            network_backend=_TimedBackend(policy=policy, resolver=resolver, deadline=deadline),
        )
