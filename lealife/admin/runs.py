"""Admin of runs, read-only, with actions that call the same functions as the page and the API."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from lealife.core.action_admin import ORIGIN, ActionAdmin, offer
from lealife.core.actors import read_actor
from lealife.run_actions import judge_run, repeat_run, train_on_run
from training.admin import RunAdmin
from training.models import Run


class SteeredRunAdmin(RunAdmin, ActionAdmin):
    """Runs of the agent. They can be repeated, turned into training sources, and judged."""

    actions = ("repeat_selected", "train_on_selected", "judge_right", "judge_wrong")

    @offer(repeat_run, description="Repeat: queue the same tasks again")
    def repeat_selected(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        """Asks again, with the tags and memory of today."""
        self._run(request, queryset, repeat_run, "queued again")

    @offer(train_on_run, description="Turn into training sources")
    def train_on_selected(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        """Queues the tasks for training, each with its own check or one from its evidence."""
        self._run(request, queryset, train_on_run, "queued for training")

    @offer(judge_run, description="Was this right? Yes")
    def judge_right(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        """Stores a verdict on each."""
        self._run(request, queryset, judge_run, "judged right", right=True)

    @offer(judge_run, description="Was this right? No")
    def judge_wrong(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        """Stores a verdict on each."""
        self._run(request, queryset, judge_run, "judged wrong", right=False)

    def _run(
        self, request: HttpRequest, runs: QuerySet[Run], action: Callable[..., object], done: str, **more: bool
    ) -> None:
        by = read_actor(request)
        self.run_action(
            request, runs, action=lambda run: action(run_id=run.pk, by=by, origin=ORIGIN, **more), done=done
        )


# This admin stands here because `training`, where runs belong, may not import the actions from `lealife`.
admin.site.unregister(Run)
admin.site.register(Run, SteeredRunAdmin)
