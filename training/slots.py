"""Slots: how many runs may hold the machine at once, and who may take the next."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection

from training.counters import count_by_lane, read_kept
from training.models import Run, RuntimeSettings
from training.runtime_settings import read_settings

# One short advisory lock around "count the open runs, then open one": slots are never over-drawn.
SLOT_LOCK = 0x4C65614C


@dataclass(frozen=True, slots=True)
class Slots:
    """Caps and what holds them now, in runs."""

    global_max: int
    reserved: int
    training_max: int
    training_ceiling: int
    running_total: int
    running_training: int
    running_non_training: int
    by_lane: dict[str, int]

    @property
    def training_cap(self) -> int:
        """Training cycles that may run at once: the setting, or the ceiling where that is lower."""
        return min(self.training_max, self.training_ceiling)

    @property
    def cap_note(self) -> str:
        """Why fewer training cycles may run than the setting says; empty when the setting holds."""
        if self.training_max <= self.training_ceiling:
            return ""
        return (
            f"Training Max Active Runs is {self.training_max}, but the ceiling is {self.training_ceiling}: "
            f"{self.global_max} runs at once, {self.reserved} of them reserved."
        )

    @property
    def free_for_training(self) -> int:
        """Training cycles that may start now.

        A canary's run may hold a reserved slot, as it is control-plane work; but it is a training cycle too, and
        counts against the most of those.
        """
        cycles = self.running_training + self.by_lane.get(Run.Lane.CANARY, 0)
        free = (self.training_ceiling - self.running_training, self.training_max - cycles, self.free_for_control)
        return max(0, min(free))

    @property
    def free_for_control(self) -> int:
        """Non-training runs that may start now: all free slots, the reserved ones included."""
        return max(0, self.global_max - self.running_total)


def count_slots(*, row: RuntimeSettings, by_lane: dict[str, int]) -> Slots:
    """The caps of `row` with the open runs of each lane; pure."""
    total = sum(by_lane.values())
    training = by_lane.get(Run.Lane.TRAINING, 0)
    return Slots(
        global_max=row.global_max_concurrent_runs,
        reserved=row.reserved_control_slots,
        training_max=row.training_max_active_runs,
        training_ceiling=max(0, row.global_max_concurrent_runs - row.reserved_control_slots),
        running_total=total,
        running_training=training,
        running_non_training=total - training,
        by_lane=by_lane,
    )


def read_slots() -> Slots:
    return count_slots(row=read_settings(), by_lane=count_by_lane(read_kept()))


def lock_slots() -> None:
    """Holds the slot lock until the transaction ends: what is counted now stays true until then."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SLOT_LOCK])
