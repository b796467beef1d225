"""Admin of runs, read-only, with actions that call the same functions as the page and the API."""

from __future__ import annotations

from django.contrib import admin

from lealife.core.action_admin import ActionAdmin, offer_each
from lealife.run_actions import judge_run, repeat_run, train_on_run
from training.admin.evidence import RunAdmin
from training.models import Run


class SteeredRunAdmin(RunAdmin, ActionAdmin):
    """Runs of the agent. They can be repeated, turned into training sources, and judged."""

    actions = ("repeat_selected", "train_on_selected", "judge_right", "judge_wrong")

    repeat_selected = offer_each(
        repeat_run, row="run_id", description="Repeat: queue the same tasks again", done="queued again"
    )
    # Each with its own check or one from its evidence.
    train_on_selected = offer_each(
        train_on_run, row="run_id", description="Turn into training sources", done="queued for training"
    )
    judge_right = offer_each(
        judge_run, row="run_id", description="Was this right? Yes", done="judged right", right=True
    )
    judge_wrong = offer_each(
        judge_run, row="run_id", description="Was this right? No", done="judged wrong", right=False
    )


# This admin stands here because `training`, where runs belong, may not import the actions from `lealife`.
admin.site.unregister(Run)
admin.site.register(Run, SteeredRunAdmin)
