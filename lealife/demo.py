"""The demo: Python's own documentation, served on loopback by `pydoc`, as a host like any other."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

from lealife.core.places import data_dir
from lealife.supervisor import Child
from training.models import Host

NAME = "Python documentation"
PORTS = range(7464, 7564)
SITE = Path(__file__).with_name("pydoc_site.py")


def ensure_demo_host() -> tuple[Host, bool]:
    """The demo's host row, and whether this call made it (on a free port)."""
    host = Host.objects.filter(name=NAME).first()
    if host is not None:
        return host, False
    address = f"http://127.0.0.1:{find_free_port(PORTS)}/"
    return Host.objects.create(name=NAME, base_url=address, may_be_private=True, politeness_delay_ms=0), True


def port_of(host: Host) -> int:
    """The port in the demo's address."""
    return urlsplit(host.base_url).port or 80


def demo_child(host: Host) -> Child:
    """The process that serves it. Python runs isolated, so that it documents only the standard library."""
    folder = data_dir() / "demo"
    folder.mkdir(exist_ok=True)
    return Child(
        name="demo site",
        command=[sys.executable, "-I", "-S", str(SITE), "-n", "127.0.0.1", "-p", str(port_of(host))],
        folder=str(folder),
        # The process ends when its standard input ends.
        keep_stdin_open=True,
        quiet=True,
    )


def find_free_port(ports: range) -> int:
    """The first free port on loopback. Raises OSError when there is none."""
    for port in ports:
        if is_port_free(port):
            return port
    raise OSError(f"No port of {ports.start}–{ports.stop - 1} is free.")


def is_port_free(port: int) -> bool:
    """Whether no process on loopback uses `port`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
