"""Whole runs over a stub site."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.training.agent.sites import ScriptedModel, StubSite, brain, task
from training.agent.errors import AgentError, ErrorCode
from training.agent.navigate import navigate
from training.agent.task import SuccessCheck
from training.agent.trajectory import Step, Trajectory
from training.agent.web.browser import Page
from training.agent.web.http_browser import HttpBrowser

PRUNE = "Which page says \u201cRoses are pruned in late winter, before the buds begin to swell.\u201d?"
SHED = "Which page says \u201cbehind the green door\u201d?"


def run(stub: StubSite, prompt: str = PRUNE, *, model: ScriptedModel | None = None, **options: Any) -> Trajectory:
    the_task = options.pop("task", None) or task(prompt, stub.site(), **options.pop("changes", {}))
    the_brain = options.pop("brain", None) or brain()
    with HttpBrowser(site=the_task.site) as browser:
        return navigate(task=the_task, brain=the_brain, browser=browser, model=model or ScriptedModel(), **options)


class FrozenBrowser:
    """The pages of a run as its steps kept them: for a replay without the network."""

    def __init__(self, steps: Iterable[Step]) -> None:
        self._steps = {step.url: step for step in steps}

    def fetch(self, url: str) -> Page:
        step = self._steps[url]
        if not step.status:
            raise AgentError(ErrorCode(step.error_code), step.error)
        return Page.of(
            url=url, final_url=step.final_url, status=step.status, media_type=step.media_type, body=step.body
        )


def expecting(stub: StubSite, path: str) -> dict[str, Any]:
    return {"check": SuccessCheck(expected_urls=(stub.url + path,))}
