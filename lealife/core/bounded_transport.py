"""An HTTP transport with limits: a deadline for the whole call, a cap on bytes, and a check of silent servers."""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
import typing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import httpcore
import httpx

# After this much silence during a call, in seconds, check that the server still answers.
LOOK_AFTER_S = 2.0


class TooLong(httpx.ReadTimeout):
    """The call had not finished by its deadline."""


class TooMuch(httpx.ReadError):
    """The server sent more bytes than the call allows."""


class Silent(httpx.ReadTimeout):
    """The server stopped answering in the middle of the call."""


@dataclass(slots=True)
class Bounds:
    """The limits of one call: `ends` (time.monotonic), bytes left, and how to check that the server still answers.

    `is_answering` is called after each LOOK_AFTER_S of silence; False ends the call.
    """

    ends: float
    bytes_left: int
    is_answering: Callable[[], bool] | None

    def left_s(self) -> float:
        """Seconds until the deadline. Raises TooLong past it."""
        left = self.ends - time.monotonic()
        if left <= 0:
            raise TooLong("it had not finished by its deadline")
        return left


_calls = threading.local()


@contextlib.contextmanager
def bound_call(bounds: Bounds) -> Iterator[None]:
    """Limits all requests together that this thread makes inside the block.

    Inside, requests raise TooLong, TooMuch or Silent in addition to httpx's own errors.
    """
    before: Bounds | None = getattr(_calls, "bounds", None)
    _calls.bounds = bounds
    try:
        yield
    finally:
        _calls.bounds = before


class _Stream(httpcore.NetworkStream):
    """A connection that checks the limits of the current call before each read and write."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        bounds: Bounds = _calls.bounds
        while True:
            wait_s = bounds.left_s() if bounds.is_answering is None else min(bounds.left_s(), LOOK_AFTER_S)
            try:
                data = self._stream.read(max_bytes, wait_s)
                break
            except httpcore.ReadTimeout:
                bounds.left_s()
                if bounds.is_answering is not None and not bounds.is_answering():
                    raise Silent("it stopped answering") from None
        bounds.bytes_left -= len(data)
        if bounds.bytes_left < 0:
            raise TooMuch("it sent more bytes than an answer may have")
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _calls.bounds.left_s())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> typing.Any:
        return self._stream.get_extra_info(info)


class _Backend(httpcore.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        left_s = _calls.bounds.left_s()
        wait_s = left_s if timeout is None else min(timeout, left_s)
        return _Stream(super().connect_tcp(host, port, wait_s, local_address, socket_options))


class BoundedTransport(httpx.HTTPTransport):
    """Requests outside of `bound_call` raise AttributeError, so that no request can wait without a limit."""

    def __init__(self) -> None:
        # SSL_CERT_FILE may name an additional certificate authority.
        context = httpx.create_ssl_context()
        super().__init__(verify=context)
        self._pool = httpcore.ConnectionPool(ssl_context=context, max_connections=None, network_backend=_Backend())

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """One request, uncompressed: a small compressed answer could decompress to any size."""
        request.headers["Accept-Encoding"] = "identity"
        response = super().handle_request(request)
        if response.headers.get("content-encoding", "identity") != "identity":
            response.close()
            raise httpx.RemoteProtocolError("it sent a compressed answer, which was not requested")
        return response
