"""One Ollama server behind the official client: its calls, and its failures as our own errors."""

from __future__ import annotations

import importlib
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from lealife.core.bounded_transport import BoundedTransport, Bounds, bound_call
from lealife.core.model_names import normalise_name
from lealife.core.model_replies import DIGEST_MAX, ChatReply, NotAReply, can_end_at_brace, only_thought, read_reply
from lealife.core.ollama_hosts import hide_credentials, split_credentials
from lealife.core.urgency import Urgency


def import_client() -> Any:
    """The official client's module. While imported it parses `OLLAMA_HOST`, and it cannot read a list of servers."""
    named = os.environ.pop("OLLAMA_HOST", None)
    try:
        return importlib.import_module("ollama")
    finally:
        if named is not None:
            os.environ["OLLAMA_HOST"] = named


if TYPE_CHECKING:
    import ollama
else:
    ollama = import_client()

T = TypeVar("T")

CONNECT_S = 3.0
# A healthy server lists its tags within this time.
PROBE_S = 3.0
# Limit for listing tags when work depends on the list: on a busy machine it may take longer.
LISTING_S = 10.0
REPLY_MAX_BYTES = 1 << 20
LISTING_MAX_BYTES = 32 << 20
# Extra tokens for a model that thinks although it was asked not to.
THINKING_TOKENS = 1024
# Pause after a failure in seconds: after the first, doubled by each further one, and the longest.
REST_S, REST_MAX_S = 5.0, 30.0
ERROR_MAX = 300
# What the client raises for bodies that no Ollama sends: not JSON, JSON of another shape, or nested too deeply.
_NONSENSE = (ValueError, TypeError, AttributeError, RecursionError)
# Texts in Ollama's 500 answers that blame the request: every server would refuse it again.
_REQUEST_FAULTS = ("invalid JSON schema", "invalid format", "must be of type", "unqualified name", "context length")


class ModelError(Exception):
    """A model could not answer."""


class ModelUnavailable(ModelError):
    """No server could be reached, or none could serve the model. The same call may succeed later."""


class ServerSilent(ModelUnavailable):
    """A server accepted the call and does not answer."""


class OnlyThinks(ModelUnavailable):
    """The model only thinks and never gives an answer. Another base is needed."""


class ModelInvalid(ModelError):
    """The request itself was refused. The same call will fail again."""


class RequestRefused(ModelInvalid):
    """The request is not possible: a schema or an option that no server accepts."""


@dataclass(frozen=True, slots=True)
class TagInfo:
    """A tag on one server: manifest digest, size in bytes."""

    digest: str
    size: int


@dataclass(slots=True)
class _Rest:
    failures: int = 0
    until: float = 0.0


class OllamaServer:
    """One address: its client, which of its tags think, and which of them failed recently. Safe for threads."""

    def __init__(self, host: str, *, deadline_s: float) -> None:
        self.host, login = split_credentials(host)
        self._deadline_s = deadline_s
        self._last = threading.local()
        # By tag: the digest it had, and whether it thinks by default.
        self._thinking: dict[str, tuple[str, bool]] = {}
        # By tag, "" for the whole server: when one model crashes, the server can still serve the others.
        self._rests: dict[str, _Rest] = {}
        # Connect to the configured address only: no proxy from the environment, no redirects.
        self._clients = {
            urgency: ollama.Client(
                host=self.host,
                auth=login,
                timeout=httpx.Timeout(None, connect=CONNECT_S),
                trust_env=False,
                follow_redirects=False,
                event_hooks={"response": [self._remember]},
                transport=BoundedTransport(),
                headers={"Priority": f"u={urgency:d}"},
            )
            for urgency in Urgency
        }
        self.client = self._clients[Urgency.PERSON]

    def close(self) -> None:
        """Closes its connections."""
        for client in self._clients.values():
            client.close()

    def _remember(self, response: httpx.Response) -> None:
        """Keeps this thread's last raw answer, because the client drops fields that it does not know."""
        if response.request.url.path.endswith(("/api/chat", "/api/show")):
            self._last.document = None
            response.read()
            if response.is_success:
                self._last.document = response.json()

    def is_resting(self, tag: str) -> bool:
        """Whether it failed recently, with this tag or as a whole."""
        now = time.monotonic()
        return any(name in self._rests and self._rests[name].until > now for name in ("", tag))

    def is_back(self) -> bool:
        """Whether a call may be sent. A server that failed as a whole is probed first, which is quicker than a call."""
        if "" not in self._rests or self.is_answering():
            return True
        self._note_failure("")
        return False

    def _note_failure(self, tag: str) -> None:
        rest = self._rests.setdefault(tag, _Rest())
        rest.failures += 1
        rest.until = time.monotonic() + min(REST_S * 2.0 ** min(rest.failures - 1, 10), REST_MAX_S)

    def is_answering(self) -> bool:
        """Whether it answers at all, within a few seconds."""
        try:
            with self._bound(PROBE_S):
                self.client.list()
        except (httpx.TransportError, OSError):
            return False
        except (*_NONSENSE, ollama.ResponseError):
            # Any answer, even an error, shows that the server is there.
            return True
        return True

    def _bound(self, deadline_s: float, *, max_bytes: int = LISTING_MAX_BYTES) -> AbstractContextManager[None]:
        # During a long call, check from time to time that the server is still there.
        watch = self.is_answering if deadline_s > PROBE_S else None
        return bound_call(Bounds(time.monotonic() + deadline_s, max_bytes, watch))

    def attempt(
        self,
        call: Callable[[], T],
        *,
        tag: str = "",
        deadline_s: float | None = None,
        max_bytes: int = LISTING_MAX_BYTES,
    ) -> T:
        """Makes the call within its limits. Raises ModelUnavailable, or ModelInvalid when the server refuses it."""
        try:
            with self._bound(deadline_s or self._deadline_s, max_bytes=max_bytes):
                result = call()
        except ollama.ResponseError as error:
            raise self._judge_refusal(error, tag=tag) from None
        except (httpx.TransportError, OSError) as error:
            self._note_failure("")
            raise self._judge_silence(error) from None
        except _NONSENSE as error:
            raise self._note_nonsense(error, tag=tag) from None
        self._rests.pop("", None)
        return result

    def _judge_silence(self, error: Exception) -> ModelUnavailable:
        if isinstance(error, ConnectionError | httpx.ConnectError | httpx.ConnectTimeout):
            return ModelUnavailable(f"{self.host} cannot be reached: it accepts no connection.")
        if isinstance(error, httpx.TimeoutException):
            return ServerSilent(f"{self.host} does not answer: {_say(error)}.")
        return ModelUnavailable(f"{self.host} broke off: {_say(error)}.")

    def _judge_refusal(self, error: ollama.ResponseError, *, tag: str) -> ModelError:
        status = error.status_code
        said = _say(error.error or httpx.codes.get_reason_phrase(status) or "it gave no reason")
        if status in (400, 500) and any(fault in said for fault in _REQUEST_FAULTS):
            return RequestRefused(f"{self.host} refused the request: {said}.")
        if status == httpx.codes.TOO_MANY_REQUESTS or status >= 500:
            self._note_failure(tag)
            what = "is busy" if status in (429, 503) else f"failed with status {status}"
            return ModelUnavailable(f"{self.host} {what}: {said}.")
        return ModelInvalid(f"{self.host} refused: {said}.")

    def _note_nonsense(self, error: Exception, *, tag: str) -> ModelUnavailable:
        self._note_failure(tag)
        said = _say(error) if isinstance(error, NotAReply) else "it sent something else"
        return ModelUnavailable(f"{self.host} did not answer like an Ollama server: {said}.")

    def list_tags(self, *, deadline_s: float = LISTING_S) -> dict[str, TagInfo]:
        """Its tags by normalised name. Raises ModelUnavailable."""
        try:
            listed = self.attempt(self.client.list, deadline_s=deadline_s)
        except ModelInvalid as error:
            raise ModelUnavailable(str(error)) from None
        return {
            normalise_name(entry.model): TagInfo((entry.digest or "")[:DIGEST_MAX], int(entry.size or 0))
            for entry in listed.models
            if entry.model
        }

    def show(self, tag: str, *, deadline_s: float | None = None) -> dict[str, Any]:
        """What the tag holds, as `/api/show` says it. Raises as attempt does."""

        def read() -> dict[str, Any]:
            self._last.document = None
            with suppress(ValueError):
                self.client.show(tag)
            return self._last.document if isinstance(self._last.document, dict) else {}

        return self.attempt(read, tag=tag, deadline_s=deadline_s)

    def embed(self, tag: str, texts: Sequence[str], *, urgency: Urgency) -> list[Sequence[float]]:
        """One vector per text. Raises as attempt does."""
        client = self._clients[urgency]
        return list(self.attempt(lambda: client.embed(model=tag, input=list(texts)).embeddings, tag=tag))

    def _send(self, urgency: Urgency, **request: Any) -> Any:
        """One chat; returns the raw document, so that an invalid count in it does not lose the answer."""
        self._last.document = None
        with suppress(ValueError):
            self._clients[urgency].chat(**request, stream=False)
        return self._last.document

    def chat(
        self,
        *,
        tag: str,
        messages: Sequence[Mapping[str, str]],
        schema: dict[str, Any] | None,
        options: dict[str, Any],
        keep_alive: str | float | None,
        deadline_s: float | None = None,
        urgency: Urgency = Urgency.PERSON,
    ) -> ChatReply:
        """One answer. Raises RequestRefused when the request is wrong, ModelUnavailable otherwise."""

        def ask(options: dict[str, Any]) -> Any:
            request = {"messages": list(messages), "format": schema, "options": options, "keep_alive": keep_alive}
            return self._ask(tag, request, deadline_s=deadline_s, urgency=urgency)

        started = time.perf_counter()
        if can_end_at_brace(schema):
            # Some models pad constrained JSON with white space up to the token limit, so stop at the closing brace.
            options = {**options, "stop": ["}"]}
        roomy = {**options, "num_predict": options["num_predict"] + THINKING_TOKENS}
        try:
            document = ask(options)
            if only_thought(document) and not self._thinking.get(tag, ("", False))[1]:
                self._thinking[tag] = ("", True)
                document = ask(options)
            if only_thought(document):
                document = ask(roomy)
            if only_thought(document):
                raise OnlyThinks(f"{tag} on {self.host} only thinks and gives no answer: use another base model.")
            reply = read_reply(document, ends_at_brace="stop" in options)
        except NotAReply as error:
            raise self._note_nonsense(error, tag=tag) from None
        except RequestRefused:
            raise
        except ModelInvalid as error:
            self._note_failure(tag)
            raise ModelUnavailable(str(error)) from None
        self._rests.pop(tag, None)
        digest = reply.digest or self._find_digest(tag)
        if self._thinking.get(tag, ("", False))[0] not in ("", digest):
            # The name now belongs to another model.
            del self._thinking[tag]
        latency_ms = (time.perf_counter() - started) * 1000
        return replace(reply, server=self.host, digest=digest, latency_ms=latency_ms)

    def _ask(self, tag: str, request: dict[str, Any], *, deadline_s: float | None, urgency: Urgency) -> Any:
        def send(think: bool | None) -> Any:
            return self.attempt(
                lambda: self._send(urgency, model=tag, think=think, **request),
                tag=tag,
                deadline_s=deadline_s,
                max_bytes=REPLY_MAX_BYTES,
            )

        think = False if self._is_thinking(tag) else None
        try:
            return send(think)
        except ModelInvalid as error:
            if think is None or "think" not in str(error):
                raise
        # The tag claims to support thinking, but the server refuses the option.
        self._thinking[tag] = ("", False)
        return send(None)

    def _is_thinking(self, tag: str) -> bool:
        """Whether `think: false` must be sent, as the tag's capabilities or its earlier answers show.

        Raises ServerSilent.
        """
        if tag not in self._thinking:
            try:
                skills = self.show(tag, deadline_s=PROBE_S).get("capabilities")
                thinks = isinstance(skills, list) and "thinking" in skills
                self._thinking[tag] = (self._find_digest(tag), thinks)
            except ServerSilent:
                raise
            except ModelInvalid:
                # The server does not report it. The tag's answers will show it.
                self._thinking[tag] = ("", False)
            except ModelUnavailable:
                return False
        return self._thinking[tag][1]

    def _find_digest(self, tag: str) -> str:
        """The tag's digest now, for an Ollama whose answers do not report it; "" when that fails."""
        with suppress(ModelError):
            info = self.list_tags(deadline_s=PROBE_S).get(normalise_name(tag))
            return info.digest if info else ""
        return ""


def _say(error: object) -> str:
    """An error's text as part of a sentence: one short line, without a password."""
    words = " ".join(hide_credentials(str(error) or type(error).__name__).split())
    if words.startswith("<"):
        return "it sent a web page"
    return words[:ERROR_MAX].rstrip(".")
