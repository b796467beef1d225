"""Whether a run succeeded: deterministic checks, and the name of the one that decided."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import regex

from training.agent.reading.evidence import ReadPage, find_distinct
from training.agent.reading.text import squeeze
from training.agent.reading.words import fold
from training.agent.schema import find_mismatch
from training.agent.task import SuccessCheck, Task
from training.agent.trajectory import Quote
from training.agent.web.address import canonical_url

# Limits of text and time for a pattern: one that backtracks very long would block every thread of the worker.
PATTERN_TEXT_MAX, PATTERN_S = 20_000, 1.0
# How many of the pages read a sentence names, and how many characters of each title.
TITLES_MAX, TITLE_MAX = 3, 60
SUPPORTED = "supported"
# What every run without a check of its own must do. On success this goes without saying.
DEFAULTS = ("quotes", "pages_target")


@dataclass(frozen=True, slots=True)
class Gathered:
    """The input of the checks: the pages read, the answer, its quotes, and how likely the first of them answers."""

    pages: tuple[ReadPage, ...]
    answer: str = ""
    quotes: tuple[Quote, ...] = ()
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class CheckResult:
    """`verifier` names the failed check, or those that held joined by "+"; `reason` is empty on success."""

    success: bool
    verifier: str
    reason: str


def is_telling(check: SuccessCheck) -> bool:
    """Whether a check can tell a right answer from a wrong one. Pages are only counted, a schema is only a shape."""
    return bool(check.expected_urls or check.expected_text or check.pattern)


def check_gathered(*, task: Task, gathered: Gathered, threshold: float) -> CheckResult:
    """All given checks, in order. Where none of them tells right from wrong, the quotes must answer by their score."""
    checks = _list_all(task)
    if not is_telling(task.check):
        checks.append(_make_support(threshold))
    return _run_checks(checks, gathered)


def check_support(*, task: Task, gathered: Gathered, threshold: float) -> CheckResult:
    """Whether the quotes may answer, which no answer can change: by their score, or because a check will tell."""
    if is_telling(task.check):
        return CheckResult(True, "", "")
    return _run_checks([("quotes", _check_any_quote), _make_support(threshold)], gathered)


def check_visits(*, task: Task, gathered: Gathered) -> CheckResult:
    """Only the checks that no answer can change: expected addresses visited, and the number of pages."""
    checks = _list_all(task)
    return _run_checks([check for check in checks if check[0] in ("min_pages", "visited", "pages_target")], gathered)


def check_quotes(*, quotes: Sequence[Quote], pages: Iterable[ReadPage]) -> tuple[Quote, ...]:
    """The quotes whose every line is literally on the page that they name, ignoring white space."""
    texts = {(evidence.page.url, evidence.digest): squeeze(evidence.page.text) for evidence in pages}

    def stands(quote: Quote) -> bool:
        lines = [squeeze(line) for line in quote.text.split("\n") if line.strip()]
        return bool(lines) and all(line in texts.get((quote.url, quote.body_digest), "") for line in lines)

    return tuple(quote for quote in quotes if stands(quote))


Check = tuple[str, Callable[[Gathered], str]]


def _run_checks(checks: Sequence[Check], gathered: Gathered) -> CheckResult:
    for name, check in checks:
        reason = check(gathered)
        if reason:
            return CheckResult(False, _public_name(name), f"{_public_name(name)}: {reason}")
    names = dict.fromkeys(_public_name(name) for name, _ in checks if name not in DEFAULTS)
    return CheckResult(True, "+".join(names), "")


def _public_name(name: str) -> str:
    return {"visited": "expected_url", "quoted": "expected_url"}.get(name, name)


def _list_all(task: Task) -> list[Check]:
    return [*(_list_default(task) if task.check.checks_nothing else ()), *_list_checks(task.check)]


def _list_checks(check: SuccessCheck) -> list[Check]:
    checks: list[Check] = []
    if check.expected_urls:
        expected = read_expected(check)
        checks.append(("visited", lambda gathered: _check_visited(expected, gathered)))
        checks.append(("quoted", lambda gathered: _check_quoted(expected, gathered)))
    if check.expected_text:
        checks.append(("expected_text", lambda gathered: _check_text(check, gathered)))
    if check.pattern:
        checks.append(("pattern", lambda gathered: _check_pattern(check.pattern, gathered)))
    if check.json_schema is not None:
        schema = check.json_schema
        checks.append(("json_schema", lambda gathered: _check_json(schema, gathered)))
    if check.min_pages:
        checks.append(("min_pages", lambda gathered: _check_pages(check.min_pages, gathered)))
    return checks


def _list_default(task: Task) -> list[Check]:
    target = max(task.pages_target, 1)
    return [
        ("quotes", _check_any_quote),
        ("pages_target", lambda gathered: _check_pages(target, gathered)),
    ]


def _check_any_quote(gathered: Gathered) -> str:
    if gathered.quotes:
        return ""
    pages = {evidence.digest: evidence.page for evidence in gathered.pages}.values()
    if not pages:
        return "no page was read"
    names = [squeeze(page.title)[:TITLE_MAX] or page.url[:TITLE_MAX] for page in pages]
    named = "; ".join(names[:TITLES_MAX]) + (f" and {len(names) - TITLES_MAX} more" if len(names) > TITLES_MAX else "")
    was = "page was" if len(names) == 1 else "pages were"
    return f"{len(names)} {was} read ({named}), and no passage was close enough to the question to be quoted"


def _make_support(threshold: float) -> Check:
    return SUPPORTED, lambda gathered: _check_support(threshold, gathered)


def _check_support(threshold: float, gathered: Gathered) -> str:
    if gathered.score >= threshold:
        return ""
    return f"the closest text answers with {gathered.score:.0%} at most, and {threshold:.0%} are needed"


def _check_visited(expected: frozenset[str], gathered: Gathered) -> str:
    if any(evidence.addresses & expected for evidence in gathered.pages):
        return ""
    return f"none of {len(expected)} expected addresses was visited"


def _check_quoted(expected: frozenset[str], gathered: Gathered) -> str:
    # By content: the same page may have been read under two addresses.
    wanted = {evidence.page.content_digest for evidence in gathered.pages if evidence.addresses & expected}
    digests = {evidence.digest for evidence in gathered.pages if evidence.page.content_digest in wanted}
    if any(quote.body_digest in digests for quote in gathered.quotes):
        return ""
    return "no quote comes from an expected address"


def _check_text(check: SuccessCheck, gathered: Gathered) -> str:
    wanted, said = fold(check.expected_text), [gathered.answer] if check.in_answer else _list_said(gathered)
    if any(wanted in fold(text) for text in said):
        return ""
    return f"the text is not in the answer{'' if check.in_answer else ' or its quotes'}"


def _check_pattern(pattern: str, gathered: Gathered) -> str:
    texts = _list_said(gathered)
    compiled = regex.compile(pattern)
    try:
        found = any(compiled.search(text[:PATTERN_TEXT_MAX], timeout=PATTERN_S) for text in texts)
    except TimeoutError:
        return f"the pattern was still searching after {PATTERN_S:g} s: it may backtrack without end"
    return "" if found else "the pattern is in neither the answer nor its quotes"


def _list_said(gathered: Gathered) -> list[str]:
    return [gathered.answer, *(quote.text for quote in gathered.quotes)]


def _check_json(schema: dict[str, Any], gathered: Gathered) -> str:
    try:
        value = json.loads(gathered.answer)
    except (ValueError, RecursionError):
        return "the answer is not JSON"
    return find_mismatch(value, schema)


def _check_pages(target: int, gathered: Gathered) -> str:
    count = len(find_distinct(gathered.pages))
    return "" if count >= target else f"{count} of {target} pages were read"


def read_expected(check: SuccessCheck) -> frozenset[str]:
    """The expected addresses of a check, canonical; those that are none are left out."""
    found = set()
    for url in check.expected_urls:
        try:
            found.add(canonical_url(url))
        except ValueError:
            continue
    return frozenset(found)
