"""Health of the model servers: asked in the background, remembered, and said in sentences that name the server."""

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
    """`state`: up while any server can serve what counts, else down; unknown before the first answer.

    `reasons`: a sentence for each server that cannot, with what to do.
    """

    state: str  # up | down | unknown
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Suspects:
    """What the servers should serve, digests by tag; and those that failed in a chat, which are asked for a word."""

    serving: Mapping[str, str] = field(default_factory=dict)
    failed: frozenset[str] = frozenset()


class ModelProbe:
    """Remembers how the model servers are, and asks again in the background.

    Only a reader who comes after a long silence waits for the answer, and no longer than a second.
    """

    def __init__(self, ask: Callable[[Suspects], ModelHealth]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._asking = False
        self._suspects = Suspects()
        self._answer: ModelHealth | None = None
        self._answered_at = float("-inf")

    def read(self, suspects: Suspects | None = None) -> ModelHealth:
        """The last answer, `unknown` while nothing was asked for a minute; starts asking when that is due.

        Without `suspects` those of the last reader are looked at.
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
        answer = ModelHealth(DOWN, ("The model servers could not be looked at; the log says why.",))
        try:
            answer = self._ask(self._suspects)
        finally:
            with self._lock:
                self._answer, self._answered_at, self._asking = answer, time.monotonic(), False
            # It belongs to this thread, which ends here.
            connection.close()


def check_models(suspects: Suspects) -> ModelHealth:
    """How the model servers are now; takes as long as it takes."""
    try:
        pool = get_pool()
    except ModelUnavailable as error:
        return ModelHealth(DOWN, (str(error),))
    began = timezone.now()
    checks = pool.check_servers(base=settings.LEALIFE_BASE_MODEL, serving=suspects.serving, failed=suspects.failed)
    if well := suspects.failed.intersection(check.host for check in checks if check.serves):
        forget_faults(well, before=began)
    return judge_servers(checks)


def judge_servers(checks: list[ServerCheck]) -> ModelHealth:
    """The rule, pure: one server that serves is enough unless another differs, and each that does not is named."""
    failing = [check for check in checks if not check.serves]
    reasons = tuple(check.sentence for check in failing)
    if failing and len(failing) < len(checks):
        what = "does not answer" if not failing[0].answers else "cannot serve"
        action = what if len(failing) == 1 else what.replace("does", "do")
        state = DOWN if any(check.differs for check in failing) else UP
        return ModelHealth(state, (f"{len(failing)} of {len(checks)} model servers {action}.", *reasons))
    return ModelHealth(DOWN if failing else UP, reasons)


model_probe = ModelProbe(check_models)
