"""Right answers: natural questions about a manual, asked of the agent on the real models, and what it answered."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median, stdev

from benchmarks.fitting import fit_support, fit_weights
from benchmarks.manuals import SITES, Manual, Question
from benchmarks.measurement import Measurement, at_least, at_most
from benchmarks.sites import Site, read_sites
from lealife.pipeline.pool import PoolModel, embed_texts
from learning.recall import recall
from promotion.evaluation.arms import make_brain
from promotion.routing import read_routing
from training.agent.answerer import find_names
from training.agent.brain import Brain, Recalled
from training.agent.navigate import navigate
from training.agent.ranking import Support, Weights
from training.agent.reading.words import fold
from training.agent.task import SuccessCheck, Task
from training.agent.trajectory import AnswerState, Trajectory
from training.agent.web.http_browser import HttpBrowser
from training.models import Host

CALLS, COLD_CALLS = 3, 5
# Right pages of 27 that the agent visited before passages were indexed.
COLD_BEFORE = {"python": 4 / 27, "git": 11 / 27, "sqlite": 9 / 27}


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and what the agent did; `address` is where the manual was served, `recall_ms` what recall took."""

    question: Question
    trajectory: Trajectory
    address: str
    recall_ms: float = 0.0

    @property
    def visited(self) -> bool:
        """Whether a right page was visited."""
        pages = {step.final_url.removeprefix(self.address) for step in self.trajectory.steps if not step.error_code}
        return not pages.isdisjoint(self.question.pages)

    @property
    def is_right(self) -> bool:
        """Whether a quote from a right page holds an expected text."""
        said = [quote.text for quote in self.trajectory.quotes if self._is_right_page(quote.url)]
        return any(fold(text) in fold(each) for text in self.question.texts for each in said)

    @property
    def is_supported(self) -> bool:
        """Whether the answer is shown as one."""
        return self.trajectory.answer_state == AnswerState.SUPPORTED

    @property
    def total_ms(self) -> float:
        """How long the person waits, from recall to the end."""
        return self.recall_ms + self.trajectory.duration_ms

    @property
    def visits_ms(self) -> float:
        """What picking, fetching and reading took."""
        return float(sum(step.latency_ms for step in self.trajectory.steps))

    def _is_right_page(self, url: str) -> bool:
        return url.removeprefix(self.address) in self.question.pages


def measure_answers(*, names: Sequence[str], log: Path | None = None) -> list[Measurement]:
    """The questions of the named manuals, asked of the agent; in a database of its own.

    The weights and the threshold with which the questions of one are asked are fitted to the questions of the other
    named manuals; where one alone is named, of all others. All of them are read through. Then the same questions are
    asked of a site of which nothing is known.
    """
    found = []
    with read_sites(names if len(names) > 1 else SITES) as sites:
        for site in sites:
            if site.manual.name in names:
                found += measure_site(site, others=[each for each in sites if each is not site], log=log)
    return found


def measure_site(site: Site, *, others: Sequence[Site], log: Path | None) -> list[Measurement]:
    """The claims about one manual, with what is fitted to the others."""
    cases = [case for each in others for case in each.cases]
    weights = fit_weights(cases)
    support = fit_support(cases, weights)
    asked = [ask(question, site, weights=weights, support=support) for question in site.manual.questions]
    cold = [ask_cold(question, site, weights=weights, support=support) for question in site.manual.questions]
    if log is not None:
        log_answers(asked, site.manual, path=log)
    return [
        site.indexing,
        *judge(asked, site.manual),
        *judge_memory(asked, cold, site.manual),
    ]


def ask(question: Question, site: Site, *, weights: Weights, support: Support) -> Asked:
    """Asks the agent one question as the product does."""
    began = time.monotonic()
    items = recall(host_id=site.host.pk, prompt=question.prompt, weights=weights, embed=embed_texts)
    recall_ms = 1000 * (time.monotonic() - began)
    trajectory = _ask(question, site, items=items, calls=CALLS, weights=weights, support=support)
    return Asked(question, trajectory, site.address, recall_ms)


def ask_cold(question: Question, site: Site, *, weights: Weights, support: Support) -> Asked:
    """The same with nothing recalled, as on a site that was never read; with more calls."""
    trajectory = _ask(question, site, items=(), calls=COLD_CALLS, weights=weights, support=support)
    return Asked(question, trajectory, site.address)


def _ask(
    question: Question, site: Site, *, items: tuple[Recalled, ...], calls: int, weights: Weights, support: Support
) -> Trajectory:
    controller, task_tag = read_routing().require()
    brain = make_brain(controller=controller, task=task_tag, memories=items)
    brain = replace(brain, weights=weights, support=support)
    return navigate_question(question, site.host, brain=brain, calls=calls)


def navigate_question(question: Question, host: Host, *, brain: Brain, calls: int) -> Trajectory:
    """One question, asked of the agent with the real models."""
    task = Task(question.prompt, host.as_site(), SuccessCheck(), pages_target=1, max_calls=calls)
    with HttpBrowser(site=host.as_site()) as browser:
        return navigate(task=task, brain=brain, browser=browser, model=PoolModel(), embed=embed_texts)


def judge(asked: Sequence[Asked], manual: Manual) -> list[Measurement]:
    """The claims about the answers of one manual."""
    answerable = [each for each in asked if each.question.is_answerable]
    others = [each for each in asked if not each.question.is_answerable]
    supported = [each for each in asked if each.is_supported]
    right = [each for each in supported if each.is_right]
    refused = sum(not each.is_supported for each in others)
    seconds = sorted(each.total_ms / 1000 for each in asked)
    writing = median(each.trajectory.duration_ms - each.visits_ms for each in asked)
    steps = (
        f"medians: recall {median(each.recall_ms for each in asked):.0f} ms, visits "
        f"{median(each.visits_ms for each in asked):.0f} ms, quoting and writing {writing:.0f} ms"
    )
    name, setup = manual.name, f"{manual.name}: {len(answerable)} answerable questions, {len(others)} others"
    invented = [one for each in asked for one in find_invented(each)]
    return [
        at_least(
            f"{name}: a right page visited within {CALLS} calls", _share(each.visited for each in answerable), 0.74, "",
            setup,
        ),
        at_least(
            f"{name}: a quote from a right page holds an expected text", _share(each.is_right for each in answerable),
            0.55, "", setup,
        ),
        at_least(
            f"{name}: supported answers that are right", len(right) / max(1, len(supported)), 0.8, "",
            f"{len(supported)} supported; {setup}",
        ),
        at_least(
            f"{name}: answerable questions that are supported", _share(each.is_supported for each in answerable), 0.4,
            "", setup,
        ),
        at_least(f"{name}: other questions not answered", refused / max(1, len(others)), 0.8, "", setup),
        at_most(f"{name}: invented numbers and names", len(invented), 0, "", "; ".join(invented[:3]) or setup),
        at_most(f"{name}: an answer, median", median(seconds), 3, "s", steps),
        at_most(f"{name}: an answer, p95", seconds[int(len(seconds) * 0.95)], 8, "s", setup),
    ]  # fmt: skip


def judge_memory(asked: Sequence[Asked], cold: Sequence[Asked], manual: Manual) -> list[Measurement]:
    """What is worth having read the site: with nothing recalled, the same questions get more calls."""
    pairs = [(on, off) for on, off in zip(asked, cold, strict=True) if on.question.is_answerable]
    gains = [on.is_right - off.is_right for on, off in pairs]
    half_width = 1.96 * stdev(gains) / len(gains) ** 0.5
    visited = _share(off.visited for _, off in pairs)
    setup = f"{mean(gains):+.2f} ± {half_width:.2f}; {CALLS} calls with memory, {COLD_CALLS} without"
    return [
        at_least(
            f"{manual.name}: a right page visited on a cold site within {COLD_CALLS} calls", visited,
            COLD_BEFORE[manual.name], "", "the bound is what the agent did before passages were indexed",
        ),
        at_least(
            f"{manual.name}: right quotes with memory minus without, lower end", mean(gains) - half_width, 0.0, "",
            setup,
        ),
    ]  # fmt: skip


def log_answers(asked: Sequence[Asked], manual: Manual, *, path: Path) -> None:
    """Appends what was asked and answered, one line of JSON a question, for a person to read."""
    with path.open("a") as lines:
        for each in asked:
            trajectory = each.trajectory
            entry = {
                "site": manual.name,
                "prompt": each.question.prompt,
                "visited": each.visited,
                "right": each.is_right,
                "state": trajectory.answer_state,
                "score": trajectory.answer_score,
                "answer": trajectory.answer,
                "quoted": trajectory.is_quoted,
                "pages": [step.url.removeprefix(each.address) for step in trajectory.steps],
                "quotes": [[quote.url.removeprefix(each.address), quote.highlight] for quote in trajectory.quotes],
                "ms": trajectory.duration_ms,
            }
            lines.write(json.dumps(entry, ensure_ascii=False) + "\n")


def find_invented(asked: Asked) -> list[str]:
    """Numbers and names in an answer that stand in none of its quotes."""
    said = fold(" ".join(f"{quote.heading} {quote.text}" for quote in asked.trajectory.quotes))
    return [name for name in find_names(asked.trajectory.answer) if fold(name) not in said]


def _share(values: Iterable[bool]) -> float:
    found = list(values)
    return sum(found) / max(1, len(found))
