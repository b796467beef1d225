"""Hold-back: after a live apply the previous tag still serves a small share of runs, so that harm can be detected.

As in a canary, a hash of the watch and the source decides which tag a training run is promised. The promise is stored
before the run asks a model.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import cast

from django.db.models import Count

from lealife.core.digest import unit_interval
from promotion.models import LiveApply, ModelTag, Watch, WatchedRun
from promotion.routing import Routing, read_routing
from training.models import Run, TrainingCycle
from training.outcomes import UNSERVED
from training.runtime_settings import read_settings


def open_watch(*, apply: LiveApply, now: datetime) -> Watch | None:
    """Starts the watch over an apply, in its transaction; None when the share is 0 or there was no previous tag.

    The switch has already ended the role's earlier watch; a constraint allows only one open watch.
    """
    row = read_settings()
    if not row.hold_back_percent or apply.from_tag_id is None:
        return None
    return Watch.objects.create(
        apply=apply,
        role=apply.role,
        share_percent=row.hold_back_percent,
        wanted_observations=row.watch_observations,
        deadline_at=now + timedelta(seconds=row.watch_deadline_s),
        opened_at=now,
    )


def end_watch(*, role: str, reason: str, now: datetime) -> None:
    """Ends the open watch over `role`, if there is one, with its counts so far. Its held-back tag serves no more."""
    for watch in Watch.objects.filter(role=role, state=Watch.State.OPEN):
        Watch.objects.filter(pk=watch.pk, state=Watch.State.OPEN).update(
            state=Watch.State.ENDED, reason=reason, closed_at=now, **count_watched(watch.pk)
        )


def is_watched(role: str) -> bool:
    """Whether an apply of `role` is being watched. Then the next canary must wait, or the arms of both would mix."""
    return Watch.objects.filter(role=role, state=Watch.State.OPEN).exists()


def route_run(run: Run) -> Routing:
    """The tags that serve a run. Under a watch, the run's arm is stored. Safe to repeat: the first answer is kept.

    Only training runs outside of a canary are held back.
    """
    if run.lane != Run.Lane.TRAINING or run.canary_id is not None:
        return read_routing()
    # Read watches before routing: if a switch commits in between, routing shows it, and the tags below differ.
    watches = list(Watch.objects.filter(state=Watch.State.OPEN).select_related("apply__from_tag"))
    routing = read_routing()
    for watch in watches:
        routing = _route_watched(run, watch=watch, routing=routing)
    return routing


def _route_watched(run: Run, *, watch: Watch, routing: Routing) -> Routing:
    active = getattr(routing, watch.role)
    if active is None or active.pk != watch.apply.to_tag_id:
        return routing
    source_id = TrainingCycle.objects.values_list("source_id", flat=True).get(run=run)
    held_back = unit_interval("watch", watch.pk, source_id) < watch.share_percent / 100
    watched, _ = WatchedRun.objects.get_or_create(watch=watch, run=run, defaults={"held_back": held_back})
    if not watched.held_back:
        return routing
    # It was opened over an apply that replaced a tag.
    return routing.put(cast(ModelTag, watch.apply.from_tag))


def count_watched(watch_id: int) -> dict[str, int]:
    """For both arms, the finished runs that the promised model answered, and their successes. One query."""
    counts = {"applied_observations": 0, "applied_successes": 0, "held_observations": 0, "held_successes": 0}
    finished = WatchedRun.objects.filter(watch_id=watch_id, run__outcome__isnull=False)
    watched = finished.exclude(run__outcome__error_code__in=UNSERVED)
    for held_back, success, found in watched.values_list("held_back", "run__outcome__success").annotate(n=Count("id")):
        arm = "held" if held_back else "applied"
        counts[f"{arm}_observations"] += found
        counts[f"{arm}_successes"] += found if success else 0
    return counts
