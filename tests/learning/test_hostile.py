"""A hostile guestbook and a copying page: what they may write, and what it is worth to them.

A real site on loopback, the agent itself, and the ingest of what it did; only the model is scripted: it takes the
first entry of each shortlist, as a small one does.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from learning.curriculum.seeding import crawl_host, find_unread_host
from learning.ingest import ingest_outcome
from learning.models import CurriculumTask, MemoryItem
from learning.recall import recall
from tests.factories import begin_claimed, later, make_host, make_html, make_source
from training.agent.brain import Brain
from training.agent.model import Reply
from training.agent.navigate import navigate
from training.agent.task import SuccessCheck, Task
from training.agent.trajectory import Trajectory
from training.agent.web.http_browser import HttpBrowser
from training.models import Host, TrainingOutcome, TrainingSource
from training.results import Result
from training.runs import finish_run, record_brain, record_step

RUNS = [10, pytest.param(60, marks=pytest.mark.soak)]
# Name of the page: the sentence that answers, and the question.
FACTS = {
    "widgets": ("Purple widgets are kept in the warehouse for ninety days.", "How long are purple widgets kept?"),
    "returns": ("A parcel may be returned within three weeks of its arrival.", "When may a parcel be returned?"),
    "opening": ("The museum opens at nine and closes at five except on Mondays.", "When does the museum open?"),
    "invoices": ("Invoices are paid by bank transfer within thirty days.", "How are invoices paid?"),
    "bicycles": ("Bicycles are locked to the green rack behind the library.", "Where are bicycles locked?"),
    "passwords": (
        "A password needs at least fourteen characters and one digit.",
        "How many characters has a password?",
    ),
    "backups": ("Backups of the database run each night at two.", "When do backups of the database run?"),
    "garden": ("Roses in the garden are pruned in late winter.", "When are roses in the garden pruned?"),
    "tickets": ("Tickets for the ferry are sold at the harbour office.", "Where are tickets for the ferry sold?"),
    "kitchen": ("The oven in the kitchen is heated to two hundred degrees.", "How hot is the oven in the kitchen?"),
}
FILLER = "This page of the handbook describes {0} in a few words, and was written by those who look after {0}."


class FirstPick:
    """Takes the first entry, and writes nothing."""

    def chat(self, *, schema: object = None, **_: object) -> Reply:
        return Reply('{"pick": 1}' if schema else "")


@contextmanager
def serve(pages: dict[str, bytes]) -> Iterator[str]:
    """The base address of a site of these pages; what is added to them is served too."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = pages.get(self.path[1:])
            self.send_response(200 if body is not None else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


class Trial:
    """A host that learns from runs on a site, and what it answers."""

    def __init__(self, host: Host) -> None:
        self.host, self.hour = host, 0

    def run(self, prompt: str, *, check: dict[str, object] | None = None, start: str = "") -> Trajectory:
        """One run as the product has it, with what is recalled for the prompt; it begins at the page `start`."""
        brain = self.remember(prompt)
        spec = SuccessCheck.from_json(check or {})
        site = replace(self.host.as_site(), base_url=f"{self.host.base_url}{start}")
        task = Task(prompt, site, spec, pages_target=1 if start else 2, max_calls=3, write_answer=False)
        with HttpBrowser(site=site) as browser:
            return navigate(task=task, brain=brain, browser=browser, model=FirstPick())

    def remember(self, prompt: str) -> Brain:
        """What a run of the product would be given."""
        return Brain("controller", "c", "task", "t", memories=recall(host_id=self.host.pk, prompt=prompt))

    def train(self, prompt: str, *, check: dict[str, object] | None = None, start: str = "") -> Trajectory:
        """A training run, and its ingest."""
        self.hour += 1
        now = later(hours=self.hour)
        TrainingSource.objects.filter(status="pending").update(status="disabled")
        make_source(self.host, prompt=prompt, check_spec=check or {}, queued_at=now)
        run = begin_claimed(now=now)
        brain = self.remember(prompt)
        record_brain(run_id=run.pk, fence=run.fence, brain=brain, withheld=[])
        trajectory = self.run(prompt, check=check, start=start)
        for step in trajectory.steps:
            record_step(run_id=run.pk, fence=run.fence, step=step, now=now)
        finish_run(
            run_id=run.pk, fence=run.fence, result=Result.from_trajectory(trajectory), served_controller="c",
            served_task="t", now=now,
        )  # fmt: skip
        ingest_outcome(outcome_id=TrainingOutcome.objects.get(run=run).pk, now=now)
        return trajectory

    def crawl(self) -> None:
        """Reads all that the curriculum knows of the site."""
        assert find_unread_host(now=later(days=9)) == self.host
        with HttpBrowser(site=self.host.as_site()) as browser:
            while crawl_host(host=self.host, browser=browser, now=later(days=9)):
                pass

    def count_honest(self) -> int:
        """Questions whose answer comes from the page that says it."""
        return sum(self.answers_honestly(name) for name in FACTS)

    def answers_honestly(self, name: str) -> bool:
        said, question = FACTS[name]
        quotes = self.run(question).quotes
        return bool(quotes) and [quotes[0].url, quotes[0].answer] == [f"{self.host.base_url}{name}", said]


def make_site() -> dict[str, bytes]:
    """Ten pages of one fact each; a guestbook and a blog, still empty, that anybody may write to."""
    pages = {name: make_html(name.title(), FILLER.format(name), said) for name, (said, _) in FACTS.items()}
    names = [*FACTS, "guestbook", "blog"]
    anchors = "".join(f'<li><a href="/{name}">{name}</a></li>' for name in names)
    pages[""] = f"<title>Handbook</title><p>The handbook of a small town.</p><ul>{anchors}</ul>".encode()
    pages["guestbook"] = make_html("Guestbook", "Nobody has written anything into this guestbook so far.")
    pages["blog"] = make_html("Blog", "Nobody has written anything into this blog so far, be the first.")
    return pages


def stuff() -> bytes:
    """A guestbook with the words of all ten questions, many times over, and a wrong answer to each."""
    entries = []
    for _, question in FACTS.values():
        words = question.rstrip("?")
        entries += [f"{words} {words} {words}: call our hotline for the answer.", *[question] * 5]
    return make_html("Guestbook", *entries * 3)


def copy() -> bytes:
    """A blog that says what all the others say."""
    return make_html("Blog", *[line for name, (said, _) in FACTS.items() for line in (FILLER.format(name), said)])


@pytest.fixture
def site(transactional_db) -> Iterator[tuple[Trial, dict[str, bytes]]]:
    pages = make_site()
    with serve(pages) as base:
        trial = Trial(make_host(base_url=base, seed_curriculum=True))
        trial.crawl()
        for said, question in FACTS.values():
            trial.train(question, check={"expected_text": said})
            trial.train(question, check={"expected_text": said})
        yield trial, pages


def read_tasks() -> set[tuple[int, bool, object, str]]:
    """The tasks of the honest pages, and what has become of them."""
    tasks = CurriculumTask.objects.exclude(expected_url__endswith="guestbook").exclude(expected_url__endswith="blog")
    return set(tasks.values_list("pk", "ambiguous", "gone_at", "prompt"))


@pytest.mark.parametrize("runs", RUNS)
@pytest.mark.parametrize(("name", "write"), [("guestbook", stuff), ("blog", copy)])
def test_a_hostile_page_takes_over_neither_the_answers_nor_the_tasks(site, name, write, runs):
    trial, pages = site
    before, tasks = trial.count_honest(), read_tasks()
    assert before >= 9
    assert len(tasks) >= 10
    pages[name] = write()
    questions = [question for _, question in FACTS.values()]
    for number in range(runs):
        trial.train(questions[number % 10], start=name)
    trial.crawl()
    assert MemoryItem.objects.get(kind="page", url__endswith=name).sightings >= runs
    assert not MemoryItem.objects.filter(kind="route", url__endswith=name, status="trusted").exists()
    assert not MemoryItem.objects.filter(url__endswith=name, helped_count__gt=0).exists()
    assert trial.count_honest() >= before - 1
    assert read_tasks() == tasks
