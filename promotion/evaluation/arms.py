"""Arms: one tag on one held-out task, on frozen pages. Results are stored under the digest of all their inputs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone

from lealife.core.digest import digest_bytes, digest_value
from lealife.core.errors import StaleClaim, describe_breakage
from promotion.models import EvaluationArm, FrozenPage, ModelTag, PageFreeze
from promotion.recipes import NUM_CTX, Recipe
from training.agent.brain import Brain, Recalled
from training.agent.embedding import Embed
from training.agent.errors import AgentError, ErrorCode
from training.agent.model import Model
from training.agent.navigate import navigate
from training.agent.version import read_agent_version
from training.agent.web.browser import Browser, Page
from training.models import Host, Run
from training.models.runs import LEASE
from training.results import Result
from training.runs import begin_run, finish_run, keep_snapshot, record_brain, record_step
from training.slots import lock_slots, read_slots
from training.tasks import build_task

log = logging.getLogger(__name__)

# The model could not be asked in time, or our own code broke: such an arm is no evidence about the tag.
INVALID_CODES = {
    ErrorCode.MODEL_UNAVAILABLE,
    ErrorCode.WORKER_LOST,
    ErrorCode.CANCELLED,
    ErrorCode.INTERNAL_ERROR,
    ErrorCode.TIMEOUT,
}


@dataclass(frozen=True, slots=True)
class ArmInputs:
    """Everything an arm's result depends on.

    `write_answer=False` leaves the task model out. It is for candidates of the other role, where no check looks at the
    answer itself: a written answer holds nothing that its quotes do not.
    """

    prompt: str
    check_spec: dict
    host_id: int
    pages_target: int
    max_calls: int
    controller: ModelTag
    task: ModelTag
    memories: tuple[dict, ...]
    freeze_id: int
    seed: int
    engine: tuple[str, ...]  # what the settings say of the browser
    write_answer: bool = True

    @property
    def digest(self) -> str:
        """The key under which the result is stored."""
        ranking, answering = Recipe.from_json(self.controller.recipe), Recipe.from_json(self.task.recipe)
        return digest_value(
            [
                self.prompt,
                self.check_spec,
                self.host_id,
                self.pages_target,
                self.max_calls,
                self.controller.digest,
                ranking.shortlist_size,
                asdict(ranking.used_weights),
                ranking.ask_below,
                answering.support_effect,
                self.task.digest,
                list(self.memories),
                self.freeze_id,
                self.seed,
                NUM_CTX,
                list(self.engine),
                self.write_answer,
                read_agent_version(),
            ]
        )

    def brain(self) -> Brain:
        """The agent's frozen brain."""
        return make_brain(
            controller=self.controller,
            task=self.task,
            memories=tuple(Recalled(**item) for item in self.memories),
            seed=self.seed,
        )


@dataclass(frozen=True, slots=True)
class ArmTools:
    """The tools of an arm: a browser for pages that are not frozen yet, the model, and a reader of served digests.

    `keep_lease` renews a run's lease during long model calls; `embed` makes vectors of texts, where a model does.
    """

    open_browser: Callable[[Host], AbstractContextManager[Browser]]
    model: Model
    served_digest: Callable[[str], str]
    worker: str
    should_stop: Callable[[], str | None]
    keep_lease: Callable[[Run], AbstractContextManager[object]] = nullcontext
    embed: Embed | None = None


def make_brain(*, controller: ModelTag, task: ModelTag, memories: tuple[Recalled, ...], seed: int = 0) -> Brain:
    """Tags, digests, recipe parameters and recalled memory as one frozen value."""
    ranking, answering = Recipe.from_json(controller.recipe), Recipe.from_json(task.recipe)
    return Brain(
        controller_tag=controller.name,
        controller_digest=controller.digest,
        task_tag=task.name,
        task_digest=task.digest,
        shortlist_size=ranking.shortlist_size,
        num_ctx=NUM_CTX,
        seed=seed,
        memories=memories,
        weights=ranking.used_weights,
        support=answering.used_support,
        ask_below=ranking.ask_below,
        shows_exemplars=bool(ranking.messages),
    )


def run_arm(inputs: ArmInputs, *, tools: ArmTools, apart: str = "") -> EvaluationArm | None:
    """The stored result, or that of a new run. With `apart` the result is stored for, and found by, that name only.

    None when no control slot is free, no model server answers, the lease was lost or a shutdown has started: then try
    again later.
    """
    key = digest_value([inputs.digest, apart]) if apart else inputs.digest
    known = EvaluationArm.objects.filter(inputs_digest=key).first()
    if known is not None:
        return known
    before = _read_digests(inputs, tools=tools)
    if before is None:
        return None
    run = _open_run(inputs, worker=tools.worker, now=timezone.now())
    if run is None:
        return None
    try:
        return _run_opened(inputs, key=key, run=run, before=before, tools=tools)
    except StaleClaim:
        # The sweep considered the run lost and has closed it.
        return None


def _run_opened(
    inputs: ArmInputs, *, key: str, run: Run, before: tuple[str, str], tools: ArmTools
) -> EvaluationArm | None:
    brain = inputs.brain()
    record_brain(run_id=run.pk, fence=run.fence, brain=brain, withheld=[])
    asked = (False, False)
    try:
        with tools.open_browser(run.host) as live, tools.keep_lease(run):
            trajectory = navigate(
                task=replace(build_task(run), write_answer=inputs.write_answer),
                brain=brain,
                browser=FreezingBrowser(freeze_id=inputs.freeze_id, live=live),
                model=tools.model,
                on_step=lambda step: record_step(run_id=run.pk, fence=run.fence, step=step, now=timezone.now()),
                should_stop=tools.should_stop,
                embed=tools.embed,
            )
        asked = (bool(trajectory.controller_calls), bool(trajectory.task_replies))
        result = Result.from_trajectory(trajectory)
    except (StaleClaim, OperationalError, InterfaceError):
        raise
    except Exception as error:
        # The failure is stored as an arm without evidence; too many of those close the evaluation.
        log.exception("evaluation run %s broke", run.pk)
        result = Result(success=False, error_code=ErrorCode.INTERNAL_ERROR, error=describe_breakage(error))
    after = _read_digests(inputs, tools=tools)
    return _keep_arm(inputs, key=key, run=run, result=result, asked=asked, before=before, after=after)


def _read_digests(inputs: ArmInputs, *, tools: ArmTools) -> tuple[str, str] | None:
    """The digests of the controller and task tags on the servers now; None when no server answers."""
    try:
        return tools.served_digest(inputs.controller.name), tools.served_digest(inputs.task.name)
    except AgentError:
        return None


def _open_run(inputs: ArmInputs, *, worker: str, now: datetime) -> Run | None:
    with transaction.atomic():
        lock_slots()
        if not read_slots().free_for_control:
            return None
        run = Run.objects.create(
            lane=Run.Lane.EVALUATION,
            status=Run.Status.CLAIMED,
            host_id=inputs.host_id,
            prompt=inputs.prompt,
            check_spec=inputs.check_spec,
            pages_target=inputs.pages_target,
            max_calls=inputs.max_calls,
            requested_by="evaluation",
            claimed_by=worker,
            attempts=1,
            fence=1,
            lease_until=now + LEASE,
        )
        return begin_run(run=run, worker=worker, now=now)


def _keep_arm(
    inputs: ArmInputs,
    *,
    key: str,
    run: Run,
    result: Result,
    asked: tuple[bool, bool],
    before: tuple[str, str],
    after: tuple[str, str] | None,
) -> EvaluationArm | None:
    claimed = (inputs.controller.digest, inputs.task.digest)
    # If the tag changed during the run, something else was measured. If it cannot be checked, it may have changed.
    drifted = before != claimed or after != claimed
    invalid = drifted or result.error_code in INVALID_CODES
    with transaction.atomic():
        finish_run(
            run_id=run.pk,
            fence=run.fence,
            result=result,
            # Only replies prove what served.
            served_controller=after[0] if after and asked[0] else "",
            served_task=after[1] if after and asked[1] else "",
            now=timezone.now(),
        )
        if result.error_code == ErrorCode.CANCELLED:
            return None
        # When two workers ran the same arm at once, the first result is kept.
        return EvaluationArm.objects.get_or_create(
            inputs_digest=key if not invalid else digest_value([key, "invalid", run.pk]),
            defaults={
                "run": run,
                "success": result.success and not invalid,
                "invalid": invalid,
                "controller_calls": result.controller_calls,
            },
        )[0]


class FreezingBrowser:
    """Serves pages from the freeze; a page that is not in it is fetched once and then frozen for all arms."""

    def __init__(self, *, freeze_id: int, live: Browser) -> None:
        self._freeze_id = freeze_id
        self._live = live

    def fetch(self, url: str) -> Page:
        """The frozen answer, an error included."""
        key = digest_bytes(url.encode())
        answers = FrozenPage.objects.select_related("snapshot").filter(freeze_id=self._freeze_id, url_digest=key)
        frozen = answers.first()
        if frozen is None:
            self._freeze(url, key)
            # When two arms fetched it at once, the first answer is kept and used by both.
            frozen = answers.get()
        return self._thaw(frozen)

    def _freeze(self, url: str, key: str) -> None:
        page, answer = None, dict[str, Any](url=url)
        try:
            page = self._live.fetch(url)
        except AgentError as error:
            answer["error_code"] = str(error.code)
        with transaction.atomic():
            if page is not None:
                snapshot = keep_snapshot(page.body, digest=page.digest, media_type=page.media_type)
                answer |= {"final_url": page.final_url, "status_code": page.status, "snapshot": snapshot}
            FrozenPage.objects.get_or_create(freeze_id=self._freeze_id, url_digest=key, defaults=answer)

    def _thaw(self, frozen: FrozenPage) -> Page:
        snapshot = frozen.snapshot
        if snapshot is None:
            raise AgentError(ErrorCode(frozen.error_code), f"{frozen.url} could not be read when it was frozen.")
        return Page(
            url=frozen.url,
            final_url=frozen.final_url,
            status=frozen.status_code,
            media_type=snapshot.media_type,
            body=snapshot.body,
            digest=snapshot.digest,
        )


def find_freeze(*, memory_digest: str) -> PageFreeze:
    """The freeze of one memory snapshot. The next candidate in the same snapshot can reuse the baseline's results."""
    return PageFreeze.objects.filter(memory_digest=memory_digest).first() or PageFreeze.objects.create(
        memory_digest=memory_digest
    )
