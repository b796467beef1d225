"""HTTP on loopback: requests in, JSON or NDJSON streams out, in Ollama's status codes and error bodies."""

from __future__ import annotations

import json
import logging
import select
import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from .admission import Admission
from .api import TagApi
from .engine import Engine
from .inference_api import InferenceApi
from .registry import Registry
from .residency import Residency
from .wire import ApiError, ClientGone, now

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 * 1024 * 1024
# A client that sends nothing for so long, or takes nothing, loses its connection.
IDLE_S = 600
SWEEP_EVERY_S = 1.0
STREAMED = ("/api/chat", "/api/generate", "/api/create", "/api/pull")


class OllamaServer(ThreadingHTTPServer):
    """Binds at once, so that a taken port is known before anything is loaded; serves after `open`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *, host: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.closing = threading.Event()
        self.routes: dict[tuple[str, str], Callable[[Exchange], None]] = {}
        super().__init__((host, port), _Handler)

    @property
    def address(self) -> str:
        """`http://host:port` as bound."""
        host, port = str(self.server_address[0]), self.server_address[1]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def open(self, *, registry: Registry, engine: Engine, admission: Admission) -> None:
        """Take the parts, and begin to serve and to sweep in threads of their own."""
        residency = Residency()
        tags = TagApi(registry=registry, residency=residency)
        inference = InferenceApi(registry=registry, residency=residency, engine=engine, admission=admission)
        self.routes = {
            ("GET", "/api/version"): tags.version,
            ("GET", "/api/tags"): tags.tags,
            ("GET", "/api/ps"): tags.ps,
            ("POST", "/api/show"): tags.show,
            ("POST", "/api/create"): tags.create,
            ("POST", "/api/copy"): tags.copy,
            ("DELETE", "/api/delete"): tags.delete,
            ("POST", "/api/pull"): tags.pull,
            ("POST", "/api/chat"): inference.chat,
            ("POST", "/api/generate"): inference.generate,
            ("POST", "/api/embed"): inference.embed,
            ("POST", "/api/embeddings"): inference.embeddings,
        }
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        threading.Thread(target=self._sweep, args=(residency, engine), daemon=True).start()

    def stop(self) -> None:
        """Take no more requests and cut the running ones off at their next token."""
        self.closing.set()
        self.shutdown()
        self.server_close()

    def _sweep(self, residency: Residency, engine: Engine) -> None:
        """Free the weights once no tag is loaded any more."""
        while not self.closing.wait(SWEEP_EVERY_S):
            if engine.is_loaded and residency.is_spent(now=now()) and engine.unload():
                log.info("unloaded the weights: no tag is in use")

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection broke outside of a request; that is the client's affair."""
        log.debug("connection from %s broke", client_address, exc_info=True)


class Exchange:
    """One request on its connection; see api.Exchange."""

    def __init__(self, *, handler: _Handler, body: dict[str, Any], may_stream: bool) -> None:
        self.body = body
        self.begun = False
        self._handler = handler
        self._streams = may_stream and body.get("stream") is not False
        self._broken = False

    @property
    def is_streamed(self) -> bool:
        """Whether the client takes the answer line by line."""
        return self._streams

    def emit(self, line: dict[str, Any]) -> None:
        """Send one line of a stream. A broken connection is remembered, not raised: see is_gone."""
        if not self._streams or self._broken:
            return
        try:
            if not self.begun:
                self.begun = True
                self._handler.begin_stream()
            self._handler.write_chunk(json.dumps(line).encode() + b"\n")
        except OSError:
            self._broken = True

    def answer(self, document: dict[str, Any]) -> None:
        """Send the last line of a stream, or the whole answer."""
        if not self._streams:
            self._handler.send_document(HTTPStatus.OK, document)
            return
        self.emit(document)
        self.end()

    def end(self) -> None:
        """Close the stream, if one was begun."""
        if self.begun and not self._broken:
            self._handler.write_chunk(b"")

    def is_gone(self) -> bool:
        """Whether the client hung up, or the server is closing."""
        if self._broken or self._handler.ollama.closing.is_set():
            return True
        connection = self._handler.connection
        try:
            readable, _, _ = select.select([connection], [], [], 0)
            # Readable with nothing to read is the other side's end of stream.
            self._broken = bool(readable) and connection.recv(1, socket.MSG_PEEK) == b""
        except OSError:
            self._broken = True
        return self._broken


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    # Each token is a small packet: waiting to fill one would hold the stream back.
    disable_nagle_algorithm = True

    @property
    def ollama(self) -> OllamaServer:
        return cast(OllamaServer, self.server)

    def do_GET(self) -> None:
        self._serve("GET")

    def do_HEAD(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_DELETE(self) -> None:
        self._serve("DELETE")

    def _serve(self, method: str) -> None:
        path = self.path.partition("?")[0]
        exchange = None
        try:
            content = self._read_body()
            if not self._is_own_host():
                self.send_text(HTTPStatus.FORBIDDEN, "")
            elif method == "GET" and path == "/":
                self.send_text(HTTPStatus.OK, "Ollama is running")
            elif (method, path) in self.ollama.routes:
                body = _parse_body(content, method)
                exchange = Exchange(handler=self, body=body, may_stream=path in STREAMED)
                self.ollama.routes[method, path](exchange)
            elif any(path == known for _, known in self.ollama.routes):
                self.send_text(HTTPStatus.METHOD_NOT_ALLOWED, "405 method not allowed")
            else:
                self.send_text(HTTPStatus.NOT_FOUND, "404 page not found")
        except ApiError as error:
            self._refuse(error, exchange)
        except (ClientGone, OSError):
            self.close_connection = True
        except Exception:
            # The edge: one broken request must not take the others with it.
            log.exception("%s %s failed", method, path)
            self._refuse(ApiError(500, "internal server error"), exchange)

    def _refuse(self, error: ApiError, exchange: Exchange | None) -> None:
        """The error as an answer of its own or, once a stream has begun, as its last line."""
        try:
            if exchange is not None and exchange.begun:
                exchange.answer({"error": error.message})
            else:
                self.send_document(HTTPStatus(error.status), {"error": error.message})
        except OSError:
            self.close_connection = True

    def _read_body(self) -> bytes:
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES or "Transfer-Encoding" in self.headers:
            # What was sent stays unread, so this connection cannot carry another request.
            self.close_connection = True
            raise ApiError(413, f"the body must have a length of at most {MAX_BODY_BYTES} bytes")
        return self.rfile.read(int(length))

    def _is_own_host(self) -> bool:
        """Web pages must not reach this server under a name of their own (DNS rebinding) or cross-origin."""
        origin = self.headers.get("Origin", "")
        names = [self.headers.get("Host", ""), origin.partition("://")[2] if origin else ""]
        own = ("localhost", "127.0.0.1", "[::1]", str(self.ollama.server_address[0]))
        return all(not name or name in own or name.rpartition(":")[0] in own for name in names)

    def send_document(self, status: HTTPStatus, document: dict[str, Any]) -> None:
        self._send(status, "application/json; charset=utf-8", json.dumps(document).encode())

    def send_text(self, status: HTTPStatus, text: str) -> None:
        self._send(status, "text/plain; charset=utf-8", text.encode())

    def _send(self, status: HTTPStatus, media_type: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def begin_stream(self) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def write_chunk(self, content: bytes) -> None:
        """One chunk of a chunked answer; the empty one ends it."""
        self.wfile.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)


def _parse_body(body: bytes, method: str) -> dict[str, Any]:
    if method == "GET":
        return {}
    if not body.strip():
        raise ApiError(400, "missing request body")
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"invalid JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise ApiError(400, "the request body must be a JSON object")
    return parsed
