"""Curriculum tasks: made from what a page says first, withdrawn when many pages say it, retired with their page."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from urllib.parse import urlsplit

from django.db.models import QuerySet

from lealife.core.digest import digest_bytes, unit_interval
from learning.models import CurriculumTask, FrontierPage
from training.agent.reading.page import ParsedPage
from training.agent.reading.words import fold
from training.audit import record_audit
from training.models import TrainingSource
from training.models.sources import queue_rank

EVALUATION_SHARE, RESERVE_SHARE = 0.3, 0.15
TASKS_PER_PAGE = {
    CurriculumTask.Split.TRAIN: 1,
    CurriculumTask.Split.EVALUATION: 2,
    CurriculumTask.Split.RESERVE: 2,
}
PASSAGE_LEAST, PASSAGE_MOST = 40, 160
# What so many pages say besides the one that is asked for is the frame of the site, and no question of its own.
# One page that copies others is far from it.
COMMON_PAGES = 3
# One page that is read withdraws no more tasks than this, whatever it says.
WITHDRAWN_PER_PAGE = 2
# A page that says so many times as much as another, and most of what that says, is a collection.
COLLECTION_FACTOR = 3
ACTOR, ORIGIN = "curriculum", "learning"
GONE_REASON = "Its page is gone, or says something else now."


def split_of(url: str) -> str:
    """Train, evaluation or reserve, by a hash of the page: every task about one page is on one side.

    Of its path and query only, so that a site that moves to another port or host keeps its split.
    """
    parts = urlsplit(url)
    place = unit_interval("split", parts.path, parts.query)
    if place < EVALUATION_SHARE:
        return CurriculumTask.Split.EVALUATION
    return CurriculumTask.Split.RESERVE if place < EVALUATION_SHARE + RESERVE_SHARE else CurriculumTask.Split.TRAIN


def make_tasks(entry: FrontierPage, *, url: str, parsed: ParsedPage, now: datetime) -> int:
    """Tasks about passages that no page read earlier says, training ones queued; returns how many.

    Of two pages that say the same the later one is the copy: it gets no task of it, and the other keeps its own.
    """
    pages = FrontierPage.objects.filter(host=entry.host).exclude(pk=entry.pk)
    # Plain text may hold NUL, Postgres cannot.
    passages = list(dict.fromkeys(" ".join(text.replace("\x00", " ").split()) for text in parsed.passages))
    if pages.filter(content_digest=entry.content_digest, state=FrontierPage.State.READ).exists():
        # The same page under another address.
        return 0
    keys = [passage_key(passage) for passage in passages]
    repeated = _find_repeated(keys, pages=pages)
    # A copy says nothing of the frame of the site: what it repeats is not counted.
    is_copy = 2 * len(repeated) >= len(keys)
    entry.passage_keys = [key for key in keys if key not in repeated]
    entry.repeated_keys = [] if is_copy else sorted(repeated)
    entry.save(update_fields=["passage_keys", "repeated_keys"])
    _withdraw_common(entry, url=url, pages=pages)
    # The start page is where every run begins: nothing has to be found to reach it.
    if not entry.depth:
        return 0
    split = CurriculumTask.Split(split_of(url))
    there = CurriculumTask.objects.filter(
        host=entry.host, page_digest=digest_bytes(url.encode()), kind=CurriculumTask.Kind.PASSAGE
    )
    known = set(there.values_list("passage", flat=True))
    own = [text for text in passages if passage_key(text) not in repeated and text not in known]
    tasks = [
        CurriculumTask(
            host=entry.host,
            split=split,
            expected_url=url,
            page_digest=digest_bytes(url.encode()),
            passage=passage,
            prompt=f"Which page says “{passage}”?",
            check_spec={"expected_urls": [url]},
        )
        for passage in choose_passages(own, count=TASKS_PER_PAGE[split] - there.asked().count())
    ]
    CurriculumTask.objects.bulk_create(tasks)
    queue_training(tasks, queued_from="curriculum", now=now)
    return len(tasks)


def _find_repeated(keys: list[int], *, pages: QuerySet[FrontierPage]) -> set[int]:
    """The passages that a page read earlier said first.

    A page that says far more and holds most of this one is a collection (a manual in one page, a copy of the site):
    the words are this page's own all the same.
    """
    wanted, repeated = set(keys), set[int]()
    for first_keys in pages.filter(passage_keys__overlap=keys).values_list("passage_keys", flat=True):
        shared = wanted.intersection(first_keys)
        if len(first_keys) < COLLECTION_FACTOR * len(wanted) or 2 * len(shared) < len(wanted):
            repeated |= shared
    return repeated


def passage_key(passage: str) -> int:
    """A signed 64-bit number that stands for a passage, case aside."""
    return int.from_bytes(hashlib.sha256(passage.casefold().encode()).digest()[:8], signed=True)


def _withdraw_common(entry: FrontierPage, *, url: str, pages: QuerySet[FrontierPage]) -> None:
    """Withdraws tasks that ask for what many pages say by now, at most `WITHDRAWN_PER_PAGE` of them.

    A run in flight goes to its end; its cancelled source is not tried again.
    """
    wanted = set(entry.repeated_keys)
    repeating = pages.filter(repeated_keys__overlap=entry.repeated_keys).values_list("repeated_keys", flat=True)
    spread = Counter(wanted) + Counter(key for keys in repeating for key in wanted.intersection(keys))
    common = {key for key, count in spread.items() if count >= COMMON_PAGES}
    if not common:
        return
    # A case is about the page that a person named, whoever repeats it.
    asked = CurriculumTask.objects.asked().filter(host=entry.host, kind=CurriculumTask.Kind.PASSAGE)
    asked = asked.exclude(expected_url=url)
    # Compared by key, as pages are: case aside.
    withdrawn = [task for task in asked if passage_key(task.passage) in common][:WITHDRAWN_PER_PAGE]
    for task in withdrawn:
        end_task(task, reason="Several other pages say the same.")
    CurriculumTask.objects.filter(pk__in=[task.pk for task in withdrawn]).update(ambiguous=True)


def retire_tasks(*, host_id: int, url: str, text: str, now: datetime) -> int:
    """Asks no more for passages that do not stand in the text of their page; returns how many tasks that were.

    An empty text: the page is gone.
    """
    of_page = CurriculumTask.objects.asked().filter(host_id=host_id, expected_url=url)
    gone = [task for task in of_page if not _stands(task, text)]
    for task in gone:
        end_task(task, reason=GONE_REASON)
    return CurriculumTask.objects.filter(pk__in=[task.pk for task in gone]).update(gone_at=now)


def restore_tasks(*, host_id: int, url: str, text: str, now: datetime) -> int:
    """Asks again for passages that stand on their page again; returns how many tasks that were."""
    of_page = CurriculumTask.objects.filter(host_id=host_id, expected_url=url)
    back = [task for task in of_page.filter(replaced_at=None).exclude(gone_at=None) if _stands(task, text)]
    ids = [task.pk for task in back]
    TrainingSource.objects.filter(
        pk__in=[task.source_id for task in back], status=TrainingSource.Status.CANCELLED, status_reason=GONE_REASON
    ).update(status=TrainingSource.Status.PENDING, status_reason="Its page is back.", failed_attempts=0, not_before=now)
    return CurriculumTask.objects.filter(pk__in=ids).update(gone_at=None)


def _stands(task: CurriculumTask, text: str) -> bool:
    if task.kind == CurriculumTask.Kind.PERSON:
        # A person may spell the words in another way, or name the page alone.
        return bool(text) and fold(task.passage) in fold(text)
    return task.passage in text


def end_task(task: CurriculumTask, *, reason: str) -> None:
    """Cancels the task's training source within the caller's transaction, and records the end of a held-out task."""
    # Candidates and applies are measured by held-out tasks: that one is no longer asked must be seen.
    if task.split != CurriculumTask.Split.TRAIN:
        record_audit(
            actor=ACTOR,
            origin=ORIGIN,
            action="withdraw held-out task",
            subject=f"task {task.pk}",
            details={"reason": reason, "page": task.expected_url},
        )
    TrainingSource.objects.filter(pk=task.source_id, status__in=["pending", "claimed", "disabled", "done"]).update(
        status=TrainingSource.Status.CANCELLED, status_reason=reason
    )


def choose_passages(passages: list[str], *, count: int) -> list[str]:
    """Those that read like statements: 40–160 characters, words more than signs, spread over the page."""
    good = [
        passage for passage in passages if PASSAGE_LEAST <= len(passage) <= PASSAGE_MOST and _reads_like_prose(passage)
    ]
    if len(good) <= count:
        return good
    stride = len(good) / max(count, 1)
    return [good[int(index * stride)] for index in range(count)]


def _reads_like_prose(passage: str) -> bool:
    letters = sum(character.isalpha() or character == " " for character in passage)
    return letters / len(passage) > 0.85 and len(passage.split()) >= 6 and not set('“”"') & set(passage)


def queue_training(tasks: Iterable[CurriculumTask], *, queued_from: str, now: datetime, priority: int = 0) -> None:
    """Queues those of the tasks that are for training, within the caller's transaction."""
    for task in tasks:
        if task.split != CurriculumTask.Split.TRAIN:
            continue
        task.source = TrainingSource.objects.create(
            kind=TrainingSource.Kind.CURRICULUM,
            title=task.prompt[:200],
            prompt=task.prompt,
            host=task.host,
            check_spec=task.check_spec,
            queued_from=queued_from,
            priority=priority,
            queue_rank=queue_rank(queued_at=now, priority=priority),
        )
        task.save(update_fields=["source"])
