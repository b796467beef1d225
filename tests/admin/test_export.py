"""Export: what staff may view, in files that no spreadsheet runs and that can be imported again."""

from __future__ import annotations

import csv
import io
import json
import re

import openpyxl
import pytest
from django.test import Client

from tests.admin.test_actions import queue
from tests.admin.uploads import FORMATS, address, confirm, export, read_heading, upload, write_csv
from training.models import Host, TaskDefinition, TrainingSource

FORMULAS = ["=1+1", "+1", "-1", "@SUM(1)", "'=1+1"]
INLINE = re.compile(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", re.IGNORECASE)
each_format = pytest.mark.parametrize("suffix", FORMATS)


@pytest.mark.parametrize("text", [*FORMULAS, "\t=1", "\r=1"])
def test_no_cell_begins_as_a_formula(staff: Client, host: Host, text: str) -> None:
    TrainingSource.objects.filter(pk=queue(host).pk).update(prompt=text)
    (row,) = csv.DictReader(io.StringIO(export(staff, TrainingSource).content.decode("utf-8-sig"), newline=""))
    assert row["prompt"] == f"'{text}"
    sheet = openpyxl.load_workbook(io.BytesIO(export(staff, TrainingSource, suffix="xlsx").content)).active
    assert [cell.data_type for cell in sheet[2]].count("f") == 0


@each_format
@pytest.mark.parametrize("text", FORMULAS)
def test_what_was_exported_is_unchanged_when_it_is_imported(staff: Client, host: Host, text: str, suffix: str) -> None:
    check = {"expected_text": "Prune roses, “late”."}
    TrainingSource.objects.filter(pk=queue(host).pk).update(prompt=f"{text}.", check_spec=check, priority=-5)
    body = export(staff, TrainingSource, suffix=suffix).content
    assert read_heading(upload(staff, TrainingSource, body, suffix=suffix)) == "0 new, 0 changed, 1 unchanged"


@each_format
@pytest.mark.parametrize("model", [Host, TaskDefinition])
def test_hosts_and_definitions_move_to_another_installation(
    staff: Client, host: Host, model: type[Host], suffix: str
) -> None:
    TaskDefinition.objects.all().delete()
    host.aliases, host.enabled = ["www.example.org"], False
    host.save()
    task = {"title": "Prices", "host": "manual", "prompt": "Which?", "check_spec": "{}"}
    confirm(staff, TaskDefinition, upload(staff, TaskDefinition, write_csv(task)))
    before = export(staff, model, suffix="json").content
    body = export(staff, model, suffix=suffix).content
    TaskDefinition.objects.all().delete()
    if model is Host:
        host.delete()
    confirm(staff, model, upload(staff, model, body, suffix=suffix))
    assert len(json.loads(before)) == 1
    assert export(staff, model, suffix="json").content == before


def test_an_export_has_the_rows_of_the_narrowed_list(staff: Client, host: Host) -> None:
    queue(host, "Queues")
    queue(host, "Roses")
    rows = json.loads(export(staff, TrainingSource, suffix="json", q="Roses").content)
    assert [row["title"] for row in rows] == ["Roses"]


def test_a_list_that_is_too_long_is_refused_in_a_sentence(
    staff: Client, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lealife.core.import_admin.ROWS_MAX", 0)
    queue(host)
    said = "The list has 1 rows and an export at most 0. Filter the list first."
    assert said in export(staff, TrainingSource).content.decode()


@pytest.mark.parametrize("text", ["Which\x0bpage?", "<script>alert(1)</script>"])
def test_any_text_can_be_exported_to_a_sheet(staff: Client, host: Host, text: str) -> None:
    TrainingSource.objects.filter(pk=queue(host).pk).update(prompt=text)
    assert export(staff, TrainingSource, suffix="xlsx").headers["Content-Disposition"].endswith('.xlsx"')


def test_the_pages_keep_to_the_content_security_policy(staff: Client, host: Host) -> None:
    change = upload(staff, Host, write_csv({"name": "manual", "base_url": "https://<b>.example/"}))
    pages = [
        staff.get(address(TrainingSource, "changelist")),
        staff.get(address(TrainingSource, "import")),
        staff.get(address(TrainingSource, "export")),
        upload(staff, Host, write_csv({"name": "<b>", "base_url": "https://a.example/"})),
        upload(staff, Host, write_csv({"name": "manual", "politeness_delay_ms": "2"})),
        change,
    ]
    for page in pages:
        assert page.status_code == 200
        assert "script-src 'self'" in page.headers["Content-Security-Policy"]
        assert INLINE.findall(page.content.decode()) == []
        assert "<b>" not in page.content.decode()
