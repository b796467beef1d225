"""Admin of runs, read-only, with actions that call the same functions as the page and the API."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Q

from lealife.core.action_admin import ActionAdmin, offer_each
from lealife.core.readonly_admin import ReadOnlyAdmin, ReadOnlyInline
from lealife.run_actions import judge_run, repeat_run, train_on_run
from training.models import Run, Step


class StepInline(ReadOnlyInline):
    """The run's trajectory, in order."""

    model = Step
    fields = (
        "index",
        "final_url",
        "title",
        "status_code",
        "picked_by",
        "latency_ms",
        "served_digest",
        "error_code",
    )
    ordering = ("index",)
    show_change_link = True


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin, ActionAdmin):
    """Executions by the agent, with their trajectories. They can be repeated, turned into training sources, and judged.

    It stands here because `training`, where runs belong, may not import the actions from `lealife`.
    """

    list_display = (
        "id",
        "lane",
        "status",
        "answer_state",
        "answer_score",
        "is_quoted",
        "host",
        "error_code",
        "pages",
        "controller_calls",
        "duration_ms",
        "requested_by",
        "created_at",
    )
    list_filter = ("lane", "status", "answer_state", "host")
    list_select_related = ("host",)
    search_fields = ("=id",)
    recent_fields = ("prompt",)
    # Training makes far more runs than people do: their questions would soon be too far back.
    parts = tuple(Q(lane=lane) for lane in Run.Lane.values)
    search_help_text = "The run's number, or words of its question among the newest 3,000 runs of each lane."
    inlines = (StepInline,)
    # In the place of the column, which also holds what is no answer.
    exclude = ("answer",)
    readonly_fields = ("given_answer", "draft")
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
