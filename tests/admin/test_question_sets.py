"""The question set of a host in files: cases that people checked, without a run or a verdict."""

from __future__ import annotations

import pytest
from django.test import Client

from learning.models import CurriculumTask
from promotion.evaluation.freezing import choose_tasks
from tests.admin.uploads import FORMATS, confirm, export, read_heading, read_list, upload, write_csv
from tests.factories import make_source
from tests.learning.test_cases import PROMPT, SAID, find_path, index, judge, make_run
from training.models import AuditEntry, Host, TrainingSource


@pytest.fixture
def host(db: None) -> Host:
    return Host.objects.create(name="garden", base_url="http://127.0.0.1:9/1/", may_be_private=True)


def row(host: Host, path: str, /, **changes: str) -> dict[str, str]:
    return {"host": "garden", "prompt": PROMPT, "expected_url": f"{host.base_url}{path}", "passage": SAID} | changes


def take_in(staff: Client, *rows: dict[str, str]) -> None:
    confirm(staff, CurriculumTask, upload(staff, CurriculumTask, write_csv(*rows)))


@pytest.mark.parametrize("split", ["train", "evaluation"])
def test_an_imported_question_becomes_a_case_on_the_side_of_its_page(staff: Client, host: Host, split: str) -> None:
    take_in(staff, row(host, find_path(split)))
    case = CurriculumTask.objects.get()
    assert (case.kind, case.split, case.prompt, case.verdict) == ("person", split, PROMPT, None)
    assert case.check_spec == {"expected_urls": [case.expected_url], "expected_text": SAID}
    sources = list(TrainingSource.objects.values_list("prompt", "queued_from"))
    assert sources == ([(PROMPT, "import")] if split == "train" else [])
    assert choose_tasks(count=9, seed=0) == ([case] if split == "evaluation" else [])
    entry = AuditEntry.objects.get(action="add case")
    assert (entry.actor, entry.origin, entry.subject) == ("ada", "admin", f"task {case.pk}")


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_cases_of_a_host_are_exported_and_unchanged_when_imported(staff: Client, host: Host, suffix: str) -> None:
    judge(make_run(host, "a"), True)
    body = export(staff, CurriculumTask, suffix=suffix).content
    preview = upload(staff, CurriculumTask, body, suffix=suffix)
    assert read_heading(preview) == "0 new, 0 changed, 1 unchanged"


def test_what_the_curriculum_made_is_not_exported(staff: Client, host: Host) -> None:
    CurriculumTask.objects.create(
        host=host, split="train", expected_url=host.base_url, page_digest="u", prompt="Which?"
    )
    assert export(staff, CurriculumTask, suffix="json").content == b"[]"


def test_another_page_for_a_question_replaces_its_case(staff: Client, host: Host) -> None:
    first, second = find_path("evaluation"), find_path("evaluation", after=50)
    take_in(staff, row(host, first))
    take_in(staff, row(host, second))
    old, new = CurriculumTask.objects.order_by("pk")
    assert old.replaced_at is not None
    assert (new.replaced_at, new.expected_url) == (None, f"{host.base_url}{second}")


def test_a_no_against_an_imported_case_withdraws_it(staff: Client, host: Host) -> None:
    take_in(staff, row(host, "a"))
    judge(make_run(host, "a"), False)
    assert not CurriculumTask.objects.cases().exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"expected_url": "http://elsewhere.example/"}, "Row 1, expected_url: The address cannot be used: "),
        ({"expected_url": ""}, "Row 1, expected_url: This field is required."),
        ({"passage": "x" * 2_001}, "Row 1, passage: The words may have at most 2,000 characters, not 2,001."),
        ({"passage": "in May"}, "Row 1, passage: This text does not stand on http://127.0.0.1:9/1/roses as it was"),
        ({"host": "nowhere"}, "Row 1, host: There is no host “nowhere”."),
    ],
)
def test_a_question_that_cannot_be_right_is_refused_by_field(
    staff: Client, host: Host, changes: dict[str, str], said: str
) -> None:
    index(host, "roses", "Roses are pruned in late winter.", "They flower in June.")
    (found,) = read_list(upload(staff, CurriculumTask, write_csv(row(host, "roses", **changes))))
    assert found.startswith(said)


def test_a_question_that_was_trained_on_is_never_held_out(staff: Client, host: Host) -> None:
    make_source(host, prompt=PROMPT)
    (said,) = read_list(upload(staff, CurriculumTask, write_csv(row(host, find_path("evaluation")))))
    assert said.startswith("Row 1, prompt: The curriculum asks this question itself, or it was trained on")


def test_a_question_of_the_curriculum_itself_stays_its_own(staff: Client, host: Host) -> None:
    asked = {"expected_url": f"{host.base_url}roses", "page_digest": "u", "prompt": PROMPT}
    CurriculumTask.objects.create(host=host, split="train", **asked)
    (said,) = read_list(upload(staff, CurriculumTask, write_csv(row(host, "roses"))))
    assert said.startswith("Row 1, prompt: The curriculum asks this question itself")
