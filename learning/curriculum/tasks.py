"""Curriculum tasks: made from what one page answers, withdrawn when others do too, retired with their page."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from datetime import datetime
from functools import cache
from urllib.parse import urlsplit

from django.db.models import QuerySet

from lealife.core.digest import digest_bytes, unit_interval
from learning.curriculum.choosing import TASKS_PER_PAGE, choose_proposals, read_says_room, stands_alone
from learning.curriculum.claims import Claim, is_answered_by, list_places
from learning.curriculum.kinds.proposals import PageText, Proposed
from learning.models import CurriculumTask, FrontierPage
from training.agent.reading.page import ParsedPage
from training.agent.reading.words import fold
from training.agent.task import SuccessCheck
from training.audit import record_audit
from training.models import TrainingSource
from training.models.sources import queue_rank

EVALUATION_SHARE, RESERVE_SHARE = 0.3, 0.15
# One page that is read withdraws no more tasks than this, whatever it says: tasks for words that it says too, and
# questions that it answers too. Pages of a site name the same things more often than they say the same.
WITHDRAWN_PER_PAGE, ANSWERED_PER_PAGE = 10, 50
# A page that says so many times as much as another, and so large a share of what that says, is a collection.
COLLECTION_FACTOR, COLLECTION_SHARE = 3, 0.9
# What says fewer things stands on any page that has its words.
COLLECTED_LEAST = 3
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


def make_tasks(entry: FrontierPage, *, url: str, parsed: ParsedPage, now: datetime) -> None:
    """Makes tasks of the questions that no page read earlier answers, and queues those for training.

    Of two pages that say the same the later one is the copy: it gets no task of it, and the other keeps its own. A page
    that says hardly anything of its own withdraws no task of others. The page is in the index already.
    """
    pages = FrontierPage.objects.filter(host=entry.host).exclude(pk=entry.pk)
    if pages.filter(content_digest=entry.content_digest, state=FrontierPage.State.READ).exists():
        # The same page under another address.
        return
    keys = [passage_key(passage) for passage in parsed.passages]
    repeated = _find_repeated(keys, pages=pages)
    entry.passage_keys = [key for key in keys if key not in repeated]
    entry.repeated_keys = sorted(repeated)
    entry.save(update_fields=["passage_keys", "repeated_keys"])
    if len(repeated) < COLLECTION_SHARE * len(keys) or not repeated:
        _withdraw_common(entry, url=url, keys=keys)
        _withdraw_answered(entry, url=url, parsed=parsed, keys=keys)
    # The start page is where every run begins: nothing has to be found to reach it.
    if not entry.depth:
        return
    digest, split = digest_bytes(url.encode()), CurriculumTask.Split(split_of(url))
    there = CurriculumTask.objects.seeded().filter(host=entry.host, page_digest=digest)
    known = set(there.values_list("kind", "passage"))

    def is_own(kind: str, proposed: Proposed) -> bool:
        if (kind, proposed.passage) in known:
            return False
        if kind == CurriculumTask.Kind.SAYS and passage_key(proposed.passage) in repeated:
            return False
        return stands_alone(
            proposed,
            host_id=entry.host_id,
            url=url,
            is_copied_by=lambda other: _is_collection(_read_keys(other, pages=pages), of=keys),
        )

    chosen = choose_proposals(
        PageText(url, parsed),
        split=split,
        count=TASKS_PER_PAGE[split] - there.asked().count(),
        may_say=read_says_room(host_id=entry.host_id),
        is_own=is_own,
    )
    tasks = [
        CurriculumTask(
            host=entry.host,
            kind=kind,
            split=split,
            expected_url=url,
            page_digest=digest,
            passage=proposed.passage,
            claim=proposed.claim.to_json(),
            prompt=proposed.prompt,
            check_spec=SuccessCheck(expected_urls=(url,), expected_text=proposed.expected_text).to_json(),
        )
        for kind, proposed in chosen
    ]
    CurriculumTask.objects.bulk_create(tasks)
    queue_training(tasks, queued_from="curriculum", now=now)


def _find_repeated(keys: list[int], *, pages: QuerySet[FrontierPage]) -> set[int]:
    """The passages that a page read earlier said first.

    A page that says far more and holds nearly all of this one is a collection (a manual in one page, a copy of the
    site): the words are this page's own all the same.
    """
    wanted, repeated = set(keys), set[int]()
    for first_keys in pages.filter(passage_keys__overlap=keys).values_list("passage_keys", flat=True):
        if not _is_collection(first_keys, of=keys):
            repeated |= wanted.intersection(first_keys)
    return repeated


def _is_collection(keys: Collection[int], *, of: Collection[int]) -> bool:
    """Whether a page says far more than another one, and nearly all of what that says."""
    wanted = set(of)
    shared = wanted.intersection(keys)
    is_longer = len(wanted) >= COLLECTED_LEAST and len(keys) >= COLLECTION_FACTOR * len(wanted)
    return is_longer and len(shared) >= COLLECTION_SHARE * len(wanted)


def _copies(keys: Collection[int], *, of: Collection[int]) -> bool:
    """Whether a page says what another one says and hardly anything else, or is a collection that holds it."""
    wanted, said = set(of), set(keys)
    is_twin = len(wanted & said) >= COLLECTION_SHARE * max(len(wanted), len(said), 1)
    return is_twin or _is_collection(keys, of=of)


def _read_keys(url: str, *, pages: QuerySet[FrontierPage]) -> list[int]:
    """All that a page says."""
    found = pages.filter(url_digest=digest_bytes(url.encode())).values_list("passage_keys", "repeated_keys").first()
    return [*found[0], *found[1]] if found else []


def passage_key(passage: str) -> int:
    """A signed 64-bit number that stands for a passage, case aside."""
    return int.from_bytes(hashlib.sha256(passage.casefold().encode()).digest()[:8], signed=True)


def _withdraw_common(entry: FrontierPage, *, url: str, keys: Collection[int]) -> None:
    """Withdraws tasks that ask for words that this page says too, at most `WITHDRAWN_PER_PAGE` of them.

    Unless it is a copy of their own page, or a collection, which says what that says and far more.

    A run in flight goes to its end; its cancelled source is not tried again.
    """
    common = set(entry.repeated_keys)
    if not common:
        return
    # A case is about the page that a person named, whoever repeats it.
    asked = CurriculumTask.objects.asked().filter(host=entry.host, kind=CurriculumTask.Kind.SAYS)
    asked = asked.exclude(expected_url=url)
    # Compared by key, as pages are: case aside.
    said = [(task.pk, task.expected_url) for task in asked if passage_key(task.passage) in common]
    pages = FrontierPage.objects.filter(host=entry.host)
    withdrawn = [pk for pk, other in said if not _copies(keys, of=_read_keys(other, pages=pages))]
    tasks = CurriculumTask.objects.filter(pk__in=withdrawn[:WITHDRAWN_PER_PAGE])
    _withdraw(tasks, reason="Another page says the same.")


def _withdraw_answered(entry: FrontierPage, *, url: str, parsed: ParsedPage, keys: Collection[int]) -> None:
    """Withdraws questions that this page answers too, at most `ANSWERED_PER_PAGE` of them: they have two right pages.

    Unless it is a copy or a collection.
    """
    places = list_places(parsed)
    asked = CurriculumTask.objects.asked().seeded().filter(host=entry.host).exclude(expected_url=url)
    pages = FrontierPage.objects.filter(host=entry.host)
    copies = cache(lambda other: _copies(keys, of=_read_keys(other, pages=pages)))
    answered: list[int] = []
    said = fold(f"{parsed.title} {parsed.text}")
    for pk, other, claim in asked.order_by("pk").values_list("pk", "expected_url", "claim"):
        if is_answered_by(Claim.from_json(claim), places, said=said) and not copies(other):
            answered.append(pk)
            if len(answered) == ANSWERED_PER_PAGE:
                break
    _withdraw(CurriculumTask.objects.filter(pk__in=answered), reason="Another page answers it too.")


def _withdraw(tasks: QuerySet[CurriculumTask], *, reason: str) -> None:
    for task in tasks:
        end_task(task, reason=reason)
    tasks.update(ambiguous=True)


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
