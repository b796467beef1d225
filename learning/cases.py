"""Cases: questions that people checked, with what is right. They are a host's own question set."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from lealife.core.actors import Actor, requires
from lealife.core.announce import announce
from lealife.core.digest import digest_bytes
from lealife.core.errors import Conflict, InvalidInput
from learning.corrections import Place, read_quoted
from learning.curriculum.models import CurriculumTask
from learning.curriculum.tasks import end_task, queue_training, split_of
from learning.index.models import IndexedPage
from learning.index.search import search_passages
from learning.memory import lock_memory
from learning.models import FrontierPage
from training.agent.ranking import FIRST_WEIGHTS
from training.agent.reading.page import ParsedPage, parse_kept
from training.agent.reading.words import fold, read_question
from training.agent.task import TEXT_MAX, SuccessCheck
from training.agent.verifier import is_telling
from training.agent.web.address import canonical_url
from training.audit import record_audit
from training.models import Host, OperatorVerdict, PageSnapshot, Run, Step, TrainingSource
from training.tasks import check_page, check_prompt, clean_text

FROM_VERDICT, FROM_IMPORT = "verdict", "import"
# A case comes before the tasks that the curriculum made of pages in the five hours before it.
PRIORITY = 20
REPLACED_REASON = "A later verdict took its place."
# Where words are looked for without an address: passages of the index, and pages of them.
SEARCHED, LOOKED_AT = 30, 10
# Two pages with the same words are enough to know that the words name none.
TWO = 2


def check_right_answer(*, run: Run, right: bool, url: str, text: str) -> Place | None:
    """What a person says would have been right, checked against the pages that were read; None when nothing is said.

    Words alone name their page when only one page has them. Raises InvalidInput with the field that is wrong.
    """
    words = " ".join(clean_text(text).split())
    if right and (url.strip() or words):
        field = "right_url" if url.strip() else "right_text"
        raise InvalidInput(
            "A right page or text belongs to a “no”. A “yes” says that the quoted page is right.", field=field
        )
    _check_length(words, field="right_text")
    page = check_page(url, host=run.host, field="right_url")
    quoted = read_quoted(run.quotes)
    if not words and quoted is not None and page == quoted.url:
        raise InvalidInput("This is the page that was quoted. Say which of its words are right.", field="right_text")
    if not words:
        return Place(page) if page else None
    if not page:
        return Place(_locate(words, run=run), words)
    _check_words(words, page=page, host=run.host, run=run, field="right_text")
    return Place(page, words)


def _check_length(words: str, *, field: str) -> None:
    if len(words) > TEXT_MAX:
        raise InvalidInput(f"The words may have at most {TEXT_MAX:,} characters, not {len(words):,}.", field=field)


def _check_words(words: str, *, page: str, host: Host, run: Run | None, field: str) -> None:
    known = _read_known(page, host=host, run=run)
    if known is not None and fold(words) not in fold(known.text):
        raise InvalidInput(
            f"This text does not stand on {page} as it was last read. Copy it from the page, or leave it empty.",
            field=field,
        )


def _locate(words: str, *, run: Run) -> str:
    """The only page that has the words. Raises InvalidInput when none or more than one has."""
    wanted, question = fold(words), read_question(words)
    found = search_passages(host_id=run.host_id, question=question, weights=FIRST_WEIGHTS, vector=None, limit=SEARCHED)
    visited = run.steps.filter(error_code="").values_list("final_url", flat=True)
    urls = dict.fromkeys([*(each.url for each in found), *(canonical_url(url) for url in visited if url)])
    holding = {each.url for each in found if wanted in fold(each.text)}
    for url in list(urls)[:LOOKED_AT]:
        if len(holding) < TWO and url not in holding:
            page = _read_known(url, host=run.host, run=run)
            if page is not None and wanted in fold(page.text):
                holding.add(url)
    if not holding:
        raise InvalidInput(
            f"No page of {run.host.name} that was read says this word for word. Give the page’s address too, or leave "
            "the text empty.",
            field="right_text",
        )
    if len(holding) > 1:
        first, second = sorted(holding)[:TWO]
        raise InvalidInput(
            f"More than one page says this: {first} and {second}. Give the address of the right one too.",
            field="right_url",
        )
    return holding.pop()


def _read_known(url: str, *, host: Host, run: Run | None) -> ParsedPage | None:
    """A page as the run saw it, or as it was last read for the index; None when it is not kept."""
    digest = digest_bytes(url.encode())
    seen = Step.objects.filter(Q(url=url) | Q(final_url=url), run=run, error_code="").order_by("-index")
    indexed = IndexedPage.objects.filter(host=host, url_digest=digest)
    crawled = FrontierPage.objects.filter(host=host, url_digest=digest, state=FrontierPage.State.READ)
    kept = (
        seen.values_list("snapshot", flat=True).first()
        or indexed.values_list("snapshot_digest", flat=True).first()
        or crawled.values_list("snapshot", flat=True).first()
    )
    snapshot = PageSnapshot.objects.filter(pk=kept).first() if kept else None
    if snapshot is None:
        return None
    return parse_kept(body=snapshot.body, media_type=snapshot.media_type, url=url, site=host.as_site())


def keep_case(*, run: Run, verdict: OperatorVerdict, answer: Place | None, now: datetime) -> CurriculumTask | None:
    """Makes a case of the question, or keeps the one that says the same.

    Within the caller's transaction, which has locked the host's memory since before it wrote the verdict.

    An earlier case of the question is replaced. Where nobody knows what is right, it is only when it says what this
    verdict calls wrong. None: the verdict makes no case.
    """
    standing = find_case(host_id=run.host_id, prompt=run.prompt)
    if answer is None:
        if standing is not None and _is_taken_back(standing, verdict=verdict, run=run):
            _replace(standing, now=now)
        return None
    check = _choose_check(run, right=verdict.right, answer=answer)
    if standing is not None and (standing.check_spec, standing.expected_url) == (check, answer.url):
        CurriculumTask.objects.filter(pk=standing.pk).update(verdict=verdict)
        return standing
    if standing is not None:
        _replace(standing, now=now)
    if not _may_be_case(host=run.host, prompt=run.prompt, url=answer.url):
        return None
    case = CurriculumTask(host=run.host, prompt=run.prompt, check_spec=check, verdict=verdict)
    return _make_case(case, answer=answer, queued_from=FROM_VERDICT, now=now)


@requires("training.give_verdict")
def add_case(*, host: Host, prompt: str, url: str, text: str, by: Actor, origin: str) -> CurriculumTask:
    """Makes a case of a question that was checked elsewhere: `url` is the right page, `text` its words, or empty.

    An earlier case of the question is replaced, or kept when it says the same. Raises InvalidInput with the field that
    is wrong, and Conflict for a question that may not join the set.
    """
    question, words = check_prompt(prompt), " ".join(clean_text(text).split())
    _check_length(words, field="passage")
    page = check_page(url, host=host, field="expected_url")
    if not page:
        raise InvalidInput("Name the page that answers the question.", field="expected_url")
    _check_words(words, page=page, host=host, run=None, field="passage")
    now = timezone.now()
    with transaction.atomic():
        lock_memory(host.pk)
        standing = find_case(host_id=host.pk, prompt=question)
        if standing is not None and (standing.expected_url, standing.passage) == (page, words):
            return standing
        if not _may_be_case(host=host, prompt=question, url=page):
            raise Conflict(
                "The curriculum asks this question itself, or it was trained on and its page is held out.",
                field="prompt",
            )
        if standing is not None:
            _replace(standing, now=now)
        check = SuccessCheck(expected_urls=(page,), expected_text=words).to_json()
        case = CurriculumTask(host=host, prompt=question, check_spec=check)
        _make_case(case, answer=Place(page, words), queued_from=FROM_IMPORT, now=now)
        details = {"page": page, "replaced": standing.pk if standing else None}
        record_audit(actor=by, origin=origin, action="add case", subject=f"task {case.pk}", details=details)
    return case


def _make_case(case: CurriculumTask, *, answer: Place, queued_from: str, now: datetime) -> CurriculumTask:
    case.kind = CurriculumTask.Kind.PERSON
    case.split = split_of(answer.url)
    case.expected_url = answer.url
    case.page_digest = digest_bytes(answer.url.encode())
    case.passage = answer.text[:TEXT_MAX]
    case.save()
    queue_training([case], queued_from=queued_from, priority=PRIORITY, now=now)
    announce("sources")
    return case


def find_case(*, host_id: int, prompt: str) -> CurriculumTask | None:
    """The case of a question, capitals aside; None without one."""
    return CurriculumTask.objects.cases().filter(host_id=host_id, prompt__iexact=prompt).first()


def was_taken_back(verdict: OperatorVerdict, *, run: Run) -> bool:
    """Whether the question was a case by this verdict, or by one that kept its case, until another one replaced it."""
    replaced = CurriculumTask.objects.filter(kind=CurriculumTask.Kind.PERSON, replaced_at__isnull=False)
    return replaced.filter(host=run.host, prompt__iexact=run.prompt, verdict_id__gte=verdict.pk).exists()


def refuse_held_out(host: Host, prompt: str) -> None:
    """Raises Conflict for a held-out question. Until the caller's transaction ends no verdict makes a case of it."""
    lock_memory(host.pk)
    if CurriculumTask.objects.held_out().filter(host=host, prompt__iexact=prompt).exists():
        raise Conflict(
            "This question is held out for evaluations. Held-out tasks are never used for training.", field="prompt"
        )


def _choose_check(run: Run, *, right: bool, answer: Place) -> dict[str, Any]:
    """The run's own check where it was right and can tell; else: visit the page, and quote the words from it."""
    if right and is_telling(SuccessCheck.from_json(run.check_spec)):
        return run.check_spec
    return SuccessCheck(expected_urls=(answer.url,), expected_text=answer.text[:TEXT_MAX]).to_json()


def _is_taken_back(case: CurriculumTask, *, verdict: OperatorVerdict, run: Run) -> bool:
    """Whether a “no” that names nothing speaks against a case: its own run, or what it says, is judged wrong now."""
    quoted = read_quoted(run.quotes)
    of_this_run = case.verdict is not None and case.verdict.run_id == run.pk
    contradicts = quoted is not None and quoted.says_same(Place(case.expected_url, case.passage))
    return not verdict.right and (of_this_run or contradicts)


def _replace(case: CurriculumTask, *, now: datetime) -> None:
    end_task(case, reason=REPLACED_REASON)
    CurriculumTask.objects.filter(pk=case.pk).update(replaced_at=now)


def _may_be_case(*, host: Host, prompt: str, url: str) -> bool:
    """Whether the question may join the set: the curriculum does not ask it itself, and no training has seen it that
    is to be held out.
    """
    if CurriculumTask.objects.seeded().filter(host=host, prompt__iexact=prompt).exists():
        return False
    trained = TrainingSource.objects.filter(host=host, prompt__iexact=prompt)
    return split_of(url) == CurriculumTask.Split.TRAIN or not trained.exists()
