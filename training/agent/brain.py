"""What a run is given to think with: the routed tags and the recalled memory."""

from __future__ import annotations

from dataclasses import dataclass

# A recalled page that is known not to hold what the prompt quotes: visited only when nothing else is left.
RULED_OUT = "ruled_out"
# A recalled page whose answer to a question like this was judged wrong: likewise.
MISLED = "misled"
# An address that failed: it sinks in the shortlist.
PITFALL = "pitfall"
VISITABLE_KINDS = frozenset({"page", "route"})


@dataclass(frozen=True, slots=True)
class Recalled:
    """One memory item recalled for this task. `score` ranks items of one recall; its scale is free.

    `why` says in words why it was recalled, where the kind does not say it.
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
