"""HTTP on loopback, with Ollama's addresses, status codes and error bodies."""

from __future__ import annotations

import html
import logging
import re
import socket
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NoReturn, cast

from .addresses import BLOBS, allow_origin, find_redirect, is_own_host, is_own_origin, list_methods, read_origin
from .api import TagApi
from .blobs import Blobs
from .exchange import Exchange, write_json
from .inference_api import InferenceApi, Runner
from .manifest import Carried
from .occupancy import Residency
from .registry import Registry
from .weights import Weights
from .wire import REQUESTS, ApiError, ClientGone, now, read_body

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 * 1024 * 1024
MAX_LINE = 1024
# In seconds. A client that sends or takes nothing for so long is disconnected.
IDLE_S = 600
SWEEP_EVERY_S = 1.0
STREAMED = ("/api/chat", "/api/generate", "/api/create", "/api/pull", "/api/push")


class OllamaServer(ThreadingHTTPServer):
    """Binds the port at once, so that a taken one is known before anything is loaded. Serves after `open`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *, host: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.closing = threading.Event()
        self.routes: dict[tuple[str, str], Callable[[Exchange], None]] = {}
        self.tags: TagApi | None = None
        super().__init__((host, port), Handler)

    @property
    def address(self) -> str:
        """`http://host:port` as bound."""
        host, port = str(self.server_address[0]), self.server_address[1]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def open(
        self, *, registry: Registry, blobs: Blobs, runners: dict[str, Runner], make_runner: Callable[[Weights], Runner]
    ) -> None:
        """Begins to serve, and to free unused weights, each in its own thread.

        `runners` by the digest of their weights; `make_runner` makes that of a chat model which is fetched later.
        """
        residency = Residency()

        def carry(model: Carried) -> None:
            runners[model.weights.digest] = make_runner(model.weights)

        self.tags = tags = TagApi(registry=registry, residency=residency, blobs=blobs, on_pulled=carry)
        inference = InferenceApi(registry=registry, residency=residency, runners=runners)
        self.routes = {
            ("GET", "/"): lambda exchange: exchange.say("Ollama is running"),
            ("GET", "/api/version"): tags.version,
            ("GET", "/api/tags"): tags.tags,
            ("GET", "/api/ps"): tags.ps,
            ("POST", "/api/show"): tags.show,
            ("POST", "/api/create"): tags.create,
            ("POST", "/api/copy"): tags.copy,
            ("DELETE", "/api/delete"): tags.delete,
            ("POST", "/api/pull"): tags.pull,
            ("POST", "/api/push"): tags.push,
            ("POST", "/api/chat"): inference.chat,
            ("POST", "/api/generate"): inference.generate,
            ("POST", "/api/embed"): inference.embed,
            ("POST", "/api/embeddings"): inference.embeddings,
        }
        threading.Thread(target=self.serve_forever, daemon=True).start()
        threading.Thread(target=self._sweep, args=(residency, runners), daemon=True).start()

    def stop(self) -> None:
        """Takes no more requests and ends the running ones at their next token."""
        self.closing.set()
        self.shutdown()
        self.server_close()

    def _sweep(self, residency: Residency, runners: Mapping[str, Runner]) -> None:
        """Frees weights once no tag with them is loaded."""
        while not self.closing.wait(SWEEP_EVERY_S):
            for digest, runner in list(runners.items()):
                if runner.model.is_loaded and residency.is_spent(digest, now=now()) and runner.model.unload():
                    log.info("unloaded the weights %s: no tag is in use", digest[:12])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection broke outside of a request: nothing to answer, and the others go on."""
        log.debug("connection from %s broke", client_address, exc_info=True)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    # Each token is a small packet. Waiting for a full one would delay the stream.
    disable_nagle_algorithm = True

    @property
    def ollama(self) -> OllamaServer:
        return cast(OllamaServer, self.server)

    def do_GET(self) -> None:
        self._origin: dict[str, str] = {}
        # Not self.path: there Python turns two leading slashes into one.
        path, _, query = self.requestline.split()[1].partition("?")
        exchange = Exchange(handler=self, may_stream=path in STREAMED)
        try:
            self._answer(exchange, path, query)
        except ApiError as error:
            self._refuse(error, exchange)
        except (ClientGone, OSError):
            self.close_connection = True
        except Exception:
            # One broken request must not end the server.
            log.exception("%s %s failed", self.command, path)
            self._refuse(ApiError(500, "internal server error"), exchange)

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_GET

    def _answer(self, exchange: Exchange, path: str, query: str) -> None:
        content = self._read_body()
        origin = read_origin(self.headers)
        is_own = is_own_host(self.headers.get("Host", ""), bound=str(self.ollama.server_address[0]))
        routes = self.ollama.routes
        methods = list_methods(path, routes=routes)
        if moved := find_redirect(self.command, path, known={known for _, known in routes}):
            status, where = moved
            self.send_redirect(status, f"{where}?{query}" if query else where)
        elif not is_own or (origin and not is_own_origin(origin)):
            self.send_nothing(HTTPStatus.FORBIDDEN)
        elif origin and self.command == "OPTIONS":
            self._origin = allow_origin(origin, preflight=True)
            self.send_nothing(HTTPStatus.NO_CONTENT, **({"Allow": ", ".join(methods)} if methods else {}))
        else:
            self._origin = allow_origin(origin, preflight=False) if origin else {}
            self._dispatch(exchange, path, content, methods)

    def _dispatch(self, exchange: Exchange, path: str, content: bytes, methods: list[str]) -> None:
        tags = self.ollama.tags
        if not methods or tags is None:
            self.send_text(HTTPStatus.NOT_FOUND, "404 page not found")
        elif self.command not in methods:
            self.send_text(HTTPStatus.METHOD_NOT_ALLOWED, "405 method not allowed", Allow=", ".join(methods))
        elif path.startswith(BLOBS) and self.command == "POST":
            tags.save_blob(exchange, path.removeprefix(BLOBS), content)
        elif path.startswith(BLOBS):
            tags.has_blob(exchange, path.removeprefix(BLOBS))
        else:
            if path in REQUESTS:
                exchange.body = read_body(content, path=path)
            self.ollama.routes["GET" if self.command == "HEAD" else self.command, path](exchange)

    def _refuse(self, error: ApiError, exchange: Exchange) -> None:
        """Answers with the error; once a stream has begun, the error is its last line."""
        try:
            if exchange.begun:
                exchange.answer({"error": error.message})
            else:
                self.send_document(HTTPStatus(error.status), {"error": error.message}, exchange.media_type)
        except OSError:
            self.close_connection = True

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").strip().lower() == "chunked":
            return self._read_chunks()
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES or "Transfer-Encoding" in self.headers:
            self._refuse_length()
        return self.rfile.read(int(length))

    def _read_chunks(self) -> bytes:
        pieces, total = [], 0
        while True:
            size = self.rfile.readline(MAX_LINE).partition(b";")[0].strip()
            if not re.fullmatch(rb"[0-9a-fA-F]{1,8}", size) or total + int(size, 16) > MAX_BODY_BYTES:
                self._refuse_length()
            if not int(size, 16):
                break
            pieces.append(self.rfile.read(int(size, 16)))
            total += len(pieces[-1])
            self.rfile.readline(MAX_LINE)
        while self.rfile.readline(MAX_LINE).strip():
            pass  # trailers, which some clients send after the last chunk
        return b"".join(pieces)

    def _refuse_length(self) -> NoReturn:
        # The body stays unread, so no other request can follow on this connection.
        self.close_connection = True
        raise ApiError(413, f"the body must have a length of at most {MAX_BODY_BYTES} bytes")

    def send_document(self, status: HTTPStatus, document: dict[str, Any], media_type: str) -> None:
        self.send(status, media_type, write_json(document))

    def send_text(self, status: HTTPStatus, text: str, **headers: str) -> None:
        self.send(status, "text/plain", text.encode(), **headers)

    def send_nothing(self, status: HTTPStatus, **headers: str) -> None:
        self.send(status, "", b"", **headers)

    def send_redirect(self, status: HTTPStatus, where: str) -> None:
        """Like Go's net/http: GET and HEAD get a page with a link, other methods an empty body."""
        link = f'<a href="{html.escape(where)}">{status.phrase}</a>.\n\n'.encode()
        shown = self.command in ("GET", "HEAD")
        self.send(status, "text/html; charset=utf-8" if shown else "", link if shown else b"", Location=where)

    def send(self, status: HTTPStatus, media_type: str, content: bytes, **headers: str) -> None:
        self._begin(status, media_type, **headers)
        if status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def begin_stream(self) -> None:
        self._begin(HTTPStatus.OK, "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _begin(self, status: HTTPStatus, media_type: str, **headers: str) -> None:
        self.send_response(status)
        if media_type:
            self.send_header("Content-Type", media_type)
        for name, value in {**self._origin, **headers}.items():
            self.send_header(name, value)

    def write_chunk(self, content: bytes) -> None:
        """Sends one chunk of an answer; an empty chunk ends it."""
        self.wfile.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)
