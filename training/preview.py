"""The next source preview: the claim's own choice, with the claim left out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from training import selection
from training.models import TrainingSource
from training.selection_state import ClaimReads, read_for_claim, read_lane_state


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

    choice: selection.Selection
    waits_for_host: bool
    locked_host: str | None

    @property
    def source_id(self) -> int | None:
        """The source to read; None when there is no next one."""
        return self.choice.waiting.source_id if self.choice.waiting else None

    def describe(self, source: TrainingSource | None) -> NextSource:
        """The preview with its source, which needs its host loaded."""
        if source is None:
            return NextSource(None, selection.NONE, self.locked_host, "No eligible next source.")
        when = "Next, when its host is free" if self.waits_for_host else "Next"
        # No quotation marks: a title often ends with a quotation of its own.
        sentence = f"{when}, on {source.host.name}: {source.title}"
        return NextSource(source, self.choice.selection_mode, self.locked_host, sentence)


def preview_next(*, now: datetime) -> NextSource:
    """What the next claim would take. Raises nothing: no eligible source is an answer."""
    preview = choose_preview(read_for_claim(), now=now)
    return preview.describe(TrainingSource.objects.select_related("host").filter(pk=preview.source_id).first())


def choose_preview(reads: ClaimReads, /, *, now: datetime) -> Preview:
    """The claim's own choice from reads already made.

    While every host with waiting sources is busy nothing can be claimed; then the source whose turn comes when
    its host is free is shown.
    """
    state = read_lane_state(reads, now=now)
    choice = state.choose()
    waits_for_host = choice.waiting is None
    if waits_for_host:
        choice = replace(state, busy_hosts=frozenset()).choose()
    return Preview(choice, waits_for_host, state.locked_host)
