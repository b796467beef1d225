"""One run: observe → shortlist → pick → visit until enough is known, then answer, then verify."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from training.agent.answerer import write_answer
from training.agent.brain import Brain
from training.agent.controller import Controller
from training.agent.embedding import Embed, remember_vectors
from training.agent.errors import AgentError, ErrorCode
from training.agent.model import Model, Reply, list_digests
from training.agent.quoting import (
    Scored,
    asks_beyond_phrases,
    choose_passages,
    holds_phrases,
    knows_better,
    measure_phrases,
    measure_support,
    quote,
    quote_phrases,
    rank_passages,
)
from training.agent.reading.evidence import ReadPage, find_distinct
from training.agent.reading.page import SHELL_SAYS_LITTLE, parse_page
from training.agent.reading.words import read_question
from training.agent.shortlist import Candidates
from training.agent.task import Task
from training.agent.trajectory import AnswerState, Choice, Quote, Step, Trajectory
from training.agent.verifier import (
    CheckResult,
    Gathered,
    check_gathered,
    check_quotes,
    check_support,
    check_visits,
    is_telling,
    read_expected,
)
from training.agent.web.address import canonical_url
from training.agent.web.browser import ERRORS_FROM, Browser, Page


def navigate(
    *,
    task: Task,
    brain: Brain,
    browser: Browser,
    model: Model,
    on_step: Callable[[Step], None] | None = None,
    should_stop: Callable[[], str | None] | None = None,
    embed: Embed | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Trajectory:
    """Runs the task and returns everything that happened. The agent's failures are in the trajectory, not raised.

    `on_step` is called with each finished step; an exception from it ends the run (a lost lease raises one).
    `should_stop` is called before each pick, visit and answer; an error code or a reason ends the run.
    `embed` makes vectors of texts, where a model does that. `clock` returns seconds; the deadline and the latencies are
    measured with it.
    """
    run = _Run(task, brain, browser, model, on_step, should_stop, embed, clock)
    try:
        ended_by = run.visit_pages()
        verdict = run.answer_and_verify()
        code = "" if verdict.success else run.name_failure(ended_by)
    except AgentError as error:
        verdict, code = CheckResult(False, "", error.message), error.code
    return run.close(verdict=verdict, code=str(code))


class _Run:
    """The state of one run."""

    def __init__(
        self,
        task: Task,
        brain: Brain,
        browser: Browser,
        model: Model,
        on_step: Callable[[Step], None] | None,
        should_stop: Callable[[], str | None] | None,
        embed: Embed | None,
        clock: Callable[[], float],
    ) -> None:
        self.task, self.brain, self.browser, self.model = task, brain, browser, model
        self.on_step, self.should_stop, self.clock = on_step, should_stop, clock
        self.embed = remember_vectors(embed) if embed is not None else None
        self.started = clock()
        self.question = read_question(task.prompt)
        self.candidates = Candidates(
            question=self.question, site=task.site, memories=brain.memories, weights=brain.weights
        )
        self.controller = Controller(model=model, brain=brain, prompt=task.prompt)
        self.steps: list[Step] = []
        self.evidence: list[ReadPage] = []
        self.visited: set[str] = set()
        # A folder and its index.html are the same page nearly everywhere: a call on the twin would be wasted.
        self.twins: set[str] = set()
        self.picks: list[Reply] = []
        self.task_reply: Reply | None = None
        self.controller_calls = self.invalid_picks = 0
        self.answer = ""
        self.is_quoted = False
        self.quotes: tuple[Quote, ...] = ()
        # Whether quotes were looked for, and how likely the best one answers; None while nothing is quoted.
        self.has_chosen = False
        self.score: float | None = None
        self.is_sure = False  # Whether what was read answers, as far as the score can tell.
        # Whether there is nothing more to read.
        self.has_read_all = False
        # A page that has almost no text without its scripts, and how many pages with more text were read.
        self.shell_url = ""
        self.full_pages = 0

    def visit_pages(self) -> ErrorCode:
        """Visits until enough is known; returns the error code to use if the checks fail."""
        self._visit(url=self._start_url(), shortlist=(), picked_by="start", reply=Reply(""), began=self.clock())
        while not self._knows_enough():
            if len(self.steps) > self.task.max_calls:
                return ErrorCode.BUDGET_SPENT
            # An answer is in hand, and the index knows a better passage: the first page is opened, there is no choice.
            size = 1 if self.is_sure else self.brain.shortlist_size
            shortlist = self.candidates.rank(visited=self.visited | self.twins, size=size)
            if not shortlist:
                self.has_read_all = True
                return ErrorCode.NO_ROUTE
            self._check_may_go_on()
            began = self.clock()
            pick = self.controller.pick(shortlist)
            self.controller_calls += pick.was_asked
            self.invalid_picks += pick.picked_by == "fallback"
            self.picks.append(pick.reply)
            chosen = shortlist[pick.index]
            self._visit(url=chosen.url, shortlist=shortlist, picked_by=pick.picked_by, reply=pick.reply, began=began)
        return ErrorCode.VERIFICATION_FAILED

    def answer_and_verify(self) -> CheckResult:
        """Chooses and checks the quotes, lets the task model write from those that may answer, and runs the checks."""
        chosen, score = self._choose_quotes()
        self.quotes = check_quotes(quotes=chosen, pages=self.evidence)
        self.has_chosen = bool(self.evidence)
        self.score = score if self.quotes else None
        gathered = Gathered(pages=tuple(self.evidence), quotes=self.quotes, score=self.score or 0.0)
        task = self._reachable_task()
        threshold = self.brain.support.threshold
        visits = check_visits(task=task, gathered=gathered)
        support = check_support(task=task, gathered=gathered, threshold=threshold)
        if not (visits.success and support.success):
            # The closest text is shown as a lead. What a model writes from it would be no answer.
            return support if visits.success else visits
        refused = self._write_answer() if self.quotes else ""
        if refused:
            return CheckResult(False, "json_schema", f"json_schema: {refused}")
        return check_gathered(task=task, gathered=replace(gathered, answer=self.answer), threshold=threshold)

    def _choose_quotes(self) -> tuple[tuple[Quote, ...], float]:
        """The best quotes, and how likely the first of them answers. Words in quotation marks are found or not."""
        if self.question.phrases:
            ranked = self._rank_passages() if asks_beyond_phrases(self.question) else None
            score = measure_phrases(self.brain.support, self.question, self.evidence, ranked=ranked)
            return quote_phrases(self.question, self.evidence, recalled=self.brain.memories), score
        ranked = self._rank_passages()
        expected = read_expected(self.task.check)
        of_expected = [each for each in ranked if each.evidence.addresses & expected]
        # A task that names its page quotes from it.
        chosen = choose_passages(self.question, of_expected or ranked) or of_expected[:1]
        return quote(self.question, chosen, embed=self.embed), self._measure(chosen)

    def _measure(self, chosen: Sequence[Scored]) -> float:
        return measure_support(self.brain.support, self.question, chosen, recalled=self.brain.memories)

    def _rank_passages(self) -> list[Scored]:
        return rank_passages(
            self.question,
            self.evidence,
            recalled=self.brain.memories,
            weights=self.brain.weights,
            embed=self.embed,
        )

    def _reachable_task(self) -> Task:
        """The task, with a pages target that is no larger than the number of pages there are."""
        if not self.has_read_all:
            return self.task
        return replace(self.task, pages_target=min(self.task.pages_target, self._count_pages()))

    def name_failure(self, ended_by: ErrorCode) -> str:
        """The code of a run that did not succeed: why no page was read, how the visits ended, or how sure it is."""
        if not self.evidence:
            return self.steps[-1].error_code or ended_by
        is_unsure = self.score is not None and self.score < self.brain.support.threshold
        return ErrorCode.UNSURE if is_unsure and not is_telling(self.task.check) else ended_by

    def _name_state(self, *, success: bool) -> str:
        if success:
            return AnswerState.VERIFIED if is_telling(self.task.check) else AnswerState.SUPPORTED
        if not self.has_chosen:
            return ""
        return AnswerState.UNSURE if self.quotes else AnswerState.NOT_FOUND

    def close(self, *, verdict: CheckResult, code: str) -> Trajectory:
        """The finished run as a value."""
        reason = verdict.reason
        if code and not self.evidence and self.steps and self.steps[-1].error_code == code:
            reason = self.steps[-1].error
        elif code and self.shell_url and not self.full_pages:
            reason += f". {self.shell_url} was read without its scripts. {SHELL_SAYS_LITTLE}"
        written = [self.task_reply] if self.task_reply else []
        replies = [*self.picks, *written]
        return Trajectory(
            steps=tuple(self.steps),
            answer=self.answer,
            answer_state=self._name_state(success=verdict.success),
            answer_score=self.score,
            is_quoted=self.is_quoted,
            quotes=self.quotes,
            success=verdict.success,
            error_code=code,
            error=reason,
            verifier=verdict.verifier,
            controller_calls=self.controller_calls,
            invalid_picks=self.invalid_picks,
            pages=self._count_pages(),
            prompt_tokens=sum(reply.prompt_tokens for reply in replies),
            cached_tokens=sum(reply.cached_tokens for reply in replies),
            completion_tokens=sum(reply.completion_tokens for reply in replies),
            memory_ids=self.candidates.recalled_ids(self.visited),
            duration_ms=self._measure_ms(self.started),
            controller_digests=list_digests(self.picks),
            task_digests=list_digests(written),
            task_replies=len(written),
        )

    def _start_url(self) -> str:
        try:
            return canonical_url(self.task.site.base_url)
        except ValueError as error:
            raise AgentError(ErrorCode.BLOCKED_BY_POLICY, f"The site's base address is unusable: {error}.") from None

    def _visit(self, *, url: str, shortlist: tuple[Choice, ...], picked_by: str, reply: Reply, began: float) -> None:
        self._check_may_go_on()
        self._mark_visited(url)
        page = Page.of(url=url, final_url=url, status=0, media_type="", body=b"")
        title = code = message = ""
        try:
            page = self.browser.fetch(url)
            title = self._read(page)
        except AgentError as error:
            code, message = error.code, error.message
        step = Step(
            index=len(self.steps),
            url=url,
            final_url=page.final_url,
            title=title,
            status=page.status,
            body_digest=page.digest if page.body else "",
            body=page.body,
            media_type=page.media_type,
            shortlist=shortlist,
            pick="" if picked_by == "start" else url,
            picked_by=picked_by,
            recalled=self.candidates.recalled_ids(choice.url for choice in shortlist),
            latency_ms=self._measure_ms(began),
            prompt_tokens=reply.prompt_tokens,
            cached_tokens=reply.cached_tokens,
            completion_tokens=reply.completion_tokens,
            served_digest=reply.digest,
            error_code=str(code),
            error=message,
        )
        self.steps.append(step)
        if self.on_step is not None:
            self.on_step(step)

    def _read(self, page: Page) -> str:
        if page.status >= ERRORS_FROM:
            raise AgentError(ErrorCode.FETCH_FAILED, f"{page.final_url} answered HTTP {page.status}.")
        final_url = canonical_url(page.final_url)
        parsed = parse_page(body=page.body, media_type=page.media_type, url=final_url, site=self.task.site)
        self._mark_visited(final_url)
        self.candidates.add_links(parsed.links)
        is_shell = parsed.needs_scripts and not page.scripts_ran
        if parsed.is_empty:
            said = f"{final_url} is an empty page."
            raise AgentError(ErrorCode.FETCH_FAILED, f"{said} {SHELL_SAYS_LITTLE}" if is_shell else said)
        # A page of links alone leads on, but it says nothing.
        if parsed.text:
            self.evidence.append(ReadPage(parsed, frozenset({page.url, final_url}), page.digest))
        self.shell_url = final_url if is_shell else self.shell_url
        self.full_pages += not is_shell
        return parsed.title

    def _mark_visited(self, url: str) -> None:
        self.visited.add(url)
        self.twins.add(url.removesuffix("index.html") if url.endswith("/index.html") else f"{url}index.html")

    def _knows_enough(self) -> bool:
        self.is_sure = False
        # A check says itself how many pages it wants; without one the target is part of the proof.
        needed = self.task.pages_target if self.task.check.checks_nothing else self.task.check.min_pages
        if self._count_pages() < max(needed, 1) or self.candidates.find_named(visited=self.visited | self.twins):
            return False
        if self.question.phrases:
            # Words in quotation marks are looked for until they are found where they may be quoted.
            found = quote_phrases(self.question, self.evidence, recalled=self.brain.memories)
            return bool(found) and holds_phrases(self.question, self.evidence)
        if self._holds_already():
            return True
        chosen = choose_passages(self.question, self._rank_passages())
        self.is_sure = self._measure(chosen) >= self.brain.support.threshold
        return self.is_sure and not knows_better(chosen, recalled=self.brain.memories, visited=self.visited)

    def _holds_already(self) -> bool:
        """Whether an expected page was read: there is nothing better to look for."""
        gathered = Gathered(pages=tuple(self.evidence))
        return bool(self.task.check.expected_urls) and check_visits(task=self.task, gathered=gathered).success

    def _check_may_go_on(self) -> None:
        reason = self.should_stop() if self.should_stop else None
        if reason:
            code = ErrorCode(reason) if reason in list(ErrorCode) else ErrorCode.CANCELLED
            raise AgentError(code, f"Stopped: {reason}.")
        if self.clock() - self.started > self.task.deadline_s:
            raise AgentError(ErrorCode.TIMEOUT, f"The run took longer than {self.task.deadline_s:g} seconds.")

    def _write_answer(self) -> str:
        """Writes the answer; returns why one in JSON was refused, in a sentence."""
        if not self.task.write_answer:
            self.answer, self.is_quoted = self.quotes[0].answer, True
            return ""
        self._check_may_go_on()
        answer = write_answer(
            model=self.model,
            brain=self.brain,
            prompt=self.question.prompt,
            quotes=self.quotes,
            schema=self.task.check.json_schema,
        )
        self.answer, self.is_quoted, self.task_reply = answer.text, answer.is_quoted, answer.reply
        return answer.refused

    def _count_pages(self) -> int:
        return len(find_distinct(self.evidence))

    def _measure_ms(self, since: float) -> int:
        return round((self.clock() - since) * 1000)
