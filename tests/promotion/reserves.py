"""Live applies that are measured on the reserve, in the small world of the scenes."""

from __future__ import annotations

from dataclasses import replace

from django.utils import timezone

from lealife.core.actors import command_line
from promotion.applies import apply_canary, roll_back
from promotion.evaluation.gain import Gain, read_gain
from promotion.evaluation.reserve import measure_next
from promotion.models import LiveApply
from tests.promotion.scenes import Picker, Servers, make_passed_canary, make_tools

TASKS = 6


def apply_next(servers: Servers, *, number: int = 1) -> LiveApply:
    """Applies a new candidate."""
    applied = apply_canary(canary_id=make_passed_canary(servers, number=number).pk, now=timezone.now())
    assert applied is not None
    return applied


def measure(servers: Servers, model: Picker, *, times: int = 1000, worker: str = "tests") -> int:
    """Works until nothing can be done, `times` at most; returns how often something was done."""
    tools, done = replace(make_tools(servers, model), worker=worker), 0
    while done < times and measure_next(tools=tools):
        done += 1
    return done


def find_gain(apply: LiveApply) -> Gain:
    gain = read_gain(LiveApply.objects.select_related("measurement").get(pk=apply.pk))
    assert gain is not None
    return gain


def put_back(servers: Servers) -> LiveApply:
    return roll_back(role="controller", by=command_line("ada"), reason="Not good.")
