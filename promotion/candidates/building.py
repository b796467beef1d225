"""Candidates: the change to an active recipe that promises most, which may be refused before any run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet

from lealife.core.errors import GateRefused
from lealife.core.gateway import OllamaPool
from lealife.core.model_names import normalise_name
from learning.curriculum.kinds.value import asks_for_value
from learning.models import CurriculumTask, MemoryItem
from promotion.candidates.exemplars import Exemplar, read_pool
from promotion.candidates.levers import Known, Proposal, propose_changes
from promotion.candidates.preflight import (
    SITUATIONS,
    check_foreseen,
    check_recipe,
    find_command,
    find_copied,
    read_effect,
    read_runs_of_words,
)
from promotion.candidates.recorded import RecordedPick, read_cases, read_picks
from promotion.models import Evaluation, Lever, LiveApply, ModelTag, Role
from promotion.proof.bundle_rules import CHANGED
from promotion.recipes import NUM_CTX, Recipe
from promotion.routing import read_routing
from promotion.tags import register_tag
from training.agent.brain import Brain
from training.agent.controller import Controller
from training.agent.embedding import Embed
from training.agent.errors import AgentError, ErrorCode
from training.agent.model import Model
from training.agent.reading.words import fold
from training.agent.trajectory import Choice
from training.models import Run, TrainingOutcome

# How many of the newest outcomes show what goes wrong now.
RECENT = 200
CONTROLLER_FAULTS = (ErrorCode.NO_ROUTE, ErrorCode.BUDGET_SPENT)
# The check that what the model writes can fail. Other text has to stand in the quotes, whatever the model is.
ANSWER_CHECK = "json_schema"

# What these change can only be seen by asking the model.
ASKED_FIRST = (Lever.EXEMPLARS, Lever.BASE)

# A question, and the shortlist that was shown with it.
Situation = tuple[str, tuple[Choice, ...]]


@dataclass(frozen=True, slots=True)
class CandidatePlan:
    """The planned candidate: its recipe, its parent tag, what serving it will cost, and which lever it is and why."""

    recipe: Recipe
    parent: ModelTag
    foretold: str
    lever: str
    why: str


def read_known(parent: ModelTag, *, server: OllamaPool | None = None, embed: Embed | None = None) -> Known:
    """What recorded training says about the parent's recipe, and which other bases `server` has.

    Not called within a transaction: both ask the model servers.
    """
    recent = TrainingOutcome.objects.filter(lane=Run.Lane.TRAINING).order_by("-id")
    rows = recent.values_list("success", "error_code", "run__verifier", "run__answer", "run__check_spec")[:RECENT]
    mendable = sum(
        (parent.role == Role.TASK and leaves_unsaid(answer, check))
        if success
        else find_role_at_fault(code, verifier) == parent.role
        for success, code, verifier, answer, check in rows
    )
    recipe = Recipe.from_json(parent.recipe)
    is_controller = parent.role == Role.CONTROLLER
    held_out = read_runs_of_words(read_held_out())
    return Known(
        mendable=mendable,
        runs=len(rows),
        tried=_count_tried(parent.role),
        pool=_read_fit(parent.role, size=recipe.shortlist_size, held_out=held_out),
        bases=find_bases(recipe, server=server) if server is not None else (),
        picks=read_picks(parent) if is_controller else (),
        cases=read_cases(weights=recipe.used_weights, embed=embed) if is_controller else (),
        judged=read_judged(parent),
        held_out=held_out,
    )


def find_role_at_fault(error_code: str, verifier: str) -> str:
    """The role whose work failed; empty when neither did."""
    if error_code == ErrorCode.MODEL_INVALID or verifier == ANSWER_CHECK:
        return Role.TASK
    wrong_way = error_code in CONTROLLER_FAULTS or verifier == "expected_url"
    return Role.CONTROLLER if wrong_way else ""


def leaves_unsaid(answer: str, check: Mapping[str, Any]) -> bool:
    """Whether the value that was asked for stands in the quotes alone, not in the answer of a run that succeeded."""
    return asks_for_value(check) and fold(check["expected_text"]) not in fold(answer)


def find_bases(recipe: Recipe, *, server: OllamaPool) -> tuple[str, ...]:
    """The other base models that are allowed and that every server has, in the order in which they are named."""
    others = (base for base in settings.LEALIFE_BASES if normalise_name(base) != normalise_name(recipe.base))
    return tuple(base for base in others if (found := server.read_digest(tag=base)) and all(found.values()))


def _count_tried(role: str) -> Counter[str]:
    """How many candidates of each lever were built since the role's last switch."""
    tags = _candidates_of(role)
    switched_at = LiveApply.objects.filter(role=role).order_by("-pk").values_list("applied_at", flat=True).first()
    if switched_at is not None:
        tags = tags.filter(created_at__gt=switched_at)
    return Counter(tags.order_by().values_list("lever", flat=True))


def _candidates_of(role: str) -> QuerySet[ModelTag]:
    # Drills' tags have a parent too, but were never candidates.
    drilled = Evaluation.every.filter(drill=True).values("candidate")
    # A candidate whose evaluation was closed by a change during it was not judged, so it may be tried again.
    changed = Q(verdict=Evaluation.Verdict.INVALID, reason__startswith=CHANGED["evaluation"])
    judged = Evaluation.objects.exclude(changed).values("candidate")
    void = Evaluation.objects.filter(changed).exclude(candidate__in=judged)
    tags = ModelTag.objects.filter(role=role, parent__isnull=False)
    return tags.exclude(pk__in=drilled).exclude(pk__in=void.values("candidate"))


def plan_candidate(*, server: OllamaPool, model: Model | None = None, embed: Embed | None = None) -> CandidatePlan:
    """The next candidate: of the changes to either role's recipe the one that promises most and passes the pre-flight.

    Deterministic: the same evidence gives the same recipe. `model` and `embed` ask the model servers, so this is not
    called within a transaction. Raises GateRefused with the sentence of the last change when none passes, and what the
    servers raise when none answers.
    """
    parents = {tag.role: tag for tag in read_routing().require()}
    known = {role: read_known(parent, server=server, embed=embed) for role, parent in parents.items()}
    proposals = [
        proposal
        for role, parent in parents.items()
        for proposal in propose_changes(Recipe.from_json(parent.recipe), known=known[role])
    ]

    situations = _list_situations(known[Role.CONTROLLER].picks)

    @cache
    def ask(tag: str, place: int) -> int:
        return _ask_pick(tag, situations[place], model=model) if model is not None else 0

    refusal = GateRefused("There is no recipe to try: no verified success can serve as an exemplar yet.")
    for proposal in sorted(proposals, key=lambda each: -each.promise):
        parent = parents[proposal.recipe.role]
        try:
            plan = check_proposal(proposal, parent=parent, known=known[parent.role], server=server)
            if model is not None and parent.role == Role.CONTROLLER and plan.lever in ASKED_FIRST:
                _check_by_asking(plan, server=server, situations=len(situations), ask=ask)
        except GateRefused as refused:
            refusal = refused
        else:
            return plan
    raise refusal


def check_proposal(proposal: Proposal, *, parent: ModelTag, known: Known, server: OllamaPool) -> CandidatePlan:
    """The plan of a proposal that passes every check which needs no model. Raises GateRefused."""
    recipe, before = proposal.recipe, Recipe.from_json(parent.recipe)
    foretold = check_recipe(
        recipe,
        parent=before,
        judged=known.judged,
        held_out=known.held_out,
        bases=server.read_digest(tag=recipe.base),
        untrusted=find_untrusted(proposal.chosen),
    )
    check_foreseen(recipe, parent=before, picks=known.picks, cases=known.cases)
    return CandidatePlan(recipe, parent, foretold, proposal.lever, proposal.why)


def _check_by_asking(
    plan: CandidatePlan, *, server: OllamaPool, situations: int, ask: Callable[[str, int], int]
) -> None:
    """Refuses a candidate that picks as its parent does in all recorded situations.

    It stays known as rejected, so it is not made and asked again. The first other pick ends it. Nothing is refused
    where no model server answers, or nothing is recorded.
    """
    digest = plan.recipe.materialise(server)
    try:
        alike = all(ask(plan.parent.name, place) == ask(plan.recipe.tag_name, place) for place in range(situations))
    except AgentError:
        return
    if alike and situations:
        refused = GateRefused(f"The candidate picks as its parent does in all of {situations} recorded situations.")
        tag = register_candidate(plan, digest=digest)
        ModelTag.objects.filter(pk=tag.pk).update(status=ModelTag.Status.REJECTED, why=str(refused))
        raise refused


def _list_situations(picks: Sequence[RecordedPick]) -> list[Situation]:
    """The newest recorded situations, each once."""
    return list(dict.fromkeys((pick.prompt, pick.shortlist) for pick in picks))[:SITUATIONS]


def _ask_pick(tag: str, situation: Situation, *, model: Model) -> int:
    """What the controller tag picks in a recorded situation, asked again. Raises AgentError."""
    prompt, shortlist = situation
    brain = Brain(controller_tag=tag, controller_digest="", task_tag="", task_digest="", num_ctx=NUM_CTX)
    return Controller(model=model, brain=brain, prompt=prompt).pick(shortlist).index


def register_candidate(plan: CandidatePlan, *, digest: str) -> ModelTag:
    """The row of a candidate that now exists on the servers: a new row, or that of an earlier one never judged."""
    fields: dict[str, Any] = {
        "digest": digest,
        "status": ModelTag.Status.CANDIDATE,
        "parent": plan.parent,
        "foretold": plan.foretold,
        "lever": plan.lever,
        "why": plan.why,
    }
    if ModelTag.objects.filter(name=plan.recipe.tag_name).update(**fields):
        return ModelTag.objects.get(name=plan.recipe.tag_name)
    return register_tag(recipe=plan.recipe, **fields)


def _read_fit(role: str, *, size: int, held_out: frozenset[tuple[str, ...]]) -> list[Exemplar]:
    """The exemplars that a model may see: without held-out text and without text that reads like an instruction."""
    return [
        exemplar
        for exemplar in read_pool(role=role, shortlist_size=size)
        if not find_copied(texts := [content for _, content in exemplar.turns], held_out=held_out)
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
    # The first tag of a role served before all others: no candidate goes back to it.
    tried = Q(parent=None) | Q(pk__in=_candidates_of(parent.role).values("pk"))
    tags = ModelTag.objects.filter(tried, role=parent.role).order_by("-pk")
    return {read_effect(Recipe.from_json(tag.recipe)): tag.name for tag in tags}


def find_untrusted(chosen: Sequence[Exemplar]) -> set[int]:
    """Memory items behind these exemplars that are not trusted (any more)."""
    items = {exemplar.item_id for exemplar in chosen}
    return items - set(MemoryItem.objects.recallable().filter(pk__in=items).values_list("pk", flat=True))
