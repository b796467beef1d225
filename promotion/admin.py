"""Admin of promotion: pin tags, roll back a switch, read the evidence."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from lealife.core.action_admin import ORIGIN, ActionAdmin, offer, offer_each
from lealife.core.actors import Action, read_actor
from lealife.core.errors import Refused
from lealife.core.readonly_admin import ReadOnlyAdmin, link_rows
from promotion.applies import roll_back
from promotion.calibration import read_calibration
from promotion.evaluation.gain import read_gain
from promotion.models import (
    Canary,
    Evaluation,
    EvaluationArm,
    EvaluationPair,
    EvaluationTask,
    FrozenPage,
    GateDrill,
    LiveApply,
    ModelTag,
    PageFreeze,
    PairWork,
    PromotionWindow,
    ReserveMeasurement,
    Role,
    Watch,
    WatchedRun,
)
from promotion.models.reserve import ReservePair
from promotion.recipe_words import describe_here, describe_recipe
from promotion.recipes import Recipe
from promotion.routing import read_routing
from promotion.steering import evaluate_now, hold_promotion, request_drill, resume_promotion
from promotion.tags import pin_tag


@admin.register(ModelTag)
class ModelTagAdmin(ReadOnlyAdmin, ActionAdmin):
    """Ollama tags known to LeaLife. A tag's content never changes; only whether it is pinned can."""

    list_display = ("name", "role", "status", "pinned", "base", "parent", "digest", "created_at")
    list_filter = ("role", "status", "pinned")
    list_select_related = ("parent",)
    search_fields = ("name", "digest__startswith")
    actions = ("pin_selected", "unpin_selected")
    readonly_fields = ("given",)

    @admin.display(description="given to the agent")
    def given(self, tag: ModelTag) -> str:
        """How pages are ranked, or when an answer counts as supported and how often that was right here."""
        words = describe_recipe(Recipe.from_json(tag.recipe))
        controller = read_routing().controller
        if tag.role != Role.TASK or controller is None:
            return words
        return f"{words} {describe_here(read_calibration(controller=controller, task=tag))}"

    pin_selected = offer_each(pin_tag, row="tag_id", description="Pin: never prune", done="pinned", pinned=True)
    unpin_selected = offer_each(pin_tag, row="tag_id", description="Unpin", done="unpinned", pinned=False)


class RollBackForm(ActionForm):
    """The reason for undoing the switch; it is stored in the new live apply."""

    reason = forms.CharField(required=False, label="Reason:", max_length=2000)


@admin.register(LiveApply)
class LiveApplyAdmin(ReadOnlyAdmin, ActionAdmin):
    """Switches of the serving tags. A rollback is another row."""

    list_display = (
        *("id", "role", "from_tag", "to_tag", "canary", "rolls_back"),
        *("applied_by", "applied_at", "reason", "worth"),
    )
    list_filter = ("role",)
    list_select_related = (
        *("from_tag", "to_tag", "canary__evaluation__candidate", "rolls_back__from_tag", "measurement"),
    )
    action_form = RollBackForm
    actions = ("roll_back_selected",)
    readonly_fields = ("worth",)

    @admin.display(description="worth")
    def worth(self, apply: LiveApply) -> str:
        """What it was worth on the reserve; empty for a switch that is not measured."""
        gain = read_gain(apply)
        return gain.sentence if gain else ""

    @offer(roll_back, description="Roll back this switch")
    def roll_back_selected(self, request: HttpRequest, queryset: QuerySet[LiveApply]) -> None:
        """Makes the role's previous tag active again; only for the last switch of the role."""
        chosen = list(queryset)
        reason = request.POST.get("reason", "").strip()
        try:
            if len(chosen) != 1:
                raise Refused("Choose one switch to roll back.")
            if not reason:
                raise Refused("Enter a reason for the rollback. The audit log keeps it.")
            [last] = chosen
            apply = roll_back(role=last.role, by=read_actor(request), reason=reason, origin=ORIGIN, undo=last.pk)
        except Refused as refused:
            self.message_user(request, str(refused), messages.ERROR)
            return
        self.log_addition(request, apply, f"Rolled back live apply {last.pk}: {reason}")
        self.message_user(request, f"{apply.role} is served by {apply.to_tag} again.", messages.SUCCESS)


def offer_steering(action: Action[..., Any], *, description: str, done: str) -> Any:
    """An admin action that steers promotion as a whole, whatever rows are chosen; `done` is the message."""

    @offer(action, description=description)
    def act(site: ActionAdmin, request: HttpRequest, queryset: QuerySet[PromotionWindow]) -> None:
        try:
            action(by=read_actor(request), origin=ORIGIN)
        except Refused as refused:
            site.message_user(request, str(refused), messages.ERROR)
        else:
            site.message_user(request, done, messages.SUCCESS)

    return act


@admin.register(PromotionWindow)
class PromotionWindowAdmin(ReadOnlyAdmin, ActionAdmin):
    """Windows of successes and the result of each."""

    list_display = ("number", "state", "watermark", "size", "attempts", "reason", "opened_at", "closed_at")
    list_filter = ("state",)
    actions = ("hold", "resume", "evaluate", "drill")

    hold = offer_steering(hold_promotion, description="Hold promotion", done="Promotion is on hold.")
    resume = offer_steering(resume_promotion, description="Resume promotion", done="Promotion has resumed.")
    evaluate = offer_steering(
        evaluate_now,
        description="Evaluate now, with the successes there are",
        done="The window closes with the successes that it has.",
    )
    drill = offer_steering(
        request_drill,
        description="Drill the gate",
        done="An identical clone and a sabotaged copy will go through the gate.",
    )


@admin.register(GateDrill)
class GateDrillAdmin(ReadOnlyAdmin):
    """Tests of the gate itself, with a tag whose quality is known."""

    list_display = ("id", "kind", "role", "state", "evaluation_id", "reason", "requested_by", "requested_at")
    list_filter = ("kind", "state")


@admin.register(PairWork)
class PairWorkAdmin(ReadOnlyAdmin):
    """Pairs that are being run, and finished pairs that wait for earlier ones."""

    list_display = ("id", "evaluation_id", "index", "worker", "lease_until", "candidate_arm_id", "baseline_arm_id")
    search_fields = ("=evaluation__id",)
    ordering = ("-id",)


@admin.register(Evaluation)
class EvaluationAdmin(ReadOnlyAdmin):
    """Candidates against the active tag."""

    list_display = (
        "id",
        "window",
        "candidate",
        "baseline",
        "verdict",
        "hypothesis",
        "wins",
        "losses",
        "ties",
        "e_value",
        "fewer_calls",
        "more_calls",
        "e_cheaper",
        "started_at",
        "finished_at",
    )
    list_filter = ("verdict", "hypothesis")
    list_select_related = ("window", "candidate", "baseline")
    search_fields = ("=id", "candidate__name")
    readonly_fields = ("pair_rows", "task_rows")

    @admin.display(description="pairs")
    def pair_rows(self, evaluation: Evaluation) -> SafeString:
        """The evidence itself."""
        return link_rows(EvaluationPair, text="Wins, losses and ties one by one", search=evaluation.pk)

    @admin.display(description="tasks")
    def task_rows(self, evaluation: Evaluation) -> SafeString:
        """The tasks that both arms were asked."""
        return link_rows(EvaluationTask, text="The held-out tasks", search=evaluation.pk)


@admin.register(EvaluationTask)
class EvaluationTaskAdmin(ReadOnlyAdmin):
    """The held-out tasks of evaluations, frozen with the memory that its arms recall."""

    list_display = ("id", "evaluation_id", "index", "task")
    list_select_related = ("task",)
    search_fields = ("=evaluation__id",)
    search_help_text = "The evaluation's number."
    ordering = ("-id",)


@admin.register(EvaluationArm)
class EvaluationArmAdmin(ReadOnlyAdmin):
    """One tag on one task."""

    list_display = ("id", "inputs_digest", "run", "success", "invalid", "controller_calls", "created_at")
    list_filter = ("success", "invalid")
    list_select_related = ("run",)
    search_fields = ("=run__id", "inputs_digest__startswith")
    search_help_text = "The run's number, or the beginning of the inputs' digest."
    ordering = ("-id",)


@admin.register(EvaluationPair)
class EvaluationPairAdmin(ReadOnlyAdmin):
    """Both arms on one task."""

    list_display = ("id", "evaluation_id", "index", "result", "candidate_first", "created_at")
    list_filter = ("result",)
    search_fields = ("=evaluation__id",)
    search_help_text = "The evaluation's number."
    ordering = ("-id",)


@admin.register(Canary)
class CanaryAdmin(ReadOnlyAdmin):
    """Trials on a share of real training runs."""

    list_display = (
        "id",
        "evaluation_id",
        "role",
        "state",
        "share_percent",
        "candidate_successes",
        "candidate_observations",
        "baseline_successes",
        "baseline_observations",
        "opened_at",
        "closed_at",
        "reason",
    )
    list_filter = ("state", "role")
    list_select_related = ("evaluation__candidate",)


@admin.register(PageFreeze)
class PageFreezeAdmin(ReadOnlyAdmin):
    """Frozen views of the hosts."""

    list_display = ("id", "memory_digest", "created_at")
    ordering = ("-id",)


@admin.register(FrozenPage)
class FrozenPageAdmin(ReadOnlyAdmin):
    """What each URL answered inside a freeze."""

    list_display = ("id", "freeze_id", "url", "status_code", "error_code", "created_at")
    search_fields = ("=freeze__id", "url")
    ordering = ("-id",)


@admin.register(Watch)
class WatchAdmin(ReadOnlyAdmin):
    """The time after a live apply in which the previous tag still serves a small share."""

    list_display = (
        *("id", "apply", "state", "share_percent", "applied_successes", "applied_observations"),
        *("held_successes", "held_observations", "e_harm", "opened_at", "closed_at", "reason"),
    )
    list_filter = ("state", "role")
    list_select_related = ("apply__from_tag", "apply__to_tag")


@admin.register(WatchedRun)
class WatchedRunAdmin(ReadOnlyAdmin):
    """Which tag each run under a watch was promised."""

    list_display = ("id", "watch_id", "run_id", "held_back", "created_at")
    list_filter = ("held_back",)
    search_fields = ("=watch__id", "=run__id")
    search_help_text = "The watch's or the run's number."
    ordering = ("-id",)


@admin.register(ReserveMeasurement)
class ReserveMeasurementAdmin(ReadOnlyAdmin):
    """What live applies were worth, on reserve tasks."""

    list_display = ("id", "apply", "state", "done", "wins", "losses", "ties", "opened_at", "closed_at", "reason")
    list_filter = ("state",)
    list_select_related = ("apply__from_tag", "apply__to_tag")


@admin.register(ReservePair)
class ReservePairAdmin(ReadOnlyAdmin):
    """Both tags on each reserve task."""

    list_display = ("id", "measurement_id", "task_id", "before_arm_id", "after_arm_id", "result", "created_at")
    list_filter = ("result",)
    search_fields = ("=measurement__id", "=task__id")
    search_help_text = "The measurement's or the task's number."
    ordering = ("-id",)
