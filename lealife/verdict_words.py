"""What a verdict on an answer changed, in sentences for the run's page and the API."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from lealife.core.digest import digest_bytes
from learning.cases import find_case, was_taken_back
from learning.corrections import Place, read_quoted
from learning.models import CurriculumTask, IndexedPage
from training.agent.reading.words import fold
from training.agent.web.address import canonical_url
from training.models import OperatorVerdict, Run
from training.operator_verdicts import read_effect

TITLE_MAX = 80


def describe_changes(verdict: OperatorVerdict, *, run: Run) -> tuple[tuple[str, ...], CurriculumTask | None]:
    """The sentences, and the case that the question is by this verdict. Five queries at most."""
    quoted, named = read_quoted(run.quotes), _read_named(verdict, run=run)
    case = find_case(host_id=run.host_id, prompt=run.prompt)
    memory = _describe_memory(read_effect(run.pk))
    if case is not None and case.verdict_id is not None and case.verdict_id > verdict.pk:
        return (*memory, "A later verdict on this question says what is right, and counts now."), None
    sentences = (
        *_describe_pages(verdict, run=run, quoted=quoted, named=named),
        *memory,
        _describe_case(verdict, case=case, named=named, run=run),
    )
    own = case if case is not None and case.verdict_id == verdict.pk else None
    return sentences, own


def _read_named(verdict: OperatorVerdict, *, run: Run) -> Place | None:
    if verdict.right:
        return read_quoted(run.quotes)
    return Place(verdict.right_url, verdict.right_text) if verdict.right_url else None


def _describe_pages(verdict: OperatorVerdict, *, run: Run, quoted: Place | None, named: Place | None) -> Iterable[str]:
    titles = _read_titles([place.url for place in (quoted, named) if place], run=run)
    if quoted is not None and not verdict.right:
        if named is None or named.url != quoted.url:
            yield f"{titles[quoted.url]} is visited last for this question and similar ones."
        # A passage with the right words in it is quoted again, for these.
        if named is None or not _holds(quoted, named):
            yield "The passage that was quoted is left out when this question is asked again."
    if named is not None:
        yield f"{titles[named.url]} is visited first for this question and similar ones."


def _holds(quoted: Place, named: Place) -> bool:
    return bool(named.text) and named.url == quoted.url and fold(named.text) in fold(quoted.passage)


def _read_titles(urls: list[str], *, run: Run) -> dict[str, str]:
    """How sentences name the pages: by title, as the run or the index knows it, else by address."""
    indexed = IndexedPage.objects.filter(host_id=run.host_id, url_digest__in=[digest_bytes(u.encode()) for u in urls])
    known = dict(indexed.values_list("url", "title"))
    for url, final_url, title in run.steps.values_list("url", "final_url", "title"):
        # An address that is none names no page.
        with suppress(ValueError):
            known.update({canonical_url(each): title for each in (url, final_url) if each})
    return {url: f"“{title[:TITLE_MAX]}”" if (title := known.get(url, "")) else url for url in urls}


def _describe_memory(effect: dict[str, set[int]]) -> Iterable[str]:
    for name, what in (
        ("trusted", "confirmed: what the run taught"),
        ("retired", "retired: only this run taught it"),
        ("quarantined", "quarantined until another run confirms it"),
        ("helped", "counted as having helped"),
        ("unhelped", "no longer counted as having helped"),
    ):
        if count := len(effect.get(name, ())):
            yield f"{count} memory item{'' if count == 1 else 's'} {what}."


def _describe_case(verdict: OperatorVerdict, *, case: CurriculumTask | None, named: Place | None, run: Run) -> str:
    host = run.host.name
    if case is not None and case.verdict_id != verdict.pk:
        return f"This question is a case of {host} by an earlier verdict."
    if case is not None:
        if case.split == CurriculumTask.Split.TRAIN:
            return f"This question is now a case of {host}, and training practises it."
        return f"This question is now a case of {host}. It is held out: evaluations ask it, training never does."
    if named is None:
        return f"This question is no case of {host} while it is not known what is right."
    if was_taken_back(verdict, run=run):
        return "A later verdict took this case back."
    return "It makes no case: the curriculum asks it itself, or training has seen it and its page is held out."
