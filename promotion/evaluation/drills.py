"""Gate drills: tags of known quality go through the gate like any candidate, and the gate's errors are counted."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Max

from lealife.core.actors import system
from lealife.core.announce import announce
from lealife.core.errors import GateRefused
from lealife.core.gateway import OllamaPool
from promotion.candidates.exemplars import format_exemplars, read_exemplars
from promotion.evaluation.comparison import open_drill
from promotion.evaluation.freezing import freeze_inputs
from promotion.models import Evaluation, GateDrill, ModelTag
from promotion.recipes import Recipe
from promotion.routing import read_routing
from promotion.steering import request_drill
from promotion.tags import register_tag
from training.agent.controller import format_pick, read_pick
from training.agent.embedding import Embed
from training.runtime_settings import read_settings

Kind, State, Verdict = GateDrill.Kind, GateDrill.State, Evaluation.Verdict
EXEMPLARS = 4
_CHOICE = re.compile(r"^\d+\. ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class DrillCount:
    """The gate's verdicts on one kind of tag. `invalid` ones measured nothing and count as neither right nor wrong."""

    kind: str
    judged: int
    promoted: int
    rejected: int
    inconclusive: int
    invalid: int


@dataclass(frozen=True, slots=True)
class DrillReport:
    """The gate's own measured errors, from stored evidence.

    `false_promotions`: a clone or a sabotaged copy was promoted. `misses`: a sabotaged copy was not rejected.
    """

    clone: DrillCount
    sabotaged: DrillCount
    false_promotions: int
    misses: int
    judged: int
    open: int
    last_at: datetime | None
    sentence: str


def read_drills() -> DrillReport:
    """The gate's verdicts in all drills so far."""
    rows = Evaluation.every.filter(drill=True).values_list("gate_drill__kind", "verdict")
    found: dict[str, Counter[str]] = {kind: Counter() for kind in Kind}
    for kind, verdict in rows:
        found[kind][verdict] += 1
    clone, sabotaged = (_count(kind, found[kind]) for kind in (Kind.CLONE, Kind.SABOTAGED))
    false_promotions = clone.promoted + sabotaged.promoted
    misses, judged = sabotaged.judged - sabotaged.rejected, clone.judged + sabotaged.judged
    under_way = GateDrill.objects.open().count()
    return DrillReport(
        clone=clone,
        sabotaged=sabotaged,
        false_promotions=false_promotions,
        misses=misses,
        judged=judged,
        open=under_way,
        last_at=Evaluation.every.filter(drill=True).aggregate(Max("finished_at"))["finished_at__max"],
        sentence=_say(clone, sabotaged, false_promotions=false_promotions, misses=misses, under_way=under_way),
    )


def _count(kind: str, found: Counter[str]) -> DrillCount:
    judged = found[Verdict.PROMOTE] + found[Verdict.REJECT] + found[Verdict.INCONCLUSIVE]
    return DrillCount(
        kind=str(kind),
        judged=judged,
        promoted=found[Verdict.PROMOTE],
        rejected=found[Verdict.REJECT],
        inconclusive=found[Verdict.INCONCLUSIVE],
        invalid=found[Verdict.INVALID],
    )


def _say(clone: DrillCount, sabotaged: DrillCount, *, false_promotions: int, misses: int, under_way: int) -> str:
    now = f" {under_way} drill{' is' if under_way == 1 else 's are'} under way." if under_way else ""
    if not clone.judged + sabotaged.judged:
        return now.strip() or "The gate has not been drilled yet."
    judged = f"{clone.judged} identical clones and {sabotaged.judged} sabotaged copies"
    return f"Of {judged}, the gate promoted {false_promotions} and failed to reject {misses} sabotaged ones.{now}"


def is_drill_due(*, now: datetime) -> bool:
    """Whether the schedule requires a drill now. Off unless a setting gives the interval."""
    days = read_settings().drill_every_days
    if not days or read_routing().controller is None or GateDrill.objects.open().exists():
        return False
    last = GateDrill.objects.aggregate(Max("requested_at"))["requested_at__max"]
    return last is None or now - last >= timedelta(days=days)


def has_drill_work(*, now: datetime) -> bool:
    """Whether a drill waits to be built, or one is due."""
    return GateDrill.objects.filter(state=State.REQUESTED).exists() or is_drill_due(now=now)


def start_drill(*, server: OllamaPool, now: datetime, embed: Embed | None = None) -> bool:
    """Builds the next drill's tag and opens its evaluation; first requests a drill when the schedule requires one.

    False when there was nothing to do. Raises ModelError when the tag cannot be made: try again later.
    """
    if is_drill_due(now=now):
        request_drill(by=system("schedule"), origin="schedule")
    drill = GateDrill.objects.filter(state=State.REQUESTED).order_by("pk").first()
    if drill is None:
        return False
    active = read_routing().require()[0]
    try:
        recipe = make_drill_recipe(drill, active=active)
        digest = recipe.materialise(server)
        frozen = freeze_inputs(candidate=recipe, embed=embed)
        with transaction.atomic():
            tag = ModelTag.objects.filter(name=recipe.tag_name).first() or register_tag(
                recipe=recipe, digest=digest, status=ModelTag.Status.UNUSED, parent=active
            )
            evaluation = open_drill(candidate=tag, frozen=frozen)
            _move(drill, state=State.RUNNING, evaluation=evaluation)
    except GateRefused as refused:
        _move(drill, state=State.REFUSED, reason=str(refused))
    return True


def _move(drill: GateDrill, **changes: object) -> None:
    # Two workers never hold the stage at once; should they, the second finds nothing to move and rolls back.
    if not GateDrill.objects.filter(pk=drill.pk, state=State.REQUESTED).update(**changes):
        raise GateRefused(f"Drill {drill.pk} has already been started.")
    announce("promotion")


def make_drill_recipe(drill: GateDrill, *, active: ModelTag) -> Recipe:
    """The active tag's recipe: unchanged in effect, or with every pick made wrong.

    Raises GateRefused when there are no exemplars to make wrong.
    """
    recipe = clone_recipe(Recipe.from_json(active.recipe), number=drill.pk)
    if drill.kind == Kind.CLONE:
        return recipe
    remembered = read_exemplars(shortlist_size=recipe.shortlist_size)[:EXEMPLARS]
    return sabotage_recipe(recipe, remembered=tuple(format_exemplars(remembered)))


def clone_recipe(recipe: Recipe, *, number: int) -> Recipe:
    """The same in effect, with another name and digest: only the seed differs, and every call sends its own seed.

    With the same digest the active tag's stored arms would be reused, and nothing would be measured.
    """
    return replace(recipe, parameters={**recipe.parameters, "seed": number})


def sabotage_recipe(recipe: Recipe, *, remembered: tuple[tuple[str, str], ...]) -> Recipe:
    """The same with exemplars whose picks are all wrong: its own, or ones from memory when it has none.

    Raises GateRefused when there are none.
    """
    turns = recipe.messages or remembered
    spoilt: list[tuple[str, str]] = []
    for (_, asked), (_, answered) in zip(turns[::2], turns[1::2], strict=True):
        choices = len(_CHOICE.findall(asked))
        right = read_pick(answered, count=choices)
        if right is not None and choices > 1:
            spoilt += [("user", asked), ("assistant", format_pick(0 if right == choices - 1 else choices - 1))]
    if not spoilt:
        raise GateRefused("There is no verified run yet to sabotage a copy with.")
    return replace(recipe, messages=tuple(spoilt))
