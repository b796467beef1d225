"""Model tags: the first ones, the list, pinning."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.db.models import Q

from lealife.core.actors import Actor, requires
from lealife.core.announce import announce
from lealife.core.errors import NotFound
from lealife.core.gateway import OllamaPool
from promotion.models import LiveApply, ModelTag, Role
from promotion.recipes import Recipe, base_recipe
from promotion.routing import read_routing
from training.audit import record_audit

# How many controller tags are kept in addition to the referenced ones; older unpinned tags may be pruned.
KEEP_TAGS = 10
UNUSED = (ModelTag.Status.UNUSED, ModelTag.Status.RETIRED, ModelTag.Status.REJECTED)


def ensure_base_tags(*, server: OllamaPool, base: str) -> bool:
    """Makes and activates the first tag of each role that has none; True when it made any."""
    routing = read_routing()
    made = False
    for role, active in ((Role.CONTROLLER, routing.controller), (Role.TASK, routing.task)):
        if active is None:
            recipe = base_recipe(role=role, base=base)
            digest = recipe.materialise(server)
            made |= _activate_first(recipe=recipe, digest=digest)
    return made


def restore_tags(*, server: OllamaPool) -> list[str]:
    """Makes tags again that a model server has lost, from their recipes; returns their names.

    These are the active tags and the tags that each role's last switch replaced: those may be held back, and a roll
    back needs them. The same recipe gives the same digest; if not, the served-digest proof will show it.
    """
    replaced = LiveApply.objects.order_by("role", "-id").distinct("role").values("from_tag")
    serving = Q(status__in=[ModelTag.Status.ACTIVE, ModelTag.Status.CANDIDATE])
    needed = ModelTag.objects.filter(serving | Q(pk__in=replaced)).order_by("id")
    lost = [tag for tag in needed if "" in server.read_digest(tag=tag.name).values()]
    for tag in lost:
        Recipe.from_json(tag.recipe).materialise(server, name=tag.name)
    return [tag.name for tag in lost]


def _activate_first(*, recipe: Recipe, digest: str) -> bool:
    try:
        with transaction.atomic():
            register_tag(recipe=recipe, digest=digest, status=ModelTag.Status.ACTIVE, parent=None)
            announce("promotion")
    except IntegrityError:
        # Another process made this role's first tag at the same time; use its row.
        return False
    return True


def register_tag(
    *,
    recipe: Recipe,
    digest: str,
    status: str,
    parent: ModelTag | None,
    foretold: str = "",
    lever: str = "",
    why: str = "",
) -> ModelTag:
    """The row of a tag that now exists on the servers. `lever` and `why` say what a candidate changes, and why that."""
    return ModelTag.objects.create(
        role=recipe.role,
        name=recipe.tag_name,
        digest=digest,
        base=recipe.base,
        recipe=recipe.to_json(),
        recipe_digest=recipe.digest,
        parent=parent,
        status=status,
        foretold=foretold,
        lever=lever,
        why=why,
    )


@requires("promotion.pin_tag")
def pin_tag(*, tag_id: int, pinned: bool, by: Actor, origin: str) -> None:
    """Pins a tag, so that it is never pruned, or unpins it."""
    with transaction.atomic():
        if not ModelTag.objects.filter(pk=tag_id).update(pinned=pinned):
            raise NotFound(f"There is no model tag {tag_id}.")
        record_audit(actor=by, origin=origin, action="pin tag" if pinned else "unpin tag", subject=f"tag {tag_id}")
        announce("promotion")
