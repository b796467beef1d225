"""The model-side input of a run: the routed tags and the recalled memory."""

from __future__ import annotations

from dataclasses import dataclass

# A recalled page that is known not to have the phrase that the prompt quotes: visited only when nothing else is left.
RULED_OUT = "ruled_out"
# A recalled page whose answer to a similar question was judged wrong: also visited only when nothing else is left.
MISLED = "misled"
# An address that failed before: ranked lower in the shortlist.
PITFALL = "pitfall"
VISITABLE_KINDS = frozenset({"page", "route"})


@dataclass(frozen=True, slots=True)
class Recalled:
    """One memory item recalled for this task. `score` only ranks the items of one recall.

    `why`: the reason for recalling it, in words, where the kind does not show it.
    """

    item_id: int
    kind: str
    url: str
    title: str
    text: str
    score: float
    why: str = ""


@dataclass(frozen=True, slots=True)
class Brain:
    """The tags and digests that routing claims, and what is remembered about the site."""

    controller_tag: str
    controller_digest: str
    task_tag: str
    task_digest: str
    shortlist_size: int = 5
    num_ctx: int = 4096
    seed: int = 0
    memories: tuple[Recalled, ...] = ()
