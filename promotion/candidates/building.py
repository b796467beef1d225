"""Candidates: which role the next one is for, and its recipe, which may be refused before any run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from django.db.models import Q, QuerySet

from lealife.core.errors import GateRefused
from learning.models import CurriculumTask, MemoryItem
from promotion.candidates.exemplars import AnyExemplar, choose_exemplars, format_exemplars, read_pool
from promotion.candidates.preflight import (
    Surroundings,
    check_recipe,
    find_command,
    find_copied,
    read_effect,
    read_runs_of_words,
)
from promotion.models import Evaluation, LiveApply, ModelTag, Role
from promotion.proof.bundle_rules import CHANGED
from promotion.recipes import Recipe, TagServer
from promotion.routing import read_routing
from promotion.tags import register_tag
from training.agent.errors import ErrorCode
from training.models import Run, TrainingOutcome

# (exemplars, shortlist size): each candidate takes the next cell, so that it differs from the one before. Measured
# with a small base, exemplars alone only tie; the size of the shortlist has more effect.
GRID = ((6, 5), (4, 3), (0, 8), (8, 8), (6, 3), (0, 3), (8, 5), (4, 8))
ANSWER_GRID = (4, 2, 6, 3)
# How many of the newest outcomes show what goes wrong now.
RECENT = 200
CONTROLLER_FAULTS = (ErrorCode.NO_ROUTE, ErrorCode.BUDGET_SPENT)
# Checks that only the written answer can fail.
ANSWER_CHECKS = ("expected_text", "pattern", "json_schema")


@dataclass(frozen=True, slots=True)
class CandidatePlan:
    """The planned candidate: its recipe, its parent tag, and what serving it will cost."""

    recipe: Recipe
    parent: ModelTag
    foretold: str


@dataclass(frozen=True, slots=True)
class Prospect:
    """What a role could improve: the recent failures that it caused, and its candidates since its last switch."""

    mendable: int
    tried: int

    @property
    def promise(self) -> float:
        """Failures per candidate spent on them, counting the next one."""
        return self.mendable / (1 + self.tried)


def choose_role(prospects: Mapping[str, Prospect]) -> str:
    """The role with the most failures per candidate; the controller when both are equal.

    Each failed candidate lowers its role's figure, so the two roles take turns in proportion to their failures. A role
    without failures gets no candidate, because each candidate spends a share of the error budget.
    """
    task, controller = prospects[Role.TASK].promise, prospects[Role.CONTROLLER].promise
    return Role.TASK if task > controller else Role.CONTROLLER


def read_prospects() -> dict[str, Prospect]:
    """What each role could improve, from the newest training outcomes."""
    recent = TrainingOutcome.objects.filter(lane=Run.Lane.TRAINING).order_by("-id")
    rows = recent.values_list("success", "error_code", "run__verifier")[:RECENT]
    mendable = Counter(find_role_at_fault(code, verifier) for success, code, verifier in rows if not success)
    return {role: Prospect(mendable[role], _count_tried(role)) for role in Role.values}


def find_role_at_fault(error_code: str, verifier: str) -> str:
    """The role whose work failed; empty when neither did."""
    if error_code == ErrorCode.MODEL_INVALID or verifier in ANSWER_CHECKS:
        return Role.TASK
    wrong_way = error_code in CONTROLLER_FAULTS or verifier == "expected_url"
    return Role.CONTROLLER if wrong_way else ""


def _count_tried(role: str) -> int:
    applied = LiveApply.objects.filter(role=role).order_by("-pk").values_list("to_tag_id", flat=True).first()
    tags = _candidates_of(role)
    return tags.filter(pk__gt=applied).count() if applied else tags.count()


def _candidates_of(role: str) -> QuerySet[ModelTag]:
    # Drills' tags have a parent too, but were never candidates.
    drilled = Evaluation.every.filter(drill=True).values("candidate")
    # A candidate whose evaluation was closed by a change during it was not judged, so it may be tried again.
    changed = Q(verdict=Evaluation.Verdict.INVALID, reason__startswith=CHANGED["evaluation"])
    judged = Evaluation.objects.exclude(changed).values("candidate")
    void = Evaluation.objects.filter(changed).exclude(candidate__in=judged)
    tags = ModelTag.objects.filter(role=role, parent__isnull=False)
    return tags.exclude(pk__in=drilled).exclude(pk__in=void.values("candidate"))


def plan_candidate(*, server: TagServer) -> CandidatePlan:
    """The next candidate: the first cell of its role's grid, from its turn on, that passes the pre-flight.

    Deterministic: the same evidence gives the same recipe. Raises GateRefused with the sentence of the last cell
    when none passes, and what the servers raise when none answers.
    """
    routing = read_routing()
    controller, task = routing.require()
    role = choose_role(read_prospects())
    parent = controller if role == Role.CONTROLLER else task
    return choose_recipe(
        parent=parent, number=_candidates_of(role).count() + 1, bases=server.read_digest(tag=parent.base)
    )


def register_candidate(plan: CandidatePlan, *, digest: str) -> ModelTag:
    """The row of a candidate that now exists on the servers: a new row, or that of an earlier one never judged."""
    known = ModelTag.objects.filter(name=plan.recipe.tag_name).first()
    if known is None:
        return register_tag(
            recipe=plan.recipe,
            digest=digest,
            status=ModelTag.Status.CANDIDATE,
            parent=plan.parent,
            foretold=plan.foretold,
        )
    known.digest, known.status, known.parent = digest, ModelTag.Status.CANDIDATE, plan.parent
    known.foretold = plan.foretold
    known.save(update_fields=["digest", "status", "parent", "foretold"])
    return known


def choose_recipe(*, parent: ModelTag, number: int, bases: Mapping[str, str] | None = None) -> CandidatePlan:
    """The recipe of candidate `number` of the parent's role. Raises as `plan_candidate` does."""
    base = Recipe.from_json(parent.recipe)
    cells = GRID if parent.role == Role.CONTROLLER else tuple((count, base.shortlist_size) for count in ANSWER_GRID)
    held_out = read_runs_of_words(read_held_out())
    judged = read_judged(parent)
    refusal: GateRefused | None = None
    for turn in range(len(cells)):
        count, size = cells[(number - 1 + turn) % len(cells)]
        chosen = choose_exemplars(_read_fit(parent.role, size=size, held_out=held_out), count=count)
        recipe = replace(base, messages=tuple(format_exemplars(chosen)), shortlist_size=size)
        around = Surroundings(
            parent=base, judged=judged, held_out=held_out, bases=bases or {}, untrusted=find_untrusted(chosen)
        )
        try:
            if count and not chosen:
                raise GateRefused("No verified success can serve as an exemplar yet.")
            return CandidatePlan(recipe, parent, check_recipe(recipe, around=around))
        except GateRefused as refused:
            refusal = refused
    raise refusal or GateRefused("There is no recipe to try.")


def _read_fit(role: str, *, size: int, held_out: frozenset[tuple[str, ...]]) -> list[AnyExemplar]:
    """The exemplars that a model may see: without held-out text and without text that reads like an instruction."""
    return [
        exemplar
        for exemplar in read_pool(role=role, shortlist_size=size)
        if not find_copied(texts := [content for _, content in exemplar.turns()], held_out=held_out)
        and not any(map(find_command, texts))
    ]


def read_held_out() -> list[str]:
    """Every text of held-out tasks: the question, the expected text, and the page's passage."""
    tasks = CurriculumTask.objects.held_out()
    return [
        text
        for prompt, passage, check in tasks.values_list("prompt", "passage", "check_spec")
        for text in (prompt, passage, check.get("expected_text") or "")
        if isinstance(text, str) and text
    ]


def read_judged(parent: ModelTag) -> dict[str, str]:
    """The role's tags by the effect of their recipes."""
    tags = _candidates_of(parent.role).order_by("-pk")
    return {read_effect(Recipe.from_json(tag.recipe)): tag.name for tag in tags}


def find_untrusted(chosen: list[AnyExemplar]) -> set[int]:
    """Memory items behind these exemplars that are not trusted (any more)."""
    items = {exemplar.item_id for exemplar in chosen}
    return items - set(MemoryItem.objects.recallable().filter(pk__in=items).values_list("pk", flat=True))
