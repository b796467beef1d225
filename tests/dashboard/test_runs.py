from __future__ import annotations

from django.test import Client

from training.models import Host, Run, Step


def make_run(host: Host, **changes) -> Run:
    values = {"lane": "standard", "host": host, "prompt": "What is it?", "pages_target": 3, "max_calls": 5}
    return Run.objects.create(**values | changes)


def test_a_run_shows_its_trajectory_and_evidence(browser: Client, host: Host) -> None:
    run = make_run(
        host,
        status="succeeded",
        answer="Read committed.",
        quotes=[{"text": "The default is read committed.", "url": "http://127.0.0.1:9/iso", "digest": "d"}],
        verifier="quotes",
        controller_tag="lealife-controller:w1",
        controller_digest="sha256:11",
        served_controller_digest="sha256:99",
        memories=[{"id": 7, "kind": "route", "url": "http://127.0.0.1:9/iso", "title": "Isolation", "score": 0.5}],
        memory_used=[7],
        memory_withheld=[8],
    )
    Step.objects.create(run=run, index=0, url="http://127.0.0.1:9/", picked_by="start", title="Start here")
    Step.objects.create(
        run=run,
        index=1,
        url="http://127.0.0.1:9/iso",
        picked_by="model",
        shortlist=[{"url": "http://127.0.0.1:9/iso", "title": "Isolation", "score": 0.9, "why": "memory"}],
        recalled=[7],
        error_code="fetch_failed",
        error="timed out",
    )
    page = browser.get(f"/runs/{run.pk}/").content.decode()
    for words in (
        "Read committed.", "The default is read committed.", "decided by quotes", "digests differ", "1 withheld",
        "Start here", "picked by model, recalled from memory", "score 0.900, picked", "fetch_failed", "timed out",
    ):  # fmt: skip
        assert words.lower() in page.lower()


def test_an_address_that_is_no_web_address_is_never_a_link(browser: Client, host: Host) -> None:
    run = make_run(host, quotes=[{"text": "<b>bold</b>", "url": "javascript:alert(1)", "digest": "d"}], answer="<i>")
    Step.objects.create(run=run, index=0, url="javascript:alert(2)", picked_by="start")
    page = browser.get(f"/runs/{run.pk}/").content.decode()
    assert 'href="javascript' not in page
    assert "<b>bold" not in page
    assert "&lt;i&gt;" in page


def test_a_run_that_does_not_exist_is_not_found(browser: Client) -> None:
    assert browser.get("/runs/1/").status_code == 404
    assert browser.get("/runs/99999999999999999999999999/").status_code == 404


def test_runs_are_listed_by_lane_and_paged_by_id(browser: Client, host: Host) -> None:
    runs = [make_run(host, prompt=f"Question {number:02d}") for number in range(30)]
    make_run(host, lane="evaluation", prompt="Held out")
    page = browser.get("/runs/?lane=standard").content.decode()
    assert "Question 29" in page
    assert "Question 04" not in page
    assert "Held out" not in page
    older = browser.get(f"/runs/?lane=standard&before={runs[5].pk}").content.decode()
    assert "Question 04" in older
    assert "Question 29" not in older


def test_a_list_of_runs_takes_nonsense_for_the_beginning(browser: Client, host: Host) -> None:
    make_run(host)
    for query in ("?before=x", "?before=-3", "?lane=nowhere", "?before=" + "9" * 40):
        assert "What is it?" in browser.get(f"/runs/{query}").content.decode()
