"""The one door to Ollama: a pool of servers behind the official client. Knows no app and no Django."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import httpx
import ollama

DEFAULT_PORT = 11434

T = TypeVar("T")


class ModelError(Exception):
    """A model could not answer."""


class ModelUnavailable(ModelError):
    """No server could be reached, or all are busy: the same call may succeed later."""


class ModelInvalid(ModelError):
    """A server refused or answered nonsense: the same call will fail again."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. Tokens are counts; `latency_ms` is wall time at this end, waiting for a turn included.

    `cached_tokens`: prompt tokens that were cached, 0 when the server does not say. `digest`: the manifest
    that served, "" when it could not be learned. `server`: the address that answered.
    """

    text: str
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    latency_ms: float
    server: str
    digest: str = ""


@dataclass(frozen=True, slots=True)
class TagInfo:
    """A tag on one server: manifest digest, size in bytes, aware time of its last change."""

    digest: str
    size: int
    modified_at: datetime | None


def parse_hosts(text: str) -> tuple[str, ...]:
    """Addresses from a comma-separated list: `a, b:11435, https://c` in the order given, each once.

    Raises ValueError when there is none or one cannot be an address.
    """
    hosts = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        try:
            url = httpx.URL(part if "://" in part else f"http://{part}")
        except httpx.InvalidURL as error:
            raise ValueError(f"{part!r} is no address of an Ollama server: {error}") from error
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError(f"{part!r} is no address of an Ollama server.")
        if "://" not in part and url.port is None:
            url = url.copy_with(port=DEFAULT_PORT)
        hosts.append(str(url).rstrip("/"))
    if not hosts:
        raise ValueError("No Ollama server is named.")
    return tuple(dict.fromkeys(hosts))


class _Server:
    """One address: its client, how many calls it has in hand, and until when it counts as down."""

    def __init__(self, host: str, timeout: httpx.Timeout) -> None:
        self.host = host
        self.in_flight = 0
        self.down_until = 0.0
        self._last = threading.local()
        # An Ollama is named by its address and reached there: no proxy from the environment, no redirect.
        self.client = ollama.Client(
            host=host,
            timeout=timeout,
            trust_env=False,
            follow_redirects=False,
            event_hooks={"response": [self._remember]},
        )

    @property
    def extras(self) -> dict[str, Any]:
        """This thread's last chat answer as sent: the client's types drop fields that they do not know."""
        return getattr(self._last, "document", {})

    def _remember(self, response: httpx.Response) -> None:
        if response.request.url.path.endswith("/api/chat"):
            self._last.document = {}
            response.read()
            if response.is_success:
                self._last.document = response.json()


class OllamaPool:
    """Servers that hold the same tags; each call goes to the one with the fewest calls in hand.

    Safe for threads, and for processes that fork: a child opens connections of its own.
    """

    def __init__(
        self,
        *,
        hosts: Iterable[str],
        connect_timeout_s: float = 3.0,
        read_timeout_s: float = 120.0,
        down_for_s: float = 5.0,
    ) -> None:
        """`down_for_s`: how long a server that could not be reached is passed over while another is up."""
        self.hosts = tuple(hosts)
        self._timeout = httpx.Timeout(read_timeout_s, connect=connect_timeout_s)
        self._down_for_s = down_for_s
        self._connect()

    def _connect(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._servers = [_Server(host, self._timeout) for host in self.hosts]
        # A pool that is let go takes its idle connections with it.
        weakref.finalize(self, _close_clients, [server.client for server in self._servers])

    def chat(
        self,
        *,
        tag: str,
        messages: Sequence[Mapping[str, str]],
        schema: dict[str, Any] | None,
        max_tokens: int,
        num_ctx: int,
        seed: int,
        temperature: float = 0.0,
    ) -> Reply:
        """One answer of `tag`, JSON that satisfies `schema` when one is given.

        `num_ctx` is sent with every call: a change of it makes Ollama load the model anew.
        Raises ModelUnavailable when no server can be reached or has room, ModelInvalid when one refuses.
        """
        options = {"num_ctx": num_ctx, "num_predict": max_tokens, "seed": seed, "temperature": temperature}

        def ask(server: _Server) -> Reply:
            started = time.perf_counter()
            response = server.client.chat(
                model=tag, messages=list(messages), format=schema, options=options, stream=False
            )
            latency_ms, extras = (time.perf_counter() - started) * 1000, server.extras
            return Reply(
                text=response.message.content or "",
                prompt_tokens=response.prompt_eval_count or 0,
                cached_tokens=int(extras.get("prompt_cached_count") or 0),
                completion_tokens=response.eval_count or 0,
                latency_ms=latency_ms,
                server=server.host,
                digest=str(extras.get("digest") or "") or _find_digest(server, tag),
            )

        return self._call_one(ask)

    def embed(self, *, tag: str, texts: Sequence[str]) -> list[list[float]]:
        """One vector per text. Raises as chat does."""
        rows = self._call_one(lambda server: server.client.embed(model=tag, input=list(texts)).embeddings)
        return [list(row) for row in rows]

    def read_digest(self, *, tag: str) -> dict[str, str]:
        """The tag's digest by server, "" where the tag is missing; servers that are down are left out.

        Raises ModelUnavailable when all are down.
        """
        listed = self._call_reachable(lambda server: _list_tags(server).get(_with_tag(tag)))
        return {host: info.digest if info else "" for host, info in listed.items()}

    def served_digest(self, *, tag: str) -> str:
        """The digest that the tag has now, read anew on all servers that are up.

        Raises ModelInvalid when the tag is missing somewhere or the servers disagree.
        """
        return _agree(tag, self.read_digest(tag=tag))

    def list_tags(self) -> dict[str, dict[str, TagInfo]]:
        """All tags: name → server → TagInfo. Raises ModelUnavailable when all servers are down."""
        tags: dict[str, dict[str, TagInfo]] = {}
        for host, listed in self._call_reachable(_list_tags).items():
            for name, info in listed.items():
                tags.setdefault(name, {})[host] = info
        return tags

    def create_tag(
        self,
        *,
        tag: str,
        base: str,
        system: str = "",
        messages: Sequence[Mapping[str, str]] = (),
        parameters: Mapping[str, Any] | None = None,
    ) -> str:
        """Create the tag on every server; its digest.

        Raises ModelUnavailable when a server is down (a tag is on all or on none), ModelInvalid
        when one refuses or the digests differ.
        """
        self._call_all(
            lambda server: server.client.create(
                model=tag,
                from_=base,
                system=system or None,
                messages=list(messages) or None,
                parameters=dict(parameters) if parameters else None,
                stream=False,
            )
        )
        return self.served_digest(tag=tag)

    def copy_tag(self, *, source: str, destination: str) -> None:
        """Give the tag a second name on every server. Raises as create_tag does."""
        self._call_all(lambda server: server.client.copy(source, destination))

    def delete_tag(self, *, tag: str) -> None:
        """Delete the tag on every server that has it. Raises as create_tag does."""

        name = _with_tag(tag)
        self._call_all(lambda server: name in _list_tags(server) and server.client.delete(name))

    def is_up(self) -> dict[str, bool]:
        """By server, whether it answers now."""
        up = dict.fromkeys(self.hosts, False)
        for server in self._get_servers():
            with contextlib.suppress(ModelError):
                self._attempt(server, _list_tags)
                up[server.host] = True
        return up

    def _get_servers(self) -> list[_Server]:
        # A forked child must not share its parent's sockets, nor a lock another thread held at the fork.
        if self._pid != os.getpid():
            self._connect()
        return self._servers

    def _call_one(self, call: Callable[[_Server], T]) -> T:
        """The call on one server, the next one when it is out of reach or busy."""
        untried, reasons = list(self._get_servers()), []
        while untried:
            with self._lock:
                # Servers thought to be down come last rather than never: they may be up again.
                server = min(untried, key=lambda s: (s.down_until > time.monotonic(), s.in_flight))
                server.in_flight += 1
            untried.remove(server)
            try:
                return self._attempt(server, call)
            except ModelUnavailable as error:
                reasons.append(str(error))
            finally:
                with self._lock:
                    server.in_flight -= 1
        raise ModelUnavailable(" ".join(reasons))

    def _call_all(self, call: Callable[[_Server], T]) -> dict[str, T]:
        return {server.host: self._attempt(server, call) for server in self._get_servers()}

    def _call_reachable(self, call: Callable[[_Server], T]) -> dict[str, T]:
        """The call on every server; those out of reach are left out, unless that is all of them."""
        results, reasons = {}, []
        for server in self._get_servers():
            try:
                results[server.host] = self._attempt(server, call)
            except ModelUnavailable as error:
                reasons.append(str(error))
        if not results:
            raise ModelUnavailable(" ".join(reasons))
        return results

    def _attempt(self, server: _Server, call: Callable[[_Server], T]) -> T:
        """The call on this server, its failures in our words."""
        try:
            result = call(server)
        except ollama.ResponseError as error:
            if error.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                raise ModelUnavailable(f"{server.host} is busy: {error.error}") from error
            raise ModelInvalid(f"{server.host} refused: {error.error}") from error
        except (ConnectionError, httpx.TransportError) as error:
            server.down_until = time.monotonic() + self._down_for_s
            reason = str(error) or type(error).__name__
            raise ModelUnavailable(f"{server.host} cannot be reached: {reason}") from error
        except (ValueError, TypeError) as error:
            raise ModelInvalid(f"{server.host} did not answer as an Ollama does: {error}") from error
        server.down_until = 0.0
        return result


def _close_clients(clients: Iterable[ollama.Client]) -> None:
    for client in clients:
        client.close()


def _with_tag(name: str) -> str:
    return name if ":" in name else f"{name}:latest"


def _list_tags(server: _Server) -> dict[str, TagInfo]:
    return {
        entry.model: TagInfo(entry.digest or "", int(entry.size or 0), entry.modified_at)
        for entry in server.client.list().models
        if entry.model
    }


def _find_digest(server: _Server, tag: str) -> str:
    """For an Ollama that does not say what served: what the tag is right after. "" when that fails."""
    try:
        info = _list_tags(server).get(_with_tag(tag))
    except (ollama.ResponseError, ConnectionError, httpx.TransportError):
        return ""
    return info.digest if info else ""


def _agree(tag: str, digests: Mapping[str, str]) -> str:
    if missing := [host for host, digest in digests.items() if not digest]:
        raise ModelInvalid(f"{tag} is missing on {', '.join(missing)}.")
    if len(set(digests.values())) > 1:
        told = ", ".join(f"{host} {digest[:12]}" for host, digest in digests.items())
        raise ModelInvalid(f"{tag} differs between servers: {told}.")
    return next(iter(digests.values()))
