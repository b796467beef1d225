"""Which tests stay together when several test processes share the work."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

# Tests that share something expensive, which each process that runs one of them would make for itself.
MODEL_SERVER = "the pipeline's model server"
PROMOTION_SERVER = "promotion's model server"
TOGETHER = {
    **dict.fromkeys(
        [f"tests/pipeline/test_{name}.py" for name in ("execution", "model_restart", "taking")], MODEL_SERVER
    ),
    "tests/benchmarks/test_gate.py": "tables of verdicts",
    "tests/training/agent/test_bombs.py": "bombs",
    "tests/training/agent/test_chromium_scripts.py": "one Chromium",
    "tests/promotion/test_inspection.py": PROMOTION_SERVER,
    "tests/promotion/test_retention.py": PROMOTION_SERVER,
}


class Scheduling(LoadScopeScheduling):
    """Gives each process one test after the other, and tests that stay together to one process.

    pytest-xdist's `loadgroup` would do it by marks, but version 3.8 loses the marks under pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        if path.startswith("tests/embedded/"):
            return path
        if path.startswith("tests/browser/"):
            return "one Chromium and one web process"
        return TOGETHER.get(path, nodeid)
