"""What the benchmark of an idle stack reads about processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil

from benchmarks.idle import read_usage


def test_usage_counts_a_process_and_its_children(tmp_path: Path) -> None:
    sleeper = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)", "manage.py worker"]
    with subprocess.Popen(sleeper, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stdout.readline()
        usages = read_usage(psutil.Process(), tmp_path)
        child.kill()
    assert {os.getpid(), child.pid} <= set(usages)
    assert usages[child.pid].name == "workers" and usages[child.pid].pss > 1_000_000
    assert usages[os.getpid()].cpu_s > 0
