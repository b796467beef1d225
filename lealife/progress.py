"""Output of a headless run: progress while it runs, the story when it is over."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from lealife.story import Story
from promotion.candidates.windows import read_window
from promotion.evaluation.gain import read_gain, read_gains
from promotion.evaluation.standing import read_candidate
from promotion.gate.e_values import format_e_value
from training.counters import read_counters

# Without a terminal, bars cannot be drawn: a line is written at most this often instead.
LINE_EVERY_S = 15.0


class StoryProgress(Progress):
    """Bars for the window, then the pairs, the memory measurement and the reserve; lines where there is no terminal."""

    def __init__(self, console: Console) -> None:
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._line_at = 0.0
        self._bars: dict[str, TaskID] = {}

    def training(self) -> None:
        """Reads the current state and shows it."""
        window, counts = read_window(), read_counters()
        note = f"{counts['outcomes.success']} of {counts['outcomes.total']} runs succeeded · {window.state}"
        # A window that has been reached stays full until the next one opens.
        done = window.size if window.state != "collecting" else window.in_window
        self._draw("window", done=done, total=window.size, note=note, label=f"{window.counted} successes in the window")
        candidate = read_candidate()
        if candidate is None:
            self._write_line(f"window {done}/{window.size} · {note}")
            return
        bars = ", ".join(
            f"{line.name.lower()} {format_e_value(line.e_value)} of {format_e_value(line.threshold)}"
            for line in candidate.hypotheses
        )
        score = f"{candidate.wins}–{candidate.losses}, {bars}"
        self._draw("pairs", done=candidate.pairs, total=candidate.pair_budget, note=score)
        self._write_line(f"pairs {candidate.pairs}/{candidate.pair_budget} · {score} · {note}")

    def _draw(self, bar: str, *, done: int, total: int, note: str, label: str = "") -> None:
        shown: dict[str, Any] = {"description": label or bar, "completed": done, "total": total, "note": note}
        if bar in self._bars:
            self.update(self._bars[bar], **shown)
        else:
            self._bars[bar] = self.add_task(**shown)

    def _write_line(self, line: str) -> None:
        if self.console.is_terminal or time.monotonic() - self._line_at < LINE_EVERY_S:
            return
        self._line_at = time.monotonic()
        self.console.print(line, highlight=False)

    def waiting(self) -> None:
        """The reserve measurement of the newest live apply."""
        for apply in read_gains().reverse()[:1]:
            if gain := read_gain(apply):
                self._draw("reserve tasks", done=gain.done, total=gain.tasks, note="after the apply")
                self._write_line(f"reserve: {gain.sentence}")

    def measuring(self, done: int, total: int) -> None:
        """Memory off and on, task by task."""
        self._draw("memory off and on", done=done, total=total, note="same tasks, same tags")
        self._write_line(f"memory off and on: {done}/{total} tasks")


def print_story(story: Story) -> None:
    """The story as a table on standard output."""
    table = Table(title="The story of the first verdict", show_header=False, title_justify="left")
    for label, value in describe_story(story):
        table.add_row(label, value)
    console = Console()
    console.print(table)
    console.print(draw_ledger(story.ledger))


def draw_ledger(ledger: dict[str, Any]) -> Table:
    """Every candidate with its verdict. That most are rejected is normal."""
    # Only this column may wrap: tag names differ at their ends, and the figures must stay readable.
    candidate = Column("candidate, and why", overflow="fold")
    others = (Column(name, no_wrap=True) for name in ("verdict", "won–lost", "better", "cheaper"))
    table = Table(Column("k", no_wrap=True), candidate, *others, title=describe_ledger(ledger))
    table.title_justify = "left"
    for line in ledger["candidates"]:
        score = f"{line['wins']}–{line['losses']}"
        bars = (("e_value", "needed"), ("e_cheaper", "needed_cheaper"))
        figures = (f"{format_e_value(line[e_value])} of {format_e_value(line[needed])}" for e_value, needed in bars)
        verdict = f"{line['verdict']}\n{line['hypothesis']}"
        table.add_row(str(line["k"]), f"{line['tag']}\n{line['reason']}", verdict, score, *figures)
    return table


def describe_ledger(ledger: dict[str, Any]) -> str:
    """The ledger in one sentence."""
    return (
        f"Candidates: {ledger['built']} built, {ledger['promoted']} promoted to canary, {ledger['rejected']} rejected, "
        f"{ledger['inconclusive']} inconclusive, {ledger['invalid']} invalid; {ledger['refused']} refused before any "
        f"run; alpha spent {ledger['alpha_spent']:.4f} of {ledger['alpha_life']:g}"
    )


def describe_story(story: Story) -> list[tuple[str, str]]:
    """Label and sentence of each chapter."""
    candidate, window = story.candidate, story.window
    return [
        ("Sources claimed", f"{story.sources_claimed}"),
        ("Outcomes", f"{story.outcomes}, of which {story.successes} succeeded"),
        (
            f"Held-out tasks ({story.measured_tasks})",
            f"memory off {_percent(story.success_rate_memory_off)} in {_calls(story.calls_memory_off)}; "
            f"memory on {_percent(story.success_rate_memory_on)} in {_calls(story.calls_memory_on)}",
        ),
        (
            "Window",
            f"{window['number']}: {window['size']} {window['counted']} successes in {window['attempts']} attempts",
        ),
        (
            "Candidate",
            f"{candidate['tag']}, from {candidate['parent']}",
        ),
        ("Lever", f"{candidate['lever'] or 'none'}. {candidate['change']} {candidate['why']}".strip()),
        ("Wins–losses", f"{story.wins}–{story.losses} in {story.pairs} pairs"),
        ("Fewer–more calls", f"{story.fewer_calls}–{story.more_calls} pairs that both arms solved"),
        *((line["name"], _hypothesis(line)) for line in story.hypotheses),
        ("Verdict", f"{story.verdict}. {story.reason}"),
        ("Canary", _canary(story)),
        ("Live apply", _apply(story)),
        ("Served digest", _served(story)),
        ("Worth", _worth(story)),
        ("Took", f"{story.seconds / 60:.1f} minutes"),
    ]


def _hypothesis(line: dict[str, Any]) -> str:
    figures = f"e-value {format_e_value(line['e_value'])} of {format_e_value(line['threshold'])} needed"
    return f"{figures}: promoted it" if line["promoted"] else figures


def _percent(share: float | None) -> str:
    return "—" if share is None else f"{share:.0%}"


def _calls(mean: float | None) -> str:
    return "— calls" if mean is None else f"{mean:.2f} calls a task"


def _canary(story: Story) -> str:
    if story.canary is None:
        return "none: only a promoted candidate gets one"
    return f"{story.canary['state']}. {story.canary['reason']}"


def _apply(story: Story) -> str:
    if story.applied is None:
        return "none: the active tag stays"
    return f"{story.applied['from']} → {story.applied['to']}"


def _worth(story: Story) -> str:
    """One line an apply: of several verdicts, a later one may have been the first to be applied."""
    return "\n".join(f"{gain['to']}: {gain['sentence']}" for gain in story.reserve) or "nothing was applied"


def _served(story: Story) -> str:
    word = {True: "proven", False: "WRONG", None: "not yet proven"}[story.served_digest_ok]
    return f"{word}: {story.served_digest[:19]}"
