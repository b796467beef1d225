"""All access to Ollama: a pool of servers behind the official client. Imports no app and no Django."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import sha256
from typing import Any, TypeVar

from lealife.core.model_names import normalise_name
from lealife.core.model_replies import ChatReply
from lealife.core.ollama_hosts import parse_hosts
from lealife.core.ollama_server import (
    ModelError,
    ModelInvalid,
    ModelUnavailable,
    OllamaServer,
    RequestRefused,
    TagInfo,
)
from lealife.core.server_checks import ServerCheck, check_server
from lealife.core.urgency import Urgency

__all__ = [
    "ChatReply",
    "ModelError",
    "ModelInvalid",
    "ModelUnavailable",
    "OllamaPool",
    "ServerCheck",
    "TagInfo",
    "parse_hosts",
]

# The longest that a server may take to fetch a model, in seconds.
PULL_S = 4 * 3600.0
# Prefix of tags of the task role. All other LeaLife tags are of the controller role.
TASK_TAGS = "lealife-task:"

T = TypeVar("T")


class OllamaPool:
    """Servers that hold the same tags. All processes send a tag's calls to one server, which keeps its prefix cached.

    Safe for threads, and for processes that fork: a child opens its own connections.
    """

    def __init__(
        self,
        *,
        hosts: Iterable[str],
        deadline_s: float = 120.0,
        keep_alive: str | float | None = None,
        num_thread: int | None = None,
        on_failure: Callable[[str], None] = lambda host: None,
    ) -> None:
        """`deadline_s`: the longest time for one call in all; None uses each server's default.

        `on_failure` is called with the address of each server that failed in a chat.
        """
        self._addresses = tuple(hosts)
        self._deadline_s = deadline_s
        self._keep_alive = keep_alive
        self._on_failure = on_failure
        self._options = {} if num_thread is None else {"num_thread": num_thread}
        self._connect()

    def _connect(self) -> None:
        self._pid = os.getpid()
        self._servers = [OllamaServer(host, deadline_s=self._deadline_s) for host in self._addresses]
        self.hosts = tuple(server.host for server in self._servers)
        # Close idle connections when the pool is garbage-collected.
        weakref.finalize(self, _close_clients, self._servers)

    def chat(
        self,
        *,
        tag: str,
        messages: Sequence[Mapping[str, str]],
        schema: dict[str, Any] | None,
        max_tokens: int,
        num_ctx: int,
        seed: int,
        urgency: Urgency = Urgency.PERSON,
    ) -> ChatReply:
        """One answer of `tag`, JSON that satisfies `schema` when one is given.

        `num_ctx` is sent with every call, because a different value makes Ollama load the model again.
        Raises ModelUnavailable when no server can be reached or can serve the tag, ModelInvalid when the request
        itself is wrong.
        """
        options = {"num_ctx": num_ctx, "num_predict": max_tokens, "seed": seed, "temperature": 0.0, **self._options}
        return self._call_one(
            tag,
            lambda server: server.chat(
                tag=tag,
                messages=messages,
                schema=schema,
                options=options,
                keep_alive=self._keep_alive,
                urgency=urgency,
            ),
            note=self._on_failure,
        )

    def embed(self, *, tag: str, texts: Sequence[str], urgency: Urgency = Urgency.PERSON) -> list[list[float]]:
        """One vector per text, in their order. Raises as chat does."""
        # A server that cannot embed can still chat, so this is no failure to note.
        return self._call_one(tag, lambda server: _embed(server, tag, texts, urgency=urgency), note=lambda host: None)

    def read_digest(self, *, tag: str) -> dict[str, str]:
        """The tag's digest by server, "" where the tag is missing; servers that are down are left out.

        Raises ModelUnavailable when all are down.
        """
        name = normalise_name(tag)
        listed = self._call_reachable(lambda server: server.list_tags().get(name))
        return {host: info.digest if info else "" for host, info in listed.items()}

    def served_digest(self, *, tag: str) -> str:
        """The digest that the tag has now, read from all servers that are up.

        Raises ModelInvalid when the tag is missing somewhere or the servers disagree.
        """
        return _agree(tag, self.read_digest(tag=tag))

    def list_tags(self) -> dict[str, dict[str, TagInfo]]:
        """All tags: normalised name → server → TagInfo. Raises ModelUnavailable when all servers are down."""
        tags: dict[str, dict[str, TagInfo]] = {}
        for host, listed in self._call_reachable(lambda server: server.list_tags()).items():
            for name, info in listed.items():
                tags.setdefault(name, {})[host] = info
        return tags

    def show_tag(self, *, tag: str) -> dict[str, dict[str, Any]]:
        """What the tag holds on each server that has it, as `/api/show` says it.

        Raises ModelUnavailable when all servers are down, ModelInvalid when one refuses.
        """
        return self._call_reachable(lambda server: server.show(tag))

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

        Raises ModelUnavailable when a server is down (a tag is on all or on none), ModelInvalid when one has no
        such base or refuses, or the digests differ.
        """
        for server in self._get_servers():
            # Without this check Ollama would start to download the base, which may take very long.
            if normalise_name(base) not in server.list_tags():
                raise ModelInvalid(f"{server.host} has no model {base}. Run on that machine: ollama pull {base}")
        for server in self._get_servers():
            create = partial(
                server.client.create,
                model=tag,
                from_=base,
                system=system or None,
                messages=list(messages) or None,
                parameters=dict(parameters) if parameters else None,
                stream=False,
            )
            server.attempt(create)
        return self.served_digest(tag=tag)

    def pull_model(self, name: str) -> None:
        """Has every server fetch a model that it does not have; may take very long. Raises as create_tag does."""
        for server in self._get_servers():
            if normalise_name(name) not in server.list_tags():
                server.attempt(partial(server.client.pull, name, stream=False), deadline_s=PULL_S)

    def delete_tag(self, *, tag: str) -> None:
        """Delete the tag on every server that has it. Raises as create_tag does."""
        name = normalise_name(tag)
        for server in self._get_servers():
            if name in server.list_tags():
                server.attempt(partial(server.client.delete, tag))

    def is_up(self) -> dict[str, bool]:
        """By server, whether it answers now."""
        return {check.host: check.answers for check in self.check_servers()}

    def check_servers(
        self,
        *,
        base: str = "",
        embedder: str = "",
        serving: Mapping[str, str] | None = None,
        failed: Collection[str] = (),
    ) -> list[ServerCheck]:
        """Runs check_server on every server at the same time, with a chat on those that `failed`."""
        servers = self._get_servers()

        def check(server: OllamaServer) -> ServerCheck:
            return check_server(server, base=base, embedder=embedder, serving=serving, chat=server.host in failed)

        with ThreadPoolExecutor(max_workers=len(servers)) as executor:
            return list(executor.map(check, servers))

    def _get_servers(self) -> list[OllamaServer]:
        # A forked child must not use its parent's sockets, or a lock that another thread held at the fork.
        if self._pid != os.getpid():
            self._connect()
        return self._servers

    def _order_servers(self, tag: str) -> list[OllamaServer]:
        """The servers in the order in which a call of this tag tries them.

        Rendezvous hashing: every process prefers the same server for a tag. With several servers, each of the two
        roles has its own, so that one role's prompts do not push the other's out of the cache.
        """
        servers = sorted(self._get_servers(), key=lambda server: _weigh(server.host))
        half = (len(servers) + 1) // 2
        own = servers[half:] if tag.startswith(TASK_TAGS) else servers[:half]
        return sorted(
            servers,
            # A server that failed recently comes last, but stays in the list: it may be up again.
            key=lambda server: (server.is_resting(tag), server not in own, _weigh(f"{tag} {server.host}")),
        )

    def _call_one(self, tag: str, call: Callable[[OllamaServer], T], *, note: Callable[[str], None]) -> T:
        """Makes the call on the tag's preferred server, or on the next one when that cannot serve it.

        `note` is called with the address of each server that failed.
        """
        reasons = []
        for server in self._order_servers(tag):
            if not server.is_back():
                reasons.append(f"{server.host} still does not answer.")
                continue
            try:
                return call(server)
            except ModelUnavailable as error:
                reasons.append(str(error))
                note(server.host)
        raise ModelUnavailable(" ".join(reasons))

    def _call_reachable(self, call: Callable[[OllamaServer], T]) -> dict[str, T]:
        """Makes the call on every server and leaves out those that cannot be reached, unless none can.

        A server that failed recently is asked only while no other has answered: a hung one costs seconds each time.
        """
        results: dict[str, T] = {}
        reasons = []
        for server in sorted(self._get_servers(), key=lambda server: server.is_resting("")):
            if results and server.is_resting(""):
                continue
            try:
                results[server.host] = call(server)
            except ModelUnavailable as error:
                reasons.append(str(error))
        if not results:
            raise ModelUnavailable(" ".join(reasons))
        return results


def _embed(server: OllamaServer, tag: str, texts: Sequence[str], *, urgency: Urgency) -> list[list[float]]:
    try:
        rows = server.embed(tag, texts, urgency=urgency)
    except RequestRefused:
        raise
    except ModelInvalid as error:
        # Another server may have the model.
        raise ModelUnavailable(str(error)) from None
    if len(rows) != len(texts):
        raise ModelUnavailable(f"{server.host} sent {len(rows)} vectors for {len(texts)} texts.")
    return [list(row) for row in rows]


def _weigh(text: str) -> bytes:
    return sha256(text.encode()).digest()


def _close_clients(servers: Iterable[OllamaServer]) -> None:
    for server in servers:
        server.close()


def _agree(tag: str, digests: Mapping[str, str]) -> str:
    if missing := [host for host, digest in digests.items() if not digest]:
        raise ModelInvalid(f"{tag} is missing on {', '.join(missing)}.")
    if len(set(digests.values())) > 1:
        listed = ", ".join(f"{host} {digest[:12]}" for host, digest in digests.items())
        raise ModelInvalid(f"{tag} differs between servers: {listed}. Run the same version of Ollama on all of them.")
    return next(iter(digests.values()))
