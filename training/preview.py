"""The next source preview: the claim's own choice, with the claim left out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from training import selection
from training.models import TrainingSource
from training.selection_state import ClaimReads, read_lane_state


@dataclass(frozen=True, slots=True)
class NextSource:
    """What comes next, from the same rules that claim."""

    source: TrainingSource | None
    selection_mode: str
    host_lock: str | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What the next claim would take, before the source itself has been read."""

    chosen: selection.Waiting | None
    waits_for_host: bool
    locked_host: str | None

    @property
    def source_id(self) -> int | None:
        """The source to read; None when there is no next one."""
        return self.chosen.source_id if self.chosen else None

    def describe(self, source: TrainingSource | None) -> NextSource:
        """The preview with its source, which needs its host loaded."""
        if source is None or self.chosen is None:
            return NextSource(None, selection.NONE, self.locked_host, "No eligible next source.")
        when = "Next, when its host is free" if self.waits_for_host else "Next"
        # No quotation marks: a title often ends with a quotation of its own.
        sentence = f"{when}, on {source.host.name}: {source.title}"
        return NextSource(source, self.chosen.selection_mode, self.locked_host, sentence)


def choose_preview(reads: ClaimReads, /, *, now: datetime) -> Preview:
    """The claim's own choice from reads already made.

    While every host with waiting sources is busy nothing can be claimed; then the source whose turn comes when
    its host is free is shown.
    """
    state = read_lane_state(reads, now=now)
    chosen = state.choose()
    if chosen is not None:
        return Preview(chosen, False, state.locked_host)
    return Preview(selection.choose_source(state.heads, rules=state.rules), True, state.locked_host)
