"""Why a site cannot be reached, as the run says it."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.training.agent.sites import Stub, serve
from tests.training.agent.test_egress import answering
from training.agent.errors import AgentError, ErrorCode
from training.agent.task import Site
from training.agent.web.exchange import Caps
from training.agent.web.http_browser import HttpBrowser


def failure(site: Site, **options: Any) -> AgentError:
    with pytest.raises(AgentError) as caught, HttpBrowser(site=site, **options) as browser:
        browser.fetch(site.base_url)
    return caught.value


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with c.pem and k.pem of an authority of our own, for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("authority")
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    subprocess.run(
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext {names}".split()
        + f"-keyout {folder}/k.pem -out {folder}/c.pem".split(),
        check=True,
        capture_output=True,
    )
    return folder


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/" else 404)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<p>inside</p>")

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serve_tls(folder: Path) -> Iterator[Site]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "c.pem", folder / "k.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield Site("inside", f"https://127.0.0.1:{server.server_port}/", may_be_private=True)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


def test_a_port_that_nothing_listens_on_refuses() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
    error = failure(Site("gone", url, may_be_private=True))
    assert error.code == ErrorCode.FETCH_FAILED
    assert "refused the connection" in error.message


@pytest.mark.parametrize(
    ("number", "words"),
    [(socket.EAI_NONAME, "The name nowhere.example is unknown"), (socket.EAI_AGAIN, "name server does not answer")],
)
def test_a_name_without_an_address_is_named(number: int, words: str) -> None:
    def resolve(*_: Any) -> Any:
        raise socket.gaierror(number, "no answer")

    error = failure(Site("gone", "http://nowhere.example/"), resolver=resolve)
    assert error.code == ErrorCode.FETCH_FAILED
    assert words in error.message


def test_an_unknown_authority_is_refused_and_the_error_says_how_to_trust_it(certificate: Path) -> None:
    with serve_tls(certificate) as site:
        error = failure(site)
    assert error.code == ErrorCode.FETCH_FAILED
    assert "certificate of 127.0.0.1" in error.message
    assert "SSL_CERT_FILE" in error.message


def test_the_authority_that_ssl_cert_file_names_is_trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "c.pem"))
    with serve_tls(certificate) as site, HttpBrowser(site=site) as browser:
        assert browser.fetch(site.base_url).body == b"<p>inside</p>"


def test_a_certificate_file_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    with pytest.raises(AgentError, match=r"SSL_CERT_FILE=/nowhere/ca\.pem"):
        HttpBrowser(site=Site("any", "https://any.example/"))


def test_a_server_without_tls_is_named() -> None:
    with serve({"/": b"<p>plain</p>"}) as stub:
        error = failure(stub.site(base_url=stub.url.replace("http:", "https:")))
    assert "does not speak TLS" in error.message


def test_a_server_that_does_not_answer_timed_out() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        error = failure(Site("silent", url, may_be_private=True), caps=Caps(seconds=0.3))
    assert "timed out" in error.message


def test_a_server_that_hangs_up_is_named() -> None:
    def hang_up(handler: BaseHTTPRequestHandler) -> None:
        handler.connection.close()

    broken = Stub(send=hang_up, headers={"Content-Length": "100"})
    with serve({"/": broken, "/robots.txt": Stub(status=404)}) as stub:
        assert "broke off" in failure(stub.site()).message


def test_a_private_address_is_refused_with_the_way_to_allow_it() -> None:
    private = failure(Site("inside", "http://inside.example/"), resolver=answering("10.1.2.3"))
    assert private.code == ErrorCode.BLOCKED_BY_POLICY
    assert "private network" in private.message
    metadata = failure(Site("inside", "http://inside.example/"), resolver=answering("169.254.169.254"))
    assert "private network, say so" not in metadata.message
