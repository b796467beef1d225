"""Learning: whether a candidate wins on a real manual, what its promotion was worth, and what natural questions say.

The whole stack runs in processes of its own, on a database of its own, until the first promotion has been measured.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from urllib.parse import quote

from django.db import connection

from benchmarks.answers import CALLS, Asked, navigate_question
from benchmarks.database import open_database
from benchmarks.manuals import Manual, read_manual, serve
from benchmarks.measurement import Measurement, at_least, at_most
from benchmarks.sites import add_host
from lealife.core.actors import system
from lealife.core.places import BASE_DIR
from lealife.embedded.ollama_process import ensure_ollama
from lealife.pipeline.pool import embed_texts, get_pool
from learning.recall import recall
from promotion.evaluation.arms import make_brain
from promotion.evaluation.gain import Gain, read_gain
from promotion.models import Evaluation, LiveApply, ModelTag, ReserveMeasurement
from promotion.recipes import Recipe
from training.coordinator import start_training
from training.models import Host

CANDIDATES, MINUTES = 5, 90.0
LEAST_TASKS, LEAST_SUCCESS, LEAST_SAVED = 100, 0.05, 0.15
LOOK_EVERY_S = 5.0
ENDS_WITHIN_S = 120.0


def measure_learning(*, name: str, candidates: int = CANDIDATES, minutes: float = MINUTES) -> list[Measurement]:
    """Four claims about one manual. Raises RuntimeError when the stack ends by itself."""
    manual = read_manual(name)
    with open_database() as database, serve(manual.root) as address, TemporaryDirectory(prefix="learning-") as data:
        host = add_host(manual, address)
        start_training(by=system("benchmark"), origin="learning")
        apply = run_until_measured(database, data=Path(data), candidates=candidates, minutes=minutes)
        judged = list(Evaluation.objects.exclude(verdict="pending").order_by("pk"))
        told = "; ".join(f"{each.candidate_number}. {each.verdict}: {each.reason}" for each in judged)
        found = [at_least(f"{name}: a promotion within {candidates} candidates", float(bool(apply)), 1, "", told)]
        gain = read_gain(apply)
        if apply is None or gain is None:
            return found
        ensure_ollama()
        return [*found, judge_gain(name, gain), *compare_tags(manual, host, apply=apply, address=address)]


def run_until_measured(database: str, *, data: Path, candidates: int, minutes: float) -> LiveApply | None:
    """Trains until the first promotion has been measured on the reserve, so many candidates were judged, or the time is
    over; returns the promotion, if there is one.
    """
    settings = connection.settings_dict
    url = f"postgresql://{quote(settings['USER'])}@/{database}?host={quote(str(settings['HOST']))}"
    connection.close()
    command = [sys.executable, str(BASE_DIR / "manage.py"), "up", "--no-demo", "--until-verdict"]
    command += ["--verdicts", str(10 * candidates), "--minutes", str(minutes)]
    environment = {**os.environ, "DATABASE_URL": url, "LEALIFE_DATA": str(data)}
    stack = subprocess.Popen(command, env=environment, cwd=BASE_DIR, start_new_session=True)  # noqa: S603  our own command
    ends = time.monotonic() + minutes * 60
    try:
        while time.monotonic() < ends:
            if stack.poll() is not None:
                raise RuntimeError("The stack ended by itself; what it said is on standard error.")
            apply = LiveApply.objects.select_related("measurement").order_by("pk").first()
            row = getattr(apply, "measurement", None)
            if row is not None and row.state != ReserveMeasurement.State.OPEN:
                return apply
            if apply is None and _count_ended() >= candidates:
                return None
            time.sleep(LOOK_EVERY_S)
    finally:
        stack.terminate()
        stack.wait(timeout=ENDS_WITHIN_S)
    return LiveApply.objects.select_related("measurement").order_by("pk").first()


def _count_ended() -> int:
    """Candidates whose window is closed: with a verdict, and a canary where the verdict led to one."""
    return Evaluation.objects.filter(window__closed_at__isnull=False).count()


def judge_gain(name: str, gain: Gain) -> Measurement:
    """Whether the promotion was worth something on tasks that decided nothing: more success, or fewer calls."""
    saved = 1 - gain.calls_after / gain.calls_before if gain.calls_before and gain.calls_after is not None else 0.0
    better = gain.success is not None and gain.success.mean >= LEAST_SUCCESS and gain.success.low > 0
    cheaper = gain.calls is not None and saved >= LEAST_SAVED and gain.calls.high < 0
    return Measurement(
        claim=f"{name}: {LEAST_SUCCESS:.0%} more success or {LEAST_SAVED:.0%} fewer calls on the reserve",
        figure=round(saved, 3),
        bound=LEAST_SAVED,
        unit="of the calls saved",
        holds=gain.pairs >= LEAST_TASKS and (better or cheaper),
        setup=f"{gain.sentence} {gain}",
    )


def compare_tags(manual: Manual, host: Host, *, apply: LiveApply, address: str) -> list[Measurement]:
    """The manual's natural questions, asked of the tag before the promotion and of the one after it."""
    beside = apply.measurement.beside
    before, after = (
        ask_all(manual, host, tags=(tag, beside), address=address) for tag in (apply.from_tag, apply.to_tag) if tag
    )
    right = [sum(each.is_right for each in asked) for asked in (before, after)]
    calls = [mean(each.trajectory.controller_calls for each in asked) for asked in (before, after)]
    setup = f"{len(manual.questions)} questions, up to {CALLS} pages; before: {right[0]} right, {calls[0]:.2f} calls"
    return [
        at_least(f"{manual.name}: natural questions with a right quote after it", right[1], right[0], "", setup),
        at_most(f"{manual.name}: controller calls a natural question after it", calls[1], calls[0], "", setup),
    ]


def ask_all(manual: Manual, host: Host, *, tags: Sequence[ModelTag], address: str) -> list[Asked]:
    """Every question of the manual, asked with the recipes of these tags."""
    for tag in tags:
        Recipe.from_json(tag.recipe).materialise(get_pool(), name=tag.name)
    controller, task = sorted(tags, key=lambda tag: tag.role)
    brain = make_brain(controller=controller, task=task, memories=())
    asked = []
    for question in manual.questions:
        items = recall(host_id=host.pk, prompt=question.prompt, weights=brain.weights, embed=embed_texts)
        trajectory = navigate_question(question, host, brain=replace(brain, memories=items), calls=CALLS)
        asked.append(Asked(question, trajectory, address))
    return asked
