"""Cases: what a verdict makes of a question, and what a later one makes of the case."""

from __future__ import annotations

from typing import Any

import pytest

from lealife.core.actors import command_line
from lealife.core.digest import digest_bytes
from lealife.core.errors import Conflict, InvalidInput
from lealife.run_actions import judge_run, train_on_run
from learning.curriculum.tasks import make_tasks, split_of
from learning.index.indexing import count_terms, index_page
from learning.models import CurriculumTask
from promotion.candidates.building import read_held_out
from promotion.evaluation.freezing import choose_tasks
from tests.factories import START, make_crawled, make_html, make_source
from training.agent.reading.page import parse_page
from training.models import AuditEntry, Host, OperatorVerdict, Run, TrainingSource
from training.runs import keep_snapshot

BY = {"by": command_line("ada"), "origin": "page"}
PROMPT = "When are roses pruned?"
SAID = "Roses are pruned in late winter."


def find_path(split: str, *, after: int = 0) -> str:
    """The first path whose page is on this side of the split."""
    return next(f"page{n}" for n in range(after, 99) if split_of(f"http://127.0.0.1:9/1/page{n}") == split)


@pytest.fixture
def host(db: None) -> Host:
    return Host.objects.create(name="garden", base_url="http://127.0.0.1:9/1/", may_be_private=True)


@pytest.fixture(params=["train", "evaluation"])
def split(request: pytest.FixtureRequest) -> str:
    return request.param


def make_run(host: Host, path: str, *, prompt: str = PROMPT, text: str = SAID, **changes: Any) -> Run:
    quote = {"text": f"{text} Then water them.", "highlight": text, "url": f"{host.base_url}{path}", "digest": "d"}
    values = {"lane": "standard", "status": "succeeded", "answer": text, "quotes": [quote], "prompt": prompt}
    return Run.objects.create(host=host, pages_target=1, max_calls=5, **values | changes)


def index(host: Host, path: str, *paragraphs: str) -> str:
    """A page of the host as the index keeps it; its address."""
    body, url = make_html(path, *paragraphs), f"{host.base_url}{path}"
    snapshot = keep_snapshot(body, digest=digest_bytes(body), media_type="text/html")
    page = parse_page(body=body, media_type="text/html", url=url, site=host.as_site())
    index_page(host_id=host.pk, url=url, page=page, snapshot_digest=snapshot.pk, now=START)
    count_terms(host.pk)
    return url


def judge(run: Run, right: bool, **more: str) -> OperatorVerdict:
    return judge_run(run_id=run.pk, right=right, **BY, **more)


def read_cases() -> list[tuple[str, str]]:
    """Path and split of the cases that count."""
    return [(case.expected_url.rpartition("/")[2], case.split) for case in CurriculumTask.objects.cases()]


def test_a_yes_makes_a_case_of_the_quoted_page_and_words(host, split):
    path = find_path(split)
    verdict = judge(make_run(host, path), True)
    case = CurriculumTask.objects.get()
    assert (case.kind, case.split, case.prompt, case.verdict) == ("person", split, PROMPT, verdict)
    assert case.check_spec == {"expected_urls": [f"{host.base_url}{path}"], "expected_text": SAID}
    sources = list(TrainingSource.objects.values_list("prompt", "check_spec", "queued_from", "status"))
    assert sources == ([(PROMPT, case.check_spec, "verdict", "pending")] if split == "train" else [])
    assert choose_tasks(count=9, seed=0) == ([case] if split == "evaluation" else [])


def test_a_yes_keeps_a_check_of_its_own_that_can_tell(host):
    judge(make_run(host, "a", check_spec={"pattern": "winter"}), True)
    judge(make_run(host, "a", check_spec={"min_pages": 2}, prompt="What else?"), True)
    assert [case.check_spec.get("pattern") for case in CurriculumTask.objects.all()] == ["winter", None]


def test_a_no_makes_a_case_of_what_the_person_named(host, split):
    path = find_path(split)
    verdict = judge(make_run(host, "wrong"), False, right_url=f" {host.base_url}{path}#top ", right_text="in  February")
    assert (verdict.right_url, verdict.right_text) == (f"{host.base_url}{path}", "in February")
    case = CurriculumTask.objects.get()
    assert case.check_spec == {"expected_urls": [f"{host.base_url}{path}"], "expected_text": "in February"}
    assert (case.split, TrainingSource.objects.count()) == (split, int(split == "train"))


def test_a_no_that_names_nothing_makes_no_case(host):
    judge(make_run(host, "wrong"), False)
    assert not CurriculumTask.objects.exists()
    assert not TrainingSource.objects.exists()


@pytest.mark.parametrize(
    ("right", "named", "field", "words"),
    [
        (True, {"right_url": "http://127.0.0.1:9/1/a"}, "right_url", "belongs to a “no”"),
        (True, {"right_text": "x"}, "right_text", "belongs to a “no”"),
        (False, {"right_url": "http://127.0.0.1:9/1/wrong"}, "right_text", "is the page that was quoted"),
        (False, {"right_url": "http://elsewhere.example/"}, "right_url", "is not on garden"),
        (False, {"right_url": "javascript:alert(1)"}, "right_url", "not an http or https address"),
        (False, {"right_text": "x" * 2_001}, "right_text", "at most 2,000"),
        (False, {"right_text": "No page says that."}, "right_text", "No page of garden that was read says this"),
    ],
)
def test_what_cannot_be_right_is_refused_by_field(host, right, named, field, words):
    with pytest.raises(InvalidInput, match=words) as refused:
        judge(make_run(host, "wrong"), right, **named)
    assert refused.value.details["field"] == field
    assert not OperatorVerdict.objects.exists()


def test_words_that_do_not_stand_on_the_page_are_refused_where_the_page_is_kept(host):
    url = index(host, "roses", "Roses are pruned in February.", "They flower in June.")
    run = make_run(host, "wrong")
    with pytest.raises(InvalidInput, match="does not stand on"):
        judge(run, False, right_url=url, right_text="in March")
    assert judge(run, False, right_url=url, right_text="IN FEBRUARY. They  flower").right_url == url


def test_words_alone_name_their_page_where_only_one_page_has_them(host):
    index(host, "trees", "Oaks are felled in autumn, and roses are watered in the morning.")
    url = index(host, "roses", "Roses are pruned in February.", "They are watered in the morning.")
    run = make_run(host, "wrong")
    assert judge(run, False, right_text="roses are pruned in february").right_url == url
    with pytest.raises(InvalidInput, match=r"More than one page says this: \S+roses and \S+trees"):
        judge(run, False, right_text="watered in the morning")


def test_a_later_verdict_on_the_question_replaces_the_case_and_its_source(host):
    first, second = (f"{host.base_url}{find_path('train', after=after)}" for after in (0, 20))
    judge(make_run(host, "wrong"), False, right_url=first)
    judge(make_run(host, "wrong", prompt=PROMPT.upper()), False, right_url=second)
    old, new = CurriculumTask.objects.order_by("pk")
    assert (old.replaced_at is None, new.replaced_at is None) == (False, True)
    assert [source.status for source in TrainingSource.objects.order_by("pk")] == ["cancelled", "pending"]
    assert OperatorVerdict.objects.count() == 2


def test_a_verdict_that_says_the_same_keeps_the_case_and_queues_nothing_twice(host):
    path = find_path("train")
    judge(make_run(host, path), True)
    latest = judge(make_run(host, path), True)
    assert CurriculumTask.objects.get().verdict == latest
    assert TrainingSource.objects.count() == 1


def test_of_verdicts_given_at_once_the_latest_makes_the_only_case(race):
    host = Host.objects.create(name="garden", base_url="http://127.0.0.1:9/1/", may_be_private=True)
    runs = [make_run(host, find_path("train", after=20 * number)) for number in range(4)]
    race(*[lambda run=run: judge(run, True) for run in runs])
    assert CurriculumTask.objects.cases().get().verdict == OperatorVerdict.objects.latest("pk")
    assert OperatorVerdict.objects.count() == 4


def test_a_bare_no_takes_back_its_own_case_and_one_that_says_the_same(host):
    path = find_path("train")
    run = make_run(host, path)
    judge(run, True)
    judge(run, False)
    assert read_cases() == []
    judge(run, True)
    judge(make_run(host, path), False)
    assert read_cases() == []
    judge(run, True)
    judge(make_run(host, "elsewhere"), False)
    judge(make_run(host, path, text="Roses need sun."), False)
    assert read_cases() == [(path, "train")]


def test_a_held_out_case_is_never_trained_on(host):
    run = make_run(host, find_path("evaluation"))
    judge(run, True)
    with pytest.raises(Conflict, match="held out"):
        train_on_run(run_id=make_run(host, "x", prompt=PROMPT.lower()).pk, **BY)
    judge(run, False)
    assert AuditEntry.objects.filter(action="withdraw held-out task").count() == 1
    assert train_on_run(run_id=run.pk, check_spec={}, **BY)


def test_what_a_replaced_case_says_is_not_held_out_any_more(host):
    run = make_run(host, find_path("evaluation"))
    judge(run, True)
    assert PROMPT in read_held_out()
    judge(run, False)
    assert read_held_out() == []


def test_a_question_that_was_trained_on_is_never_held_out(host):
    make_source(host, prompt=PROMPT)
    judge(make_run(host, find_path("evaluation")), True)
    assert read_cases() == []
    judge(make_run(host, find_path("train")), True)
    assert len(read_cases()) == 1


def test_a_question_that_the_curriculum_asks_itself_is_no_case(host):
    CurriculumTask.objects.create(
        host=host, split="evaluation", expected_url=host.base_url, page_digest="d", passage="p", prompt=PROMPT
    )
    judge(make_run(host, find_path("train")), True)
    assert read_cases() == []
    assert not TrainingSource.objects.exists()


def test_a_case_is_no_task_of_its_page_and_is_not_withdrawn_with_what_many_pages_say(host):
    frame = "Roses are pruned in late winter, before the buds begin to swell."
    own = [
        f"Sentence {n} of this page of the garden is long enough, and its own: {{}}." for n in ("one", "two", "three")
    ]
    path = find_path("train")
    judge(make_run(host, path, text=frame), True)
    for name in (path, "other1", "other2", "other3", "other4"):
        url, body = f"{host.base_url}{name}", make_html(name, frame, *(text.format(name) for text in own))
        entry = make_crawled(host, url=url, body=body)
        page = parse_page(body=body, media_type="text/html", url=url, site=host.as_site())
        make_tasks(entry, url=url, parsed=page, now=START)
    assert CurriculumTask.objects.asked().filter(kind="person").exists()
    assert CurriculumTask.objects.filter(kind="says", expected_url=f"{host.base_url}{path}").exists()


def test_cases_are_asked_before_other_held_out_tasks(host):
    for number in range(5):
        CurriculumTask.objects.create(
            host=host, split="evaluation", expected_url=host.base_url, page_digest="d", passage=f"{number}", prompt="?"
        )
    judge(make_run(host, find_path("evaluation")), True)
    for seed in range(3):
        assert choose_tasks(count=3, seed=seed)[0].kind == "person"
