"""Why a site cannot be reached, in plain words."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx


def explain_failure(url: str, error: BaseException) -> str:
    """One sentence: why `url` could not be fetched, and what to do when that is known."""
    host = urlsplit(url).netloc
    for cause in _walk_causes(error):
        if reason := _explain_tls(host, cause) or _explain_name(host, cause):
            return reason
        if isinstance(cause, ConnectionRefusedError):
            return f"{host} refused the connection: nothing listens there."
        if isinstance(cause, ConnectionResetError | BrokenPipeError):
            return f"{host} closed the connection before it had answered."
    if isinstance(error, httpx.ConnectTimeout):
        return f"{host} timed out: it did not accept a connection."
    if isinstance(error, httpx.TimeoutException):
        return f"{url[:200]} timed out: {host} took too long to answer."
    if isinstance(error, httpx.RemoteProtocolError):
        return f"{host} broke off or sent no valid HTTP answer: {_trim(error)}."
    return f"{url[:200]} cannot be fetched: {_trim(error)}."


def _explain_tls(host: str, cause: BaseException) -> str:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"The certificate of {host} is not trusted: {cause.verify_message.rstrip('.')}. "
            "If your own authority issued it, name its file in SSL_CERT_FILE."
        )
    return f"{host} does not speak TLS as expected: {cause.reason or cause}." if isinstance(cause, ssl.SSLError) else ""


def _explain_name(host: str, cause: BaseException) -> str:
    if not isinstance(cause, socket.gaierror):
        return ""
    if cause.errno == socket.EAI_AGAIN:
        return f"The name {host} cannot be looked up just now: the name server does not answer."
    return f"The name {host} is unknown: it has no address."


def _walk_causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        # The connection pool raises what it caught "from None", which leaves the context.
        cause = cause.__cause__ or cause.__context__


def _trim(error: BaseException) -> str:
    return (str(error) or type(error).__name__).rstrip(".")[:200]
