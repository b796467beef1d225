"""Health of the model servers, checked in the background and kept; each reason is a sentence that names the server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from django.conf import settings
from django.db import connection
from django.utils import timezone

from lealife.core.gateway import ModelUnavailable, ServerCheck
from lealife.pipeline.pool import get_pool
from training.model_faults import forget_faults

PROBE_EVERY_S = 5.0
FIRST_ANSWER_WITHIN_S = 1.0
PROBE_STALE_S = 60.0

UP, DOWN, UNKNOWN = "up", "down", "unknown"


@dataclass(frozen=True, slots=True)
class ModelHealth:
    """`state`: up while any server can serve the active tags, else down; unknown before the first check.

    `reasons`: a sentence for each server that cannot serve, and for a missing model for vectors, with what to do.
    """

    state: str  # up | down | unknown
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Suspects:
    """Digests by tag that the servers should serve; and the servers that failed in a chat, to be tested with one."""

    serving: Mapping[str, str] = field(default_factory=dict)
    failed: frozenset[str] = frozenset()


class ModelProbe:
    """Keeps the last result of checking the model servers, and repeats the check in the background.

    Only a reader after a long pause waits for the result, and for one second at most.
    """

    def __init__(self, ask: Callable[[Suspects], ModelHealth]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._asking = False
        self._suspects = Suspects()
        self._answer: ModelHealth | None = None
        self._answered_at = float("-inf")

    def read(self, suspects: Suspects | None = None) -> ModelHealth:
        """The last result, `unknown` when it is more than a minute old; starts a new check when one is due.

        Without `suspects`, those of the last reader are checked.
        """
        with self._lock:
            self._suspects = suspects or self._suspects
            age = time.monotonic() - self._answered_at
            due = age > PROBE_EVERY_S and not self._asking
            if due:
                self._asking = True
            answer = self._answer if age <= PROBE_STALE_S else None
        if due:
            asking = threading.Thread(target=self._refresh, name="model-probe", daemon=True)
            asking.start()
            if answer is None:
                asking.join(timeout=FIRST_ANSWER_WITHIN_S)
                with self._lock:
                    answer = None if self._asking else self._answer
        return answer or ModelHealth(UNKNOWN)

    def _refresh(self) -> None:
        answer = ModelHealth(DOWN, ("The model servers could not be checked; see the log for the reason.",))
        try:
            answer = self._ask(self._suspects)
        finally:
            with self._lock:
                self._answer, self._answered_at, self._asking = answer, time.monotonic(), False
            # It belongs to this thread, which ends here.
            connection.close()


def check_models(suspects: Suspects) -> ModelHealth:
    """Checks the model servers now; may take long."""
    try:
        pool = get_pool()
    except ModelUnavailable as error:
        return ModelHealth(DOWN, (str(error),))
    began = timezone.now()
    checks = pool.check_servers(
        base=settings.LEALIFE_BASE_MODEL,
        embedder=settings.LEALIFE_EMBED_MODEL,
        serving=suspects.serving,
        failed=suspects.failed,
    )
    if well := suspects.failed.intersection(check.host for check in checks if check.serves):
        forget_faults(well, before=began)
    health = judge_servers(checks)
    name = settings.LEALIFE_EMBED_MODEL
    if health.state != UP or not name or any(check.embeds for check in checks):
        return health
    missing = (
        f"No model server has {name}, so questions are answered by their words alone. `ollama pull {name}` brings it."
    )
    return ModelHealth(UP, (*health.reasons, missing))


def judge_servers(checks: list[ServerCheck]) -> ModelHealth:
    """The rule, pure: one serving server is enough unless another differs. Every server that fails is named."""
    failing = [check for check in checks if not check.serves]
    reasons = tuple(check.sentence for check in failing)
    if failing and len(failing) < len(checks):
        what = "does not answer" if not failing[0].answers else "cannot serve"
        action = what if len(failing) == 1 else what.replace("does", "do")
        state = DOWN if any(check.differs for check in failing) else UP
        return ModelHealth(state, (f"{len(failing)} of {len(checks)} model servers {action}.", *reasons))
    return ModelHealth(DOWN if failing else UP, reasons)


model_probe = ModelProbe(check_models)
