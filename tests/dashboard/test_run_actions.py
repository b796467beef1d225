"""The buttons on a run's page."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from lealife.core.actors import command_line
from lealife.dashboard.runs.panel import build_run_page
from lealife.run_actions import judge_run
from training.models import Host, OperatorVerdict, Run, Step, TrainingSource

URL = "http://127.0.0.1:9/queue"


def make_run(host: Host, **changes: object) -> Run:
    quotes = [{"text": "A queue is a line.", "url": URL, "digest": "d"}]
    values = {"lane": "standard", "status": "succeeded", "answer": "A line.", "quotes": quotes, "prompt": "What is it?"}
    return Run.objects.create(**{"host": host, "pages_target": 1, "max_calls": 5, **values, **changes})


def press(browser: Client, run: Run, action: str, **fields: str) -> str:
    """Presses a button; returns the page that it leads to."""
    return browser.post(f"/runs/{run.pk}/actions/{action}/", fields, follow=True).content.decode()


def test_repeat_leads_to_the_new_run(browser: Client, host: Host) -> None:
    run = make_run(host)
    response = browser.post(f"/runs/{run.pk}/actions/repeat/")
    again = Run.objects.latest("id")
    assert response["Location"] == f"/runs/{again.pk}/"
    assert (again.prompt, again.requested_by) == ("What is it?", "ada")


def test_the_check_of_a_training_source_is_shown_first_and_taken_as_edited(browser: Client, host: Host) -> None:
    run = make_run(host)
    page = browser.get(f"/runs/{run.pk}/").content.decode()
    assert f">{URL}</textarea>" in page
    assert ">A queue is a line.</textarea>" in page
    assert "is queued" in press(browser, run, "train", expected_urls=f"{URL}\n{URL}2", expected_text=" line ")
    source = TrainingSource.objects.get()
    assert source.check_spec == {"expected_urls": [URL, f"{URL}2"], "expected_text": "line"}
    press(browser, run, "train", expected_urls="", expected_text="")
    assert TrainingSource.objects.latest("id").check_spec == {}


def test_a_training_source_keeps_its_runs_own_check(browser: Client, host: Host) -> None:
    run = make_run(host, check_spec={"pattern": "line"})
    assert "<textarea" not in browser.get(f"/runs/{run.pk}/").content.decode()
    press(browser, run, "train")
    assert TrainingSource.objects.get().check_spec == {"pattern": "line"}


def test_a_verdict_is_kept_and_shown_with_its_note(browser: Client, host: Host) -> None:
    run = make_run(host)
    assert "Not judged yet" in browser.get(f"/runs/{run.pk}/").content.decode()
    page = press(browser, run, "judge", right="no", note="<i>the other queue</i>")
    assert "Judged wrong" in page
    assert "“&lt;i&gt;the other queue&lt;/i&gt;”" in page
    assert "Judged right" in press(browser, run, "judge", right="yes")
    assert OperatorVerdict.objects.count() == 2
    page = press(browser, run, "judge", right="perhaps", note="So <so>.")
    assert "Choose yes or no." in page
    assert 'value="So &lt;so&gt;."' in page
    assert OperatorVerdict.objects.count() == 2


def test_after_a_no_the_page_asks_what_would_have_been_right_and_says_what_changed(browser: Client, host: Host) -> None:
    run = make_run(host)
    Step.objects.create(run=run, index=0, url=URL, picked_by="start", title="Queues")
    page = press(browser, run, "judge", right="no", note="Too old.")
    for words in (
        "What this changed", "“Queues” is visited last for this question and similar ones.",
        "This question is no case of manual while it is not known what is right.",
        "What would have been right?", 'value="Too old."', "Ask again",
        "The passage that was quoted is left out when this question is asked again.",
        "With the right page the question can become a case of the host.",
    ):  # fmt: skip
        assert words in page
    page = press(browser, run, "judge", right="no", right_url=f"{URL}2", right_text="A <b>line</b>.", note="Too old.")
    for words in (
        f'Right is <a href="{URL}2" rel="noopener noreferrer nofollow">{URL}2</a>: “A &lt;b&gt;line&lt;/b&gt;.”',
        f"{URL}2 is visited first for this question", "This question is now a case of manual",
        f'value="{URL}2"', ">A &lt;b&gt;line&lt;/b&gt;.</textarea>",
    ):  # fmt: skip
        assert words in page
    page = press(
        browser, run, "judge", right="no", right_url="http://elsewhere.example/", right_text="A heap.", note="Mine."
    )
    assert "is not on manual" in page
    for words in ('value="http://elsewhere.example/"', ">A heap.</textarea>", 'value="Mine."'):
        assert words in page
    again = browser.get(f"/runs/{run.pk}/").content.decode()
    assert 'value="Too old."' in again
    assert 'value="Mine."' not in again
    assert OperatorVerdict.objects.count() == 2


def test_after_a_yes_the_page_says_what_changed_and_asks_for_nothing(browser: Client, host: Host) -> None:
    page = press(browser, make_run(host), "judge", right="yes")
    assert f"{URL} is visited first for this question and similar ones." in page
    assert "This question is now a case of manual" in page
    assert "What would have been right?" not in page


def test_a_verdict_that_a_later_one_on_the_question_outdates_says_so(browser: Client, host: Host) -> None:
    first, second = make_run(host), make_run(host)
    press(browser, first, "judge", right="yes")
    press(browser, second, "judge", right="no", right_url=f"{URL}2")
    page = browser.get(f"/runs/{first.pk}/").content.decode()
    assert "A later verdict on this question says what is right, and counts now." in page
    assert "visited first" not in page.partition("What this changed")[2].partition("</ul>")[0]
    press(browser, make_run(host, quotes=[]), "judge", right="no")
    third = Run.objects.latest("pk")
    assert (
        "This question is a case of manual by an earlier verdict." in browser.get(f"/runs/{third.pk}/").content.decode()
    )


def test_a_case_that_a_no_of_another_run_took_back_says_so(browser: Client, host: Host) -> None:
    first, second = make_run(host), make_run(host)
    press(browser, first, "judge", right="yes")
    press(browser, second, "judge", right="no")
    page = browser.get(f"/runs/{first.pk}/").content.decode()
    assert "A later verdict took this case back." in page
    assert "It makes no case" not in page


def test_a_passage_that_holds_the_right_words_is_not_said_to_be_left_out(browser: Client, host: Host) -> None:
    quote = {"text": "A queue is a line. It is  ordered.", "highlight": "A queue is a line.", "url": URL, "digest": "d"}
    page = press(
        browser, make_run(host, quotes=[quote]), "judge", right="no", right_url=URL, right_text="It is ordered."
    )
    assert f"{URL} is visited first for this question" in page
    assert "is left out when this question is asked again" not in page


def test_what_changed_adds_up_over_verdicts_that_say_the_same(browser: Client, host: Host) -> None:
    run = make_run(host)
    for right, effect in ((True, {"trusted": [1]}), (False, {"retired": [1, 2]}), (False, {"unhelped": [3]})):
        OperatorVerdict.objects.create(run=run, right=right, by="ada", origin="page", effect=effect)
    page = browser.get(f"/runs/{run.pk}/").content.decode()
    assert "2 memory items retired" in page
    assert "1 memory item no longer counted as having helped." in page
    assert "confirmed" not in page.partition("What this changed")[2].partition("</ul>")[0]


def test_a_judged_run_costs_the_same_however_often_it_was_judged(
    host: Host, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    run = make_run(host)
    for right in (True, False, False):
        judge_run(run_id=run.pk, right=right, by=command_line("ada"), origin="page")
    with django_assert_max_num_queries(9):
        build_run_page(run.pk)


def test_what_is_refused_says_so_and_shows_no_button_for_it(browser: Client, host: Host) -> None:
    run = make_run(host, lane="evaluation")
    page = browser.get(f"/runs/{run.pk}/").content.decode()
    assert page.count("is a held-out evaluation") == 3
    assert 'name="right"' not in page
    assert "/actions/repeat/" not in page
    for action in ("repeat", "train", "judge"):
        assert "is a held-out evaluation" in press(browser, run, action, right="yes")
    assert (Run.objects.count(), TrainingSource.objects.count(), OperatorVerdict.objects.count()) == (1, 0, 0)


@pytest.mark.parametrize("action", ["repeat", "train", "judge"])
def test_the_actions_are_for_staff_by_post_with_a_token(staff: User, host: Host, action: str) -> None:
    address = f"/runs/{make_run(host).pk}/actions/{action}/"
    assert Client().post(address)["Location"].startswith("/login/")
    visitor, careless = Client(), Client(enforce_csrf_checks=True)
    visitor.force_login(User.objects.create_user("visitor"))
    careless.force_login(staff)
    assert visitor.post(address).status_code == 403
    assert careless.post(address, {"right": "yes"}).status_code == 403
    assert careless.get(address)["Location"] == f"/runs/{Run.objects.get().pk}/"
    assert careless.put(address).status_code in (403, 405)
    assert (Run.objects.count(), TrainingSource.objects.count(), OperatorVerdict.objects.count()) == (1, 0, 0)


def test_an_unknown_action_or_run_is_not_found(browser: Client, host: Host) -> None:
    assert browser.post(f"/runs/{make_run(host).pk}/actions/delete/").status_code == 404
    for action in ("repeat", "train", "judge"):
        assert browser.post(f"/runs/987654/actions/{action}/", {"right": "yes"}).status_code == 404
