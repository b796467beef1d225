"""The web process of a browser test, and a wire before it that can be cut."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import suppress
from urllib.parse import urlsplit

APPLICATION = "lealife.asgi:application"


def find_free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Web:
    """daphne on a port that it keeps when it is started again; below the subpath `root`, as an option or `forced`."""

    def __init__(self, *, database: str, root: str = "", forced: bool = False) -> None:
        self.port = find_free_port()
        self.address = f"http://127.0.0.1:{self.port}{root}"
        self._options = ["--root-path", root] if root and not forced else []
        self._environment = {"FORCE_SCRIPT_NAME": root} if forced else {}
        self._url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{database}").geturl()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it and waits until it answers."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(self.port), *self._options, APPLICATION],
            env={
                **os.environ,
                **self._environment,
                "DATABASE_URL": self._url,
                "DEBUG": "0",
                "ALLOWED_HOSTS": "127.0.0.1,localhost",
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(OSError), urllib.request.urlopen(f"{self.address}/healthz", timeout=2):
                return
            time.sleep(0.1)
        raise AssertionError(f"the web process did not answer at {self.address}")

    def stop(self) -> None:
        """Ends it as an operator would."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


class Wire:
    """Forwards a port of its own to another; `cut` drops every connection and refuses new ones until `mend`."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._cut = False
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Nothing goes through any more."""
        with self._lock:
            self._cut = True
            for link in self._open:
                with suppress(OSError):
                    link.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """New connections go through again."""
        with self._lock:
            self._cut = False

    def close(self) -> None:
        """Ends it."""
        self.cut()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                ours, _ = self._listener.accept()
                with self._lock:
                    refused = self._cut
                if refused:
                    ours.close()
                    continue
                try:
                    theirs = socket.create_connection(("127.0.0.1", self._to_port), timeout=5)
                except OSError:
                    ours.close()
                    continue
                theirs.settimeout(None)
                with self._lock:
                    self._open |= {ours, theirs}
                for link, other in ((ours, theirs), (theirs, ours)):
                    threading.Thread(target=self._forward, args=(link, other), daemon=True).start()

    def _forward(self, link: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := link.recv(65536):
                other.sendall(data)
        for end in (link, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        with self._lock:
            self._open -= {link, other}
