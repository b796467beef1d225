"""Standard tasks: ask a question and read the result."""

from __future__ import annotations

from django.http import HttpRequest
from django.urls import reverse
from ninja import Router, Status

from lealife import run_actions
from lealife.api.run_schemas import (
    PageOut,
    TagOut,
    TaskListOut,
    TaskOut,
    TaskQueuedOut,
    TaskSummaryOut,
    TrainIn,
    VerdictIn,
    VerdictOut,
)
from lealife.api.schemas import (
    Before,
    Limit,
    RowId,
    SourceOut,
    TaskIn,
    declare_responses,
    fill_schema,
)
from lealife.api.training import describe_source
from lealife.auth import ActorRequest, allow
from lealife.core.errors import NotFound
from lealife.core.paging import read_page
from lealife.pipeline import launching
from lealife.verdict_words import describe_changes
from training.models import OperatorVerdict, Run
from training.operator_verdicts import read_latest_verdict

ORIGIN = "api"
router = Router(tags=["tasks"])


@router.post("", response=declare_responses(202, TaskQueuedOut, 404), auth=allow(launching.ask))
def create_task(request: ActorRequest, body: TaskIn) -> Status:
    """Queues a question about a website. Poll its `href` for the answer."""
    run = launching.ask(**body.read_task(), by=request.auth)
    return Status(202, fill_schema(TaskQueuedOut, run, href=build_href(run.pk)))


@router.get("", response=declare_responses(200, TaskListOut))
def list_tasks(
    request: HttpRequest,
    limit: Limit = 20,
    before: Before = None,
) -> TaskListOut:
    """Tasks, newest first."""
    page = read_page(Run.objects.filter(lane__in=Run.QUESTION_LANES).select_related("host"), before=before, size=limit)
    tasks = [fill_schema(TaskSummaryOut, run, host=run.host.name, href=build_href(run.pk)) for run in page.rows]
    return TaskListOut(tasks=tasks, next_before=page.next_before)


@router.get("/{task_id}", response=declare_responses(200, TaskOut, 404), url_name="task")
def read_task(request: HttpRequest, task_id: RowId) -> TaskOut:
    """One task: status, answer and how sure it is, quotes, pages, tags and digests that served it, what it recalled."""
    run = Run.objects.filter(pk=task_id, lane__in=Run.QUESTION_LANES).select_related("host").first()
    if run is None:
        raise NotFound(f"There is no task {task_id}.")
    verdict = read_latest_verdict(task_id)
    return fill_schema(
        TaskOut,
        run,
        host=run.host.name,
        href=build_href(run.pk),
        answer=run.given_answer,
        answer_schema=run.check_spec.get("json_schema"),
        pages=[
            fill_schema(PageOut, step, url=step.final_url or step.url, status=step.status_code)
            for step in run.steps.order_by("index")
        ],
        controller=TagOut(
            tag=run.controller_tag,
            claimed_digest=run.controller_digest,
            served_digest=run.served_controller_digest,
        ),
        task=TagOut(tag=run.task_tag, claimed_digest=run.task_digest, served_digest=run.served_task_digest),
        recalled=run.memories,
        verdict=describe_verdict(verdict, run=run) if verdict else None,
    )


@router.post(
    "/{task_id}/actions/repeat/",
    response=declare_responses(202, TaskQueuedOut, 404, 409),
    auth=allow(run_actions.repeat_run),
)
def repeat_task(request: ActorRequest, task_id: RowId) -> Status:
    """Runs the same task again with today's tags and memory. Runs of evaluations and canaries cannot be repeated."""
    run = run_actions.repeat_run(run_id=task_id, by=request.auth, origin=ORIGIN)
    return Status(202, fill_schema(TaskQueuedOut, run, href=build_href(run.pk)))


@router.post(
    "/{task_id}/actions/train/",
    response=declare_responses(201, SourceOut, 404, 409),
    auth=allow(run_actions.train_on_run),
)
def train_on_task(request: ActorRequest, task_id: RowId, body: TrainIn | None = None) -> Status:
    """Queues the task for training. Without a check in the body, the check is made from the run's own evidence."""
    wanted = body or TrainIn()
    source = run_actions.train_on_run(
        run_id=task_id, title=wanted.title, check_spec=wanted.check, by=request.auth, origin=ORIGIN
    )
    return Status(201, describe_source(source))


@router.post(
    "/{task_id}/actions/verdict/",
    response=declare_responses(201, VerdictOut, 404, 409),
    auth=allow(run_actions.judge_run),
)
def judge_task(request: ActorRequest, task_id: RowId, body: VerdictIn) -> Status:
    """Records whether a run's answer was right. The latest verdict counts, and changes the memory made from the run.

    Where it is known what is right, the question becomes a case of the host. Training runs can be judged here too;
    evaluation runs are refused.
    """
    verdict = run_actions.judge_run(run_id=task_id, by=request.auth, origin=ORIGIN, **body.dict())
    return Status(201, describe_verdict(verdict, run=run_actions.find_run(task_id)))


def describe_verdict(verdict: OperatorVerdict, *, run: Run) -> VerdictOut:
    """A verdict as JSON, with what it changed."""
    changes, case = describe_changes(verdict, run=run)
    return fill_schema(
        VerdictOut,
        verdict,
        run=run.pk,
        changes=changes,
        case=case.pk if case else None,
        case_split=case.split if case else None,
    )


def build_href(task_id: int) -> str:
    """The task's own address."""
    return reverse("api:task", kwargs={"task_id": task_id})
