"""Standard tasks over the API."""

from __future__ import annotations

from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from learning.models import CurriculumTask
from tests.api.test_problems import assert_problem
from training.models import Host, Run, Step, TrainingSource

JSON = "application/json"


def test_a_task_is_accepted_with_its_address(host: Host, operator: Client) -> None:
    answer = operator.post("/api/tasks", {"prompt": " Which page explains queues? ", "host": "manual"}, JSON)
    assert answer.status_code == 202
    run = Run.objects.get()
    assert answer.json() == {"id": run.pk, "status": "queued", "href": f"/api/tasks/{run.pk}"}
    assert (run.lane, run.prompt, run.host, run.requested_by) == (
        "standard", "Which page explains queues?", host, "key:test operate",
    )  # fmt: skip


def test_a_tasks_answer_comes_with_its_evidence(host: Host, reader: Client) -> None:
    run = Run.objects.create(
        lane=Run.Lane.STANDARD,
        status=Run.Status.SUCCEEDED,
        host=host,
        prompt="Which page explains queues?",
        pages_target=1,
        max_calls=5,
        controller_tag="lealife-controller:1",
        controller_digest="sha256:aa",
        served_controller_digest="sha256:aa",
        task_tag="lealife-task:1",
        task_digest="sha256:bb",
        served_task_digest="sha256:bb",
        memories=[{"id": 7, "kind": "page", "url": "http://127.0.0.1:9/queue", "title": "queue", "score": 0.5}],
        memory_used=[7],
        answer="The page queue.",
        answer_state=Run.AnswerState.SUPPORTED,
        answer_score=0.75,
        is_quoted=True,
        quotes=[
            {
                "text": "A queue",
                "url": "http://127.0.0.1:9/queue",
                "digest": "cc",
                "heading": "Lines › Queues",
                "highlight": "queue",
            }
        ],
        verifier="supported",
        finished_at=timezone.now(),
    )
    Step.objects.create(
        run=run,
        index=0,
        url="http://127.0.0.1:9/q",
        final_url="http://127.0.0.1:9/queue",
        title="queue",
        status_code=200,
        picked_by="start",
    )
    answer = reader.get(f"/api/tasks/{run.pk}").json()
    assert answer["status"] == "succeeded"
    assert answer["answer"] == "The page queue."
    assert (answer["answer_state"], answer["answer_score"], answer["is_quoted"]) == ("supported", 0.75, True)
    assert answer["quotes"] == run.quotes
    assert answer["pages"] == [{"url": "http://127.0.0.1:9/queue", "title": "queue", "status": 200, "error_code": ""}]
    assert answer["controller"] == {
        "tag": "lealife-controller:1",
        "claimed_digest": "sha256:aa",
        "served_digest": "sha256:aa",
    }
    assert answer["recalled"][0]["id"] == 7
    assert answer["memory_used"] == [7]


def test_what_is_unsure_is_given_as_a_draft_and_never_as_an_answer(host: Host, reader: Client) -> None:
    old_quote = {"text": "A queue is a line.", "url": "http://127.0.0.1:9/queue", "digest": "d"}
    run = make_run(
        host, status="failed", answer_state="unsure", answer_score=0.3, error_code="unsure", quotes=[old_quote]
    )
    task = reader.get(f"/api/tasks/{run.pk}").json()
    assert (task["status"], task["answer_state"], task["error_code"]) == ("failed", "unsure", "unsure")
    assert (task["answer"], task["draft"]) == ("", "A line.")
    assert task["quotes"] == [old_quote | {"heading": "", "highlight": ""}]
    assert reader.get("/api/tasks").json()["tasks"][0]["answer_state"] == "unsure"


def test_a_training_run_is_no_task(host: Host, reader: Client) -> None:
    run = Run.objects.create(lane=Run.Lane.TRAINING, host=host, prompt="x", pages_target=1, max_calls=1)
    assert reader.get(f"/api/tasks/{run.pk}").status_code == 404
    assert reader.get("/api/tasks").json() == {"tasks": [], "next_before": None}


def test_tasks_are_listed_newest_first_and_paged_by_id(host: Host, reader: Client) -> None:
    made = [
        Run.objects.create(lane=Run.Lane.STANDARD, host=host, prompt=f"{n}", pages_target=1, max_calls=1).pk
        for n in range(5)
    ]
    first = reader.get("/api/tasks?limit=2").json()
    assert [task["id"] for task in first["tasks"]] == [made[4], made[3]]
    second = reader.get(f"/api/tasks?limit=2&before={first['next_before']}").json()
    assert [task["id"] for task in second["tasks"]] == [made[2], made[1]]
    last = reader.get(f"/api/tasks?limit=2&before={second['next_before']}").json()
    assert [task["id"] for task in last["tasks"]] == [made[0]]
    assert last["next_before"] is None


def make_run(host: Host, **changes: object) -> Run:
    quotes = [{"text": "A queue is a line.", "url": "http://127.0.0.1:9/queue", "digest": "d"}]
    values = {"lane": "standard", "status": "succeeded", "answer": "A line.", "quotes": quotes, "prompt": "What is it?"}
    return Run.objects.create(**{"host": host, "pages_target": 1, "max_calls": 5, **values, **changes})


def act(client: Client, run: Run, action: str, body: object = None) -> HttpResponse:
    return client.post(f"/api/tasks/{run.pk}/actions/{action}/", body, JSON)


def test_a_task_is_repeated_and_the_new_one_has_its_own_address(host: Host, operator: Client) -> None:
    answer = act(operator, make_run(host), "repeat")
    assert answer.status_code == 202
    again = Run.objects.latest("id")
    assert answer.json() == {"id": again.pk, "status": "queued", "href": f"/api/tasks/{again.pk}"}
    assert (again.prompt, again.requested_by) == ("What is it?", "key:test operate")


def test_a_task_becomes_a_training_source_with_its_evidence_or_a_check_of_ones_own(
    host: Host, operator: Client
) -> None:
    run = make_run(host)
    made = act(operator, run, "train")
    assert (made.status_code, made.json()["queued_from"]) == (201, "run")
    assert TrainingSource.objects.get(pk=made.json()["id"]).check_spec["expected_text"] == "A queue is a line."
    own = act(operator, run, "train", {"title": "Lines", "check": {"pattern": "line"}}).json()
    assert (own["title"], TrainingSource.objects.get(pk=own["id"]).check_spec) == ("Lines", {"pattern": "line"})
    assert_problem(act(operator, run, "train", {"check": {"pattern": "("}}), 422, field="check")


def test_a_verdict_is_given_and_stands_in_the_task(host: Host, operator: Client) -> None:
    run = make_run(host)
    assert operator.get(f"/api/tasks/{run.pk}").json()["verdict"] is None
    given = act(operator, run, "verdict", {"right": False, "note": "The other queue."})
    assert given.status_code == 201
    verdict = operator.get(f"/api/tasks/{run.pk}").json()["verdict"]
    assert verdict == given.json()
    assert (verdict["right"], verdict["note"], verdict["by"]) == (False, "The other queue.", "key:test operate")
    for nonsense in ({}, {"right": "yes"}, {"right": 1}, {"right": True, "note": "x" * 2_001}, {"right": True, "x": 1}):
        assert_problem(act(operator, run, "verdict", nonsense), 422)


def test_a_wrong_answer_is_corrected_and_the_verdict_says_what_changed(host: Host, operator: Client) -> None:
    run = make_run(host)
    right = {"right_url": "http://127.0.0.1:9/stack", "right_text": "A stack is a pile."}
    verdict = act(operator, run, "verdict", {"right": False, **right}).json()
    assert {name: verdict[name] for name in right} == right
    assert "http://127.0.0.1:9/queue is visited last for this question and similar ones." in verdict["changes"]
    case = CurriculumTask.objects.get()
    assert (verdict["case"], verdict["case_split"]) == (case.pk, case.split)
    bare = act(operator, make_run(host, prompt="Else?"), "verdict", {"right": False}).json()
    assert (bare["case"], bare["case_split"], bare["right_url"]) == (None, None, "")
    assert_problem(act(operator, run, "verdict", {"right": True, **right}), 422, field="right_url")
    elsewhere = {"right": False, "right_url": "http://elsewhere.example/"}
    assert_problem(act(operator, run, "verdict", elsewhere), 422, field="right_url")


def test_what_must_stay_as_it_is_refuses_every_action_in_a_sentence(host: Host, operator: Client) -> None:
    held_out = make_run(host, lane="evaluation")
    for action, body in (("repeat", None), ("train", None), ("verdict", {"right": True})):
        assert "held-out evaluation" in assert_problem(act(operator, held_out, action, body), 409)["detail"]
    assert_problem(operator.post("/api/tasks/987654/actions/repeat/"), 404)


def test_a_prompt_about_an_unknown_website_is_never_asked_of_the_only_known_one(host: Host, operator: Client) -> None:
    task = {"prompt": "What does https://unknown.example/a say of http://[ ?"}
    problem = assert_problem(operator.post("/api/tasks", task, JSON), 422, field="host")
    assert problem["detail"].startswith("unknown.example is on no known host.")
    assert operator.post("/api/tasks", task | {"host": "manual"}, JSON).status_code == 202
