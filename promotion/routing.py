"""Routing: which tag serves each role. A partial unique constraint allows one active tag per role."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lealife.core.errors import NotFound
from promotion.canary import read_share
from promotion.models import Canary, ModelTag, Role
from training.claims import CanarySplit
from training.runtime_settings import read_settings


@dataclass(frozen=True, slots=True)
class Routing:
    """The active tags; None for a role that has none yet."""

    controller: ModelTag | None
    task: ModelTag | None

    def require(self) -> tuple[ModelTag, ModelTag]:
        """Both tags. Raises NotFound before the first tags have been made."""
        if self.controller is None or self.task is None:
            raise NotFound("No model tags are active yet. They are made at the first contact with the model server.")
        return self.controller, self.task

    def of(self, role: str) -> ModelTag:
        """The role's tag. Raises as `require` does."""
        controller, task = self.require()
        return controller if role == Role.CONTROLLER else task

    def other(self, role: str) -> ModelTag:
        """The other role's tag. Raises as `require` does."""
        controller, task = self.require()
        return task if role == Role.CONTROLLER else controller

    def put(self, tag: ModelTag) -> Routing:
        """The same with this tag in its role."""
        return replace(self, **{tag.role: tag})


def read_routing() -> Routing:
    """The tags that serve now."""
    active = {tag.role: tag for tag in ModelTag.objects.filter(status=ModelTag.Status.ACTIVE)}
    return Routing(controller=active.get(Role.CONTROLLER), task=active.get(Role.TASK))


def read_canary_routing(canary_id: int) -> Routing:
    """The tags of a canary's candidate arm: the candidate in its role, the active tag in the other.

    An aborted candidate serves no more, not even runs that had been promised to it.
    """
    active = read_routing()
    canary = Canary.objects.select_related("evaluation__candidate").get(pk=canary_id)
    if canary.state == Canary.State.ABORTED:
        return active
    return active.put(canary.evaluation.candidate)


def read_canary_split() -> CanarySplit | None:
    """The open canary's share, in the form that the claim needs; None when no canary is open or promotion is on hold.

    During a hold the guardrail does not check for harm, so the candidate must not serve.
    """
    if read_settings().promotion_hold:
        return None
    canary = Canary.objects.filter(state=Canary.State.OPEN).order_by("id").first()
    return CanarySplit(canary.pk, read_share(canary) / 100) if canary else None
