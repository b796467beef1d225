"""Right answers: natural questions about a manual, asked of the agent on the real models, and what it answered."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median, stdev

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from benchmarks.database import open_database
from benchmarks.fitting import Case, fit_support, fit_weights, judge_ranking, read_cases
from benchmarks.manuals import SITES, Manual, Question, read_manual, serve
from benchmarks.measurement import Measurement
from lealife.core.digest import digest_bytes
from lealife.core.places import data_dir
from lealife.embedded.ollama_process import ensure_ollama
from lealife.pipeline.pool import PoolModel, embed_texts, get_pool
from learning.curriculum.seeding import crawl_host, find_unread_host
from learning.index.indexing import count_terms, forget_pages, index_page
from learning.index.models import IndexedPage
from learning.index.vectors import lack_vectors, make_vectors
from learning.models import FrontierPage
from learning.recall import recall
from promotion.evaluation.arms import make_brain
from promotion.routing import read_routing
from promotion.tags import ensure_base_tags
from training.agent.answerer import find_names
from training.agent.brain import Recalled
from training.agent.navigate import navigate
from training.agent.ranking import Support, Weights
from training.agent.reading.page import parse_kept
from training.agent.reading.words import fold
from training.agent.task import SuccessCheck, Task
from training.agent.trajectory import AnswerState, Trajectory
from training.agent.web.http_browser import HttpBrowser
from training.models import Host

CALLS, COLD_CALLS = 3, 5
COLD_BEFORE = {"python": 0.0, "git": 0.0, "sqlite": 0.0}


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


@dataclass(frozen=True, slots=True)
class Site:
    """A manual that is served and was read through, and what its index finds for each of its questions."""

    manual: Manual
    host: Host
    address: str
    cases: tuple[Case, ...]


def measure_answers(*, names: Sequence[str], log: Path | None = None) -> list[Measurement]:
    """The questions of the named manuals, asked of the agent; in a database of its own.

    Every manual is read through. The weights and the threshold with which the questions of one are asked are fitted to
    the questions of the others. Then the same questions are asked of a site of which nothing is known.
    """
    ensure_ollama()
    found = []
    with open_database(), ExitStack() as stack:
        ensure_base_tags(server=get_pool(), base=settings.LEALIFE_BASE_MODEL)
        sites = []
        for name in SITES:
            manual = read_manual(name)
            address = stack.enter_context(serve(manual.root))
            host = add_host(manual, address)
            reading = measure_reading(host, manual)
            found += reading if name in names else []
            sites.append(Site(manual, host, address, tuple(read_cases(host, manual, address=address))))
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
    standing = judge_ranking(site.cases, weights)
    answerable = sum(case.question.is_answerable for case in site.cases)
    name = site.manual.name
    fitted = f"first / in 3 / in 5, quoted: {standing}; fitted to {' and '.join(each.manual.name for each in others)}"
    return [
        _at_least(
            f"{name}: right pages among three, by ranking alone", standing.in_three / answerable, 0.74, "", fitted
        ),
        *judge(asked, site.manual),
        *judge_memory(asked, cold, site.manual),
    ]


def add_host(manual: Manual, address: str) -> Host:
    """The manual as a host of the product."""
    return Host.objects.create(
        name=manual.name,
        base_url=f"{address}{manual.start}",
        may_be_private=True,
        politeness_delay_ms=0,
        seed_curriculum=True,
    )


def measure_reading(host: Host, manual: Manual) -> list[Measurement]:
    """Reads the manual through, indexes it again from the kept pages, and makes its vectors: how many a second."""
    with HttpBrowser(site=host.as_site()) as browser:
        while find_unread_host(now=timezone.now()) == host:
            crawl_host(host=host, browser=browser, now=timezone.now(), pages=50)
    began = time.monotonic()
    pages = index_again(host)
    passages = count_terms(host.pk)
    indexed_s = time.monotonic() - began
    began = time.monotonic()
    embed = remember_vectors(data_dir() / f"answers-{manual.name}.json")
    while lack_vectors():
        make_vectors(embed=embed)
    vector_s = time.monotonic() - began
    setup = f"{manual.name}: {pages} pages, {passages:,} passages"
    return [
        _at_least(f"{manual.name}: pages indexed a second", pages / indexed_s, 50, "/s", setup),
        _at_least(f"{manual.name}: vectors a second", passages / vector_s, 15, "/s", f"{setup}; remembered ones too"),
    ]


def index_again(host: Host) -> int:
    """Empties the index of a host and makes it from the kept pages; returns how many pages there are."""
    forget_pages(IndexedPage.objects.filter(host=host))
    entries = FrontierPage.objects.filter(host=host).exclude(snapshot=None).select_related("snapshot").order_by("pk")
    for entry in entries:
        kept = entry.snapshot
        if kept is None:
            continue
        page = parse_kept(body=kept.body, media_type=kept.media_type, url=entry.url, site=host.as_site())
        if page is not None:
            with transaction.atomic():
                index_page(host_id=host.pk, url=entry.url, page=page, snapshot_digest=kept.digest, now=timezone.now())
    return len(entries)


def remember_vectors(path: Path) -> Callable[[Sequence[str]], list[list[float]]]:
    """Makes vectors on the model servers; those of texts that an earlier measurement saw are read from a file."""
    known: dict[str, list[float]] = json.loads(path.read_text()) if path.exists() else {}

    def embed(texts: Sequence[str]) -> list[list[float]]:
        keys = [digest_bytes(text.encode()) for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if new:
            vectors = embed_texts(list(new.values()))
            known.update(zip(new, ([round(value, 4) for value in vector] for vector in vectors), strict=True))
        if new and len(known) % 50 < len(new):
            path.write_text(json.dumps(known))
        return [known[key] for key in keys]

    return embed


def ask(question: Question, site: Site, *, weights: Weights, support: Support) -> Asked:
    """Asks the agent one question as the product does."""
    began = time.monotonic()
    items = recall(host_id=site.host.pk, prompt=question.prompt, weights=weights, embed=embed_texts)
    recall_ms = 1000 * (time.monotonic() - began)
    trajectory = _navigate(question, site, items=items, calls=CALLS, weights=weights, support=support)
    return Asked(question, trajectory, site.address, recall_ms)


def ask_cold(question: Question, site: Site, *, weights: Weights, support: Support) -> Asked:
    """The same with nothing recalled, as on a site that was never read; with more calls."""
    trajectory = _navigate(question, site, items=(), calls=COLD_CALLS, weights=weights, support=support)
    return Asked(question, trajectory, site.address)


def _navigate(
    question: Question, site: Site, *, items: tuple[Recalled, ...], calls: int, weights: Weights, support: Support
) -> Trajectory:
    controller, task_tag = read_routing().require()
    brain = make_brain(controller=controller, task=task_tag, memories=items)
    brain = replace(brain, weights=weights, support=support)
    task = Task(question.prompt, site.host.as_site(), SuccessCheck(), pages_target=1, max_calls=calls)
    with HttpBrowser(site=site.host.as_site()) as browser:
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
        _at_least(
            f"{name}: a right page visited within {CALLS} calls", _share(each.visited for each in answerable), 0.74, "",
            setup,
        ),
        _at_least(
            f"{name}: a quote from a right page holds an expected text", _share(each.is_right for each in answerable),
            0.55, "", setup,
        ),
        _at_least(
            f"{name}: supported answers that are right", len(right) / max(1, len(supported)), 0.8, "",
            f"{len(supported)} supported; {setup}",
        ),
        _at_least(
            f"{name}: answerable questions that are supported", _share(each.is_supported for each in answerable), 0.4,
            "", setup,
        ),
        _at_least(f"{name}: other questions not answered", refused / max(1, len(others)), 0.8, "", setup),
        _at_most(f"{name}: invented numbers and names", len(invented), 0, "", "; ".join(invented[:3]) or setup),
        _at_most(f"{name}: an answer, median", median(seconds), 3, "s", steps),
        _at_most(f"{name}: an answer, p95", seconds[int(len(seconds) * 0.95)], 8, "s", setup),
    ]  # fmt: skip


def judge_memory(asked: Sequence[Asked], cold: Sequence[Asked], manual: Manual) -> list[Measurement]:
    """What is worth having read the site: with nothing recalled, the same questions get more calls."""
    pairs = [(on, off) for on, off in zip(asked, cold, strict=True) if on.question.is_answerable]
    gains = [on.is_right - off.is_right for on, off in pairs]
    half_width = 1.96 * stdev(gains) / len(gains) ** 0.5
    visited = _share(off.visited for _, off in pairs)
    setup = f"{mean(gains):+.2f} ± {half_width:.2f}; {CALLS} calls with memory, {COLD_CALLS} without"
    return [
        _at_least(
            f"{manual.name}: a right page visited on a cold site within {COLD_CALLS} calls", visited,
            COLD_BEFORE[manual.name], "", "the bound is what the agent did before passages were indexed",
        ),
        _at_least(
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


def _at_least(claim: str, figure: float, bound: float, unit: str, setup: str) -> Measurement:
    return Measurement(claim, round(figure, 3), bound, unit, figure >= bound, setup)


def _at_most(claim: str, figure: float, bound: float, unit: str, setup: str) -> Measurement:
    return Measurement(claim, round(figure, 3), bound, unit, figure <= bound, setup)
