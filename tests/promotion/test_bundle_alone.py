"""A proof bundle is verified anywhere: without database, network or Django."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.promotion.test_bundle import SMALL

ROOT = Path(__file__).resolve().parents[2]
# A pair of sockets that a process opens to itself, as event loops do, reaches nobody.
_BLOCKED = """
import runpy, sys
def refuse(event, arguments):
    if event in ("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo"):
        raise AssertionError(event)
sys.addaudithook(refuse)
sys.argv = sys.argv[1:]
if sys.argv[0] == "manage.py":
    runpy.run_path("manage.py", run_name="__main__")
else:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("way", [["promotion.proof.bundle"], ["manage.py", "proof", "verify"]])
def test_a_bundle_is_verified_with_sockets_blocked_and_no_database(tmp_path, way):
    sound, broken = tmp_path / "sound.jsonl", tmp_path / "broken.jsonl"
    sound.write_bytes(SMALL)
    broken.write_bytes(SMALL.replace(b'"wins":11', b'"wins":12'))
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "DJANGO_SETTINGS_MODULE")}
    for path, code, said in ((sound, 0, "Sound: "), (broken, 1, "Broken: Line 17, verdict of evaluation 1")):
        done = subprocess.run(
            [sys.executable, "-c", _BLOCKED, *way, str(path)],
            cwd=ROOT,
            env={**kept, "LEALIFE_DATA": str(tmp_path / "data")},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, said in done.stdout + done.stderr) == (code, True), done.stdout + done.stderr
        assert not (tmp_path / "data" / "postgres").exists()


def test_the_verifier_alone_needs_no_django():
    code = "import sys, promotion.proof.bundle; print([name for name in sys.modules if name.startswith('django')])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.replace("'", '"')) == []
