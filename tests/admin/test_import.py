"""Import: a preview that names what is wrong, and then all rows or none, each through its form and action."""

from __future__ import annotations

import io
import json
import time
from datetime import timedelta
from typing import Any

import openpyxl
import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from lealife.core import sheets
from lealife.core.actors import command_line
from learning.curriculum.seeding import find_unread_host
from learning.models import FrontierPage
from tests.admin.test_actions import queue
from tests.admin.uploads import confirm, read_heading, read_list, upload, write_csv
from tests.permissions.conftest import make_user
from training.definitions import save_definition
from training.models import AuditEntry, Host, TaskDefinition, TrainingSource
from training.sources import cancel_source

TASK = {"title": "Queues", "host": "manual", "prompt": "Which page explains queues?", "check_spec": "{}"}


def write_xlsx(*rows: list[Any]) -> bytes:
    book, file = openpyxl.Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
    book.save(file)
    return file.getvalue()


def test_a_preview_imports_nothing(staff: Client, host: Host) -> None:
    preview = upload(staff, TrainingSource, write_csv(TASK))
    assert read_heading(preview) == "1 new, 0 changed, 0 unchanged"
    assert not TrainingSource.objects.exists()
    assert not AuditEntry.objects.exists()


def test_a_new_source_is_queued_as_the_form_queues_it(staff: Client, host: Host) -> None:
    check = json.dumps({"expected_urls": [f"{host.base_url}queue"]})
    preview = upload(staff, TrainingSource, write_csv(TASK | {"check_spec": check, "pages_target": 3, "priority": 7}))
    (said,) = confirm(staff, TrainingSource, preview)
    assert said.startswith("Import finished: 1 new, 0 updated")
    row = TrainingSource.objects.get()
    assert (row.host, row.pages_target, row.priority, row.status) == (host, 3, 7, "pending")
    assert (row.check_spec, row.queued_from, row.queued_by) == (json.loads(check), "admin", "ada")
    assert AuditEntry.objects.get(action="queue source").subject == f"source {row.pk}"


def test_a_row_with_the_id_of_a_waiting_source_corrects_it(staff: Client, host: Host) -> None:
    row = queue(host)
    preview = upload(staff, TrainingSource, write_csv({"id": row.pk, "priority": 9}))
    assert "<del>0</del> <ins>9</ins>" in preview.content.decode()
    confirm(staff, TrainingSource, preview)
    row.refresh_from_db()
    assert (row.priority, row.prompt) == (9, "Which page?")
    assert AuditEntry.objects.get(action="correct source").details == {"fields": ["priority"]}


def test_a_source_that_has_ended_is_not_corrected(staff: Client, host: Host) -> None:
    row = queue(host)
    cancel_source(source_id=row.pk, by=command_line("bob"), origin="cli")
    answer = upload(staff, TrainingSource, write_csv({"id": row.pk, "priority": 9}))
    assert read_list(answer) == [f"Row 1: Source {row.pk} has already started and can no longer be corrected."]


def test_rows_without_a_change_are_skipped(staff: Client, host: Host) -> None:
    row = queue(host)
    body = write_csv({"id": row.pk, **TASK, "prompt": "Which page?"}, {"id": "", **TASK}, dict.fromkeys(["id", *TASK]))
    preview = upload(staff, TrainingSource, body)
    assert read_heading(preview) == "1 new, 0 changed, 2 unchanged"
    confirm(staff, TrainingSource, preview)
    assert [entry.action for entry in AuditEntry.objects.all()].count("correct source") == 0


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({"title": ""}, "Row 1, title: This field is required."),
        ({"host": "nowhere"}, "Row 1, host: There is no host “nowhere”."),
        ({"prompt": "x" * 20_001}, "Row 1, prompt: The prompt has 20,001 characters; 20,000 are allowed."),
        ({"pages_target": "51"}, "Row 1, pages_target: A pages target must be 1–50, not 51."),
        ({"pages_target": "many"}, "Row 1, pages_target: Enter a whole number."),
        ({"priority": "101"}, "Row 1, priority: A priority must be -100–100, not 101."),
        ({"check_spec": "no JSON"}, "Row 1, check_spec: Enter a valid JSON."),
        ({"check_spec": '{"x": 1}'}, "Row 1, check_spec: The success check cannot be used"),
        ({"id": "404"}, "Row 1, id: There is no training source 404. Leave the id empty to add one."),
        ({"id": "9" * 5000}, "Row 1, id: There is no training source 999"),
    ],
)
def test_a_bad_row_is_named_with_its_field(staff: Client, host: Host, cells: dict[str, str], said: str) -> None:
    (found,) = read_list(upload(staff, TrainingSource, write_csv({"priority": 0, **TASK, **cells})))
    assert found.startswith(said)


def test_one_bad_row_keeps_every_other_row_out(staff: Client, host: Host) -> None:
    bad = [TASK | {"host": "nowhere", "title": ""}, TASK | {"check_spec": "["}]
    answer = upload(staff, TrainingSource, write_csv(TASK, bad[0], TASK, bad[1]))
    assert read_heading(answer) == "2 of 4 rows cannot be imported, so none was"
    assert [said.partition(":")[0] for said in read_list(answer)] == [
        "Row 2, title", "Row 2, host", "Row 4, check_spec"
    ]  # fmt: skip
    assert "confirm_form" not in answer.context
    assert not TrainingSource.objects.exists()


def test_a_row_that_turned_bad_after_the_preview_keeps_all_rows_out(staff: Client, host: Host) -> None:
    row = queue(host)
    preview = upload(staff, TrainingSource, write_csv({"id": "", **TASK}, {"id": row.pk, **TASK}))
    cancel_source(source_id=row.pk, by=command_line("bob"), origin="cli")
    (said,) = confirm(staff, TrainingSource, preview)
    assert said == "Nothing was imported: rows have changed since the preview. Upload the file again."
    assert TrainingSource.objects.get() == row


def test_a_file_is_imported_once(staff: Client, host: Host) -> None:
    preview = upload(staff, TrainingSource, write_csv(TASK))
    confirm(staff, TrainingSource, preview)
    assert confirm(staff, TrainingSource, preview) == ["The uploaded file is not kept any more. Upload it again."]
    assert TrainingSource.objects.count() == 1


def test_an_upload_that_nobody_confirms_is_forgotten(staff: Client, host: Host) -> None:
    before = Session.objects.count()
    for _ in range(2):
        preview = upload(staff, TrainingSource, write_csv(TASK))
        Session.objects.exclude(pk=staff.session.session_key).update(expire_date=timezone.now() - timedelta(hours=1))
    assert Session.objects.count() == before + 1
    assert "not kept any more" in confirm(staff, TrainingSource, preview)[0]


def test_a_definition_is_found_by_its_title(staff: Client, host: Host) -> None:
    by = command_line("bob")
    save_definition(changes={"title": "Queues", "prompt": "Which page?", "host": host}, by=by, origin="cli")
    task = {key: TASK[key] for key in ("title", "host", "prompt", "check_spec")}
    confirm(staff, TaskDefinition, upload(staff, TaskDefinition, write_csv(task, task | {"title": "More", "host": ""})))
    rows = (
        TaskDefinition.objects.filter(updated_by="ada")
        .order_by("pk")
        .values_list("title", "prompt", "enabled", "updated_by")
    )
    assert list(rows) == [("Queues", TASK["prompt"], True, "ada"), ("More", TASK["prompt"], False, "ada")]


def test_a_host_that_allows_more_has_its_blocked_pages_read_again(staff: Client) -> None:
    row = Host.objects.create(name="intranet", base_url="http://intranet.example/")
    FrontierPage.objects.create(
        host=row, url=row.base_url, url_digest="u", state="unreadable", error_code="blocked_by_policy"
    )
    confirm(staff, Host, upload(staff, Host, write_csv({"name": "intranet", "may_be_private": "TRUE"})))
    assert find_unread_host(now=timezone.now()) == row
    assert AuditEntry.objects.get(action="change host").details == {"fields": ["may_be_private"]}


def test_a_host_may_be_made_by_name_and_address_alone(staff: Client) -> None:
    body = json.dumps(
        [{"name": "a", "base_url": "https://a.example/"}, {"base_url": "https://b.example/", "name": "b"}]
    )
    confirm(staff, Host, upload(staff, Host, body.encode(), suffix="json"))
    assert list(Host.objects.values_list("name", "base_url", "enabled", "politeness_delay_ms")) == [
        ("a", "https://a.example/", True, 1000), ("b", "https://b.example/", True, 1000)
    ]  # fmt: skip


def test_a_switch_is_true_or_false(staff: Client, host: Host) -> None:
    answer = upload(staff, Host, write_csv({"name": "manual", "may_be_private": "maybe"}))
    assert read_list(answer) == ["Row 1, may_be_private: Write true or false, not “maybe”."]


def test_who_may_add_hosts_but_not_change_them_imports_only_new_ones(client: Client, host: Host) -> None:
    client.force_login(make_user("ann", "training.add_host"))
    new = {"name": "b", "base_url": "https://b.example/"}
    answer = upload(client, Host, write_csv(new, {"name": "manual", "base_url": "https://a.example/"}))
    assert read_list(answer) == ["Row 2: You may not change hosts."]


def test_another_person_cannot_import_what_they_may_not(client: Client, staff: Client, host: Host) -> None:
    preview = upload(staff, TrainingSource, write_csv(TASK))
    client.force_login(User.objects.create_user("eve", is_staff=True))
    sent = preview.context["confirm_form"].initial
    assert client.post("/admin/training/trainingsource/process_import/", sent).status_code == 403
    assert not TrainingSource.objects.exists()


def test_a_sheet_gives_numbers_switches_and_empty_cells(staff: Client, host: Host) -> None:
    names = ["id", "title", "host", "prompt", "check_spec", "pages_target", "priority"]
    body = write_xlsx(names, [None, "Queues", "manual", "Which page?", None, 3, -2.0])
    confirm(staff, TrainingSource, upload(staff, TrainingSource, body, suffix="xlsx"))
    row = TrainingSource.objects.get()
    assert (row.pages_target, row.priority, row.check_spec) == (3, -2, {})


# What is no such file, or too much of one.


@pytest.mark.parametrize(
    ("suffix", "body", "said"),
    [
        ("csv", b"x" * (5 * 2**20 + 1), "The file is larger than 5 MB. Split it."),
        ("csv", b"title\n" + b"x\n" * 20_001, "The file has more than 20,000 rows; blank ones count. Split it."),
        ("csv", b"," * 50 + b"x\n", "The file has more than 50 columns."),
        ("csv", b"title\na,b\n", "Row 1 has more cells than there are column names in the first line."),
        ("csv", b"\xff\xfe\x00", "The file cannot be read. Is this its format?"),
        ("json", b'{"title": 1}', "The file is not a list of objects with the column names as keys."),
        ("json", b"[" * 100_000, "The file cannot be read. Is this its format?"),
        ("xlsx", b"title\n", "The file cannot be read. Is this its format?"),
        ("csv", b"title,nonsense\na,b\n", "The column “nonsense” is unknown or there twice."),
        ("csv", b"title,title\na,b\n", "The column “title” is unknown or there twice."),
        ("csv", b"", "The submitted file is empty."),
        ("csv", b"title\n", "No valid data to import."),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_a_sentence(
    staff: Client, suffix: str, body: bytes, said: str
) -> None:
    answer = upload(staff, TrainingSource, body, suffix=suffix)
    assert answer.status_code == 200
    assert said in answer.content.decode()
    assert "Traceback" not in answer.content.decode()


def test_a_small_workbook_that_unpacks_to_a_large_one_is_refused(
    staff: Client, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sheets, "UNPACKED_MAX", 2**10)
    answer = upload(staff, TrainingSource, write_xlsx(["title"], ["Queues"]), suffix="xlsx")
    assert "The file unpacks to more than 0 MB. Split it." in answer.content.decode()


def test_a_workbook_that_claims_to_be_smaller_than_it_is_is_refused(staff: Client, host: Host) -> None:
    body = bytearray(write_xlsx(["title"], ["Queues"]))
    entry = body.index(b"PK\x01\x02")
    # The size that the first part claims to have.
    body[entry + 24 : entry + 28] = (10).to_bytes(4, "little")
    answer = upload(staff, TrainingSource, bytes(body), suffix="xlsx")
    assert "The file is damaged: a part of it has another size than it says." in answer.content.decode()


def test_an_import_that_is_confirmed_twice_is_done_once(staff: Client, host: Host) -> None:
    preview = upload(staff, TrainingSource, write_csv(TASK))
    confirm(staff, TrainingSource, preview)
    assert confirm(staff, TrainingSource, preview) == ["The uploaded file is not kept any more. Upload it again."]
    assert TrainingSource.objects.count() == 1


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_ten_thousand_sources_with_fifty_bad_rows_are_refused_within_two_minutes(staff: Client, host: Host) -> None:
    bad = {number: [{"host": "nowhere"}, {"priority": 101}][number // 200 % 2] for number in range(200, 10_001, 200)}
    rows = [TASK | {"priority": 0, "prompt": f"Which page explains {n}?"} | bad.get(n, {}) for n in range(1, 10_001)]
    began = time.monotonic()
    answer = upload(staff, TrainingSource, write_csv(*rows))
    assert time.monotonic() - began < 120
    named = [f"Row {number}, {next(iter(cells))}" for number, cells in bad.items()]
    assert [said.partition(":")[0] for said in read_list(answer)] == named
    assert not TrainingSource.objects.exists()
    assert not AuditEntry.objects.exists()
