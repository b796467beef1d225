"""Whole runs over pages of many shapes: empty, dead, filled by scripts, framed, or in another language."""

from __future__ import annotations

import pytest

from tests.training.agent.journeys import SHED, FrozenBrowser, run
from tests.training.agent.sites import GARDEN, ScriptedModel, Stub, brain, remembered, serve, task
from training.agent.navigate import navigate
from training.agent.task import SuccessCheck


@pytest.mark.parametrize(
    ("pages", "code"),
    [
        ({"/": Stub(b"{}", media_type="application/json")}, "not_html"),
        ({"/": Stub(b"gone", status=410)}, "fetch_failed"),
        ({"/": Stub(status=302, headers={"Location": "/"})}, "redirect_loop"),
        ({"/": Stub(status=302, headers={"Location": "http://10.0.0.1/"})}, "blocked_by_policy"),
        ({"/": Stub(b"x" * 5_000_001)}, "too_large"),
    ],
)
def test_a_start_page_that_cannot_be_read_names_the_reason(pages: dict[str, Stub], code: str) -> None:
    with serve(pages) as stub:
        trajectory = run(stub)
    assert (trajectory.success, trajectory.error_code) == (False, code)
    assert trajectory.error
    assert trajectory.steps[0].error_code == code


def test_an_empty_page_is_no_page_read() -> None:
    with serve({"/": b"<html><head><title>Start</title></head><body> <p></p></body></html>"}) as stub:
        trajectory = run(stub, changes={"check": SuccessCheck(min_pages=1)})
    assert (trajectory.success, trajectory.pages, trajectory.error_code) == (False, 0, "fetch_failed")
    assert trajectory.error == f"{stub.url} is an empty page."


@pytest.mark.parametrize(
    "says",
    [
        "",
        "Loading \u2026",
        '<a href="/"><img src="/logo.png"></a>',
        '<a href="/x">Help</a>',
        "<p>Please enable JavaScript to use this page, which cannot do without.</p>",
        "</div><footer>\u00a9 2026 The Garden Company, all rights reserved.</footer>",
    ],
)
def test_a_shell_that_scripts_fill_is_named_and_the_engine_that_runs_them(says: str) -> None:
    shell = f'<title>App</title><div id="root">{says}</div><script src="/m.js"></script>'
    with serve({"/": shell.encode()}) as stub:
        trajectory = run(stub)
    assert not trajectory.success
    assert trajectory.error.endswith(
        "Without its scripts it has almost no text. The browser engine \u201cchromium\u201d runs them, "
        "\u201chttp\u201d does not."
    )


def test_a_page_of_links_alone_leads_on() -> None:
    pages = {"/": b"<frameset><frame src=/shed.html></frameset>", "/shed.html": GARDEN["/tools/spade.html"]}
    with serve(pages) as stub:
        trajectory = run(stub, SHED)
    assert (trajectory.success, trajectory.pages) == (True, 1)


def test_where_there_is_nothing_more_to_read_fewer_pages_are_enough() -> None:
    with serve({"/": GARDEN["/tools/spade.html"].replace(b"href", b"name")}) as stub:
        trajectory = run(stub, SHED, changes={"pages_target": 3})
        assert (trajectory.success, trajectory.verifier, trajectory.pages) == (True, "supported", 1)
        strict = run(stub, SHED, changes={"check": SuccessCheck(min_pages=2)})
    assert (strict.success, strict.error_code) == (False, "no_route")


@pytest.mark.parametrize(
    ("prompt", "quote"),
    [
        ("What is the default port of the widget?", "Default port 5432"),
        ("What is the maximum length of names?", "Maximum length of names 63 bytes"),
        ("Which colour do widgets have?", "Colour of widgets: purple"),
    ],
)
def test_a_fact_in_a_short_cell_entry_or_item_is_quoted(prompt: str, quote: str) -> None:
    body = """<title>Widget facts</title><table><tr><th>Default port</th><td>5432</td></tr><tr><th>Vendor</th>
    <td>ACME</td></tr></table><dl><dt>Maximum length of names</dt><dd>63 bytes</dd></dl>
    <ul><li>Colour of widgets: purple</li></ul>"""
    with serve({"/": body.encode()}) as stub:
        trajectory = run(stub, prompt, changes={"write_answer": False})
    assert (trajectory.success, trajectory.answer) == (True, quote)


# "How long are parts kept?", and the sentence that says it.
JAPANESE = (
    "\u90e8\u54c1\u306e\u4fdd\u5b58\u671f\u9593\u306f\uff1f",
    "\u90e8\u54c1\u306e\u4fdd\u5b58\u671f\u9593\u306f\u4e5d\u5341\u65e5\u9593\u3067\u3059\u3002",
)
RUSSIAN = (
    "\u0421\u0440\u043e\u043a \u0445\u0440\u0430\u043d\u0435\u043d\u0438\u044f?",
    "\u0421\u0440\u043e\u043a \u0445\u0440\u0430\u043d\u0435\u043d\u0438\u044f "
    "\u2013 \u0434\u0435\u0432\u044f\u043d\u043e\u0441\u0442\u043e \u0434\u043d\u0435\u0439 "
    "\u0438 \u043d\u0435 \u0431\u043e\u043b\u044c\u0448\u0435.",
)


@pytest.mark.parametrize(
    ("charset", "prompt", "sentence"), [("Shift_JIS", *JAPANESE), ("windows-1251", *RUSSIAN), ("utf-16", *RUSSIAN)]
)
def test_a_page_in_another_language_and_character_set_is_quoted_and_replayed(
    charset: str, prompt: str, sentence: str
) -> None:
    other = Stub(f"<p>{sentence}</p>".encode(charset), media_type=f"text/html; charset={charset}")
    with serve({"/": other}) as stub:
        trajectory = run(stub, prompt, changes={"write_answer": False})
        the_task = task(prompt, stub.site(), write_answer=False)
    assert trajectory.answer == sentence
    frozen = FrozenBrowser(trajectory.steps)
    assert navigate(task=the_task, brain=brain(), browser=frozen, model=ScriptedModel()).answer == sentence


def test_words_with_soft_hyphens_and_zero_width_blanks_are_found() -> None:
    with serve({"/": b"<p>The reten&shy;tion of pur&#8203;ple wid&zwnj;gets is ninety days, as agreed.</p>"}) as stub:
        plain = run(stub, "What is the retention of purple widgets?", changes={"write_answer": False})
        quoted = run(stub, "Who says \u201cretention of purple widgets\u201d?", changes={"write_answer": False})
    assert plain.success
    assert plain.answer == quoted.answer


def test_a_dead_link_costs_a_step_and_the_run_goes_on() -> None:
    pages = {
        "/": b'<a href="/dead.html">green door</a><a href="/shed.html">green shed</a>',
        "/shed.html": GARDEN["/tools/spade.html"],
    }
    with serve(pages) as stub:
        trajectory = run(stub, SHED)
    assert [step.error_code for step in trajectory.steps] == ["", "fetch_failed", ""]
    assert trajectory.success


def test_a_dead_start_page_is_no_end_when_memory_knows_the_way() -> None:
    with serve({"/shed.html": GARDEN["/tools/spade.html"]}) as stub:
        memory = remembered(stub.url + "shed.html", "behind the green door")
        trajectory = run(stub, SHED, brain=brain(memory))
    assert trajectory.success
    assert [step.picked_by for step in trajectory.steps] == ["start", "only"]
    assert trajectory.controller_calls == 0


def test_a_folder_and_its_index_are_not_both_visited() -> None:
    pages = {"/": b'<a href="index.html">green door</a><a href="a.html">a</a>', "/a.html": b"<p>a</p>"}
    with serve(pages) as stub:
        run(stub, SHED)
    assert stub.asked == ["/robots.txt", "/", "/a.html"]
