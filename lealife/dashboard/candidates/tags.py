"""Tags and switches as the pages and the API show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from promotion.models import LiveApply, ModelTag


@dataclass(frozen=True, slots=True)
class TagView:
    """A model tag at one digest."""

    role: str
    name: str
    digest: str
    status: str
    pinned: bool
    created_at: datetime

    @property
    def short_digest(self) -> str:
        """Twelve hex digits, enough to tell tags apart by eye."""
        return shorten_digest(self.digest)


@dataclass(frozen=True, slots=True)
class ApplyView:
    """A switch of the serving tag; `passed_gate` is False for a rollback."""

    id: int
    role: str
    from_tag: str | None
    to_tag: str
    from_digest: str
    to_digest: str
    at: datetime
    by: str
    reason: str
    passed_gate: bool


def shorten_digest(digest: str) -> str:
    """The first twelve hex digits, without the algorithm's name."""
    return digest.removeprefix("sha256:")[:12]


def view_tag(tag: ModelTag | None) -> TagView | None:
    """The tag as a frozen value."""
    if tag is None:
        return None
    return TagView(tag.role, tag.name, tag.digest, tag.status, tag.pinned, tag.created_at)


def view_tags(tags: Sequence[ModelTag]) -> tuple[TagView, ...]:
    """Tags as frozen values, in the given order."""
    return tuple(TagView(tag.role, tag.name, tag.digest, tag.status, tag.pinned, tag.created_at) for tag in tags)


def view_apply(apply: LiveApply | None) -> ApplyView | None:
    """The switch as a frozen value; needs `from_tag` and `to_tag` loaded."""
    if apply is None:
        return None
    return ApplyView(
        id=apply.pk,
        role=apply.role,
        from_tag=apply.from_tag.name if apply.from_tag else None,
        to_tag=apply.to_tag.name,
        from_digest=apply.from_digest,
        to_digest=apply.to_digest,
        at=apply.applied_at,
        by=apply.applied_by,
        reason=apply.reason,
        passed_gate=apply.canary_id is not None,
    )
