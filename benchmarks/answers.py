"""Right answers: natural questions about a manual, asked of the agent on the real models, and what it answered."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from benchmarks.database import open_database
from benchmarks.manuals import Manual, Question, read_manual, serve
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
from training.agent.navigate import navigate
from training.agent.reading.page import parse_kept
from training.agent.reading.words import fold
from training.agent.task import SuccessCheck, Task
from training.agent.trajectory import AnswerState, Trajectory
from training.agent.web.http_browser import HttpBrowser
from training.models import Host

CALLS, COLD_CALLS = 3, 5


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and what the agent did; `address` is where the manual was served."""

    question: Question
    trajectory: Trajectory
    address: str

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

    def _is_right_page(self, url: str) -> bool:
        return url.removeprefix(self.address) in self.question.pages


def measure_answers(*, names: Sequence[str], log: Path | None = None) -> list[Measurement]:
    """Every manual read through, then its questions asked, each by itself; in a database apart."""
    ensure_ollama()
    found = []
    with open_database():
        ensure_base_tags(server=get_pool(), base=settings.LEALIFE_BASE_MODEL)
        for name in names:
            manual = read_manual(name)
            with serve(manual.root) as address:
                host = add_host(manual, address)
                found += measure_reading(host, manual)
                asked = [ask(question, host=host, address=address) for question in manual.questions]
                if log is not None:
                    log_answers(asked, manual, path=log)
                found += judge(asked, manual)
    return found


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


def ask(question: Question, *, host: Host, address: str, calls: int = CALLS, cold: bool = False) -> Asked:
    """Asks the agent one question as the product does; `cold`: with nothing recalled."""
    controller, task_tag = read_routing().require()
    items = () if cold else recall(host_id=host.pk, prompt=question.prompt, embed=embed_texts)
    brain = make_brain(controller=controller, task=task_tag, memories=items)
    task = Task(question.prompt, host.as_site(), SuccessCheck(), pages_target=1, max_calls=calls)
    with HttpBrowser(site=host.as_site()) as browser:
        trajectory = navigate(task=task, brain=brain, browser=browser, model=PoolModel(), embed=embed_texts)
    return Asked(question, trajectory, address)


def judge(asked: Sequence[Asked], manual: Manual) -> list[Measurement]:
    """The claims about the answers of one manual."""
    answerable = [each for each in asked if each.question.is_answerable]
    others = [each for each in asked if not each.question.is_answerable]
    supported = [each for each in asked if each.is_supported]
    right = [each for each in supported if each.is_right]
    refused = sum(not each.is_supported for each in others)
    seconds = sorted(each.trajectory.duration_ms / 1000 for each in asked)
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
        _at_most(f"{name}: an answer, median", median(seconds), 3, "s", setup),
        _at_most(f"{name}: an answer, p95", seconds[int(len(seconds) * 0.95)], 8, "s", setup),
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
