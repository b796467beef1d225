"""What a run is given: the routed tags, the ranker's weights, and what was recalled."""

from __future__ import annotations

from dataclasses import dataclass

from training.agent.ranking import FIRST_SUPPORT, FIRST_WEIGHTS, Support, Weights

# A recalled page that is known not to have the phrase that the prompt quotes: visited only when nothing else is left.
RULED_OUT = "ruled_out"
# A recalled page whose answer to a similar question was judged wrong: also visited only when nothing else is left.
MISLED = "misled"
# A page that a person named as right for a similar question: visited first.
NAMED = "named"
# What a run is told of people's verdicts. The score is 1 where the verdict was on this very question, else 0.
TOLD_KINDS = frozenset({MISLED, NAMED})
# An address that failed before: ranked lower in the shortlist.
PITFALL = "pitfall"
# A passage of the site index.
PASSAGE = "passage"
# A page in the site index, with the digest of its content as the text: what was not recalled of it is no nearer to the
# question than what was.
INDEXED = "indexed"
VISITABLE_KINDS = frozenset({"page", "route"})


@dataclass(frozen=True, slots=True)
class Recalled:
    """One memory item, passage of the site index, or page that a verdict is about. `score` is the ranker's.

    `is_passage`: the text is a passage of the site index. One that stands for no memory item has the id 0 and the kind
    “passage”. `heading`: the headings above it. `cosine`: how alike it and the question are in meaning,
    0 to 1. `record`: how often its page answered right. It leads to a page, but makes no answer surer.
    `why`: the reason for recalling it, in words, where the kind does not show it.
    """

    item_id: int
    kind: str
    url: str
    title: str
    text: str
    score: float
    why: str = ""
    heading: str = ""
    cosine: float = 0.0
    record: float = 0.0
    is_passage: bool = False


@dataclass(frozen=True, slots=True)
class Brain:
    """The tags and digests that routing claims, and what is remembered about the site.

    `ask_below`: the controller is asked only where the scores of the shortlist's first two entries are closer than
    this; None: always. `shows_exemplars`: the controller's tag has some, each a list by itself.
    """

    controller_tag: str
    controller_digest: str
    task_tag: str
    task_digest: str
    shortlist_size: int = 5
    num_ctx: int = 4096
    seed: int = 0
    memories: tuple[Recalled, ...] = ()
    weights: Weights = FIRST_WEIGHTS
    support: Support = FIRST_SUPPORT
    ask_below: float | None = None
    shows_exemplars: bool = False
