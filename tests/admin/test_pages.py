"""Every model has its admin pages; evidence refuses every change."""

from __future__ import annotations

import re

import pytest
from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from lealife.core.readonly_admin import ReadOnlyAdmin
from tests.admin.conftest import MODELS, make_host, make_rows
from tests.guards import behind_guards
from training.models import Host, Run

pytestmark = pytest.mark.django_db
Rows = dict[type[Model], Model]
EDITABLE = {"host", "campaign", "taskdefinition", "trainingsource", "runtimesettings", "apikey", "memoryitem"}
DELETABLE = {"host", "taskdefinition"}
EVIDENCE = [model for model in MODELS if model._meta.model_name not in EDITABLE]
each_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label_lower)
each_evidence = pytest.mark.parametrize("model", EVIDENCE, ids=lambda model: model._meta.label_lower)


@pytest.fixture(scope="module")
def host(kept_rows: None) -> Host:
    return make_host()


@pytest.fixture(scope="module")
def rows(host: Host) -> Rows:
    """One row of every model, made once."""
    return make_rows(host)


def address(model: type[Model], page: str, *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


@each_model
def test_every_model_is_registered(model: type[Model]) -> None:
    assert admin.site.is_registered(model)


@each_model
def test_every_list_opens_and_can_be_searched(staff: Client, rows: Rows, model: type[Model]) -> None:
    options = admin.site.get_model_admin(model)
    assert staff.get(address(model, "changelist")).status_code == 200
    if options.search_fields:
        for term in ("1", "queue", "a'b"):
            assert staff.get(address(model, "changelist"), {"q": term}).status_code == 200


@each_model
def test_every_row_opens(staff: Client, rows: Rows, model: type[Model]) -> None:
    assert staff.get(address(model, "change", rows[model].pk)).status_code == 200
    assert staff.get(address(model, "history", rows[model].pk)).status_code == 200


@each_model
def test_a_new_row_is_made_only_where_people_make_rows(staff: Client, model: type[Model]) -> None:
    made_by_people = EDITABLE - {"runtimesettings", "memoryitem"}
    expected = 200 if model._meta.model_name in made_by_people else 403
    assert staff.get(address(model, "add")).status_code == expected


@each_evidence
def test_evidence_refuses_every_change_even_to_a_superuser(staff: Client, rows: Rows, model: type[Model]) -> None:
    assert isinstance(admin.site.get_model_admin(model), ReadOnlyAdmin)
    row = rows[model]
    assert staff.post(address(model, "add"), {}).status_code == 403
    assert staff.post(address(model, "change", row.pk), {"status": "failed"}).status_code == 403
    assert staff.post(address(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    assert model._default_manager.filter(pk=row.pk).exists()


@each_model
def test_only_what_no_outcome_can_need_may_be_deleted(staff: Client, rows: Rows, model: type[Model]) -> None:
    status = staff.get(address(model, "delete", rows[model].pk)).status_code
    assert status == (200 if model._meta.model_name in DELETABLE else 403)


def test_every_other_registered_list_opens_too(staff: Client) -> None:
    for model in admin.site._registry:
        assert staff.get(address(model, "changelist")).status_code == 200, model


def test_runs_are_listed_with_how_sure_their_answers_are_and_narrowed_to_it(staff: Client, rows: Rows) -> None:
    with behind_guards():
        Run.objects.update(answer_state="unsure", answer_score=0.25)
    listed = staff.get(address(Run, "changelist"), {"answer_state__exact": "unsure"}).content.decode()
    assert "unsure</td>" in listed
    assert "0.25" in listed
    assert "0 runs" in staff.get(address(Run, "changelist"), {"answer_state__exact": "verified"}).content.decode()
    shown = staff.get(address(Run, "change", rows[Run].pk)).content.decode()
    for label in ("Answer state", "Answer score", "Is quoted"):
        assert label in shown
    assert 'name="answer_state"' not in shown


def test_what_an_unsure_run_wrote_is_a_draft_and_no_answer(staff: Client, rows: Rows) -> None:
    for status, state, answer, draft in (
        ("failed", "unsure", "", "A line."),
        ("succeeded", "supported", "A line.", ""),
    ):
        with behind_guards():
            Run.objects.update(status=status, answer_state=state, answer="A line.")
        page = staff.get(address(Run, "change", rows[Run].pk)).content.decode()
        shown = {
            name: re.search(rf'field-{name}">.*?<div class="readonly">(.*?)</div>', page, re.DOTALL)[1]
            for name in ("given_answer", "draft")
        }
        assert shown == {"given_answer": answer, "draft": draft}
        assert 'field-answer"' not in page


@each_model
def test_lists_need_a_signed_in_user(model: type[Model]) -> None:
    assert Client().get(address(model, "changelist")).status_code == 302


def test_the_index_says_what_is_live_and_leads_to_the_live_pages(staff: Client) -> None:
    page = staff.get(reverse("admin:index")).content.decode()
    assert "LeaLife" in page
    assert "not proven yet" in page and "System down" in page
    assert all(f'href="{reverse(name)}"' in page for name in ("dashboard", "training", "runs", "make_task"))


def test_no_form_shows_what_only_a_program_can_read(staff: Client, rows: Rows) -> None:
    for model, options in admin.site._registry.items():
        pages = [address(model, "add")]
        row = rows.get(model)
        pages += [address(model, "change", row.pk)] if row is not None else []
        for page in pages:
            answer = staff.get(page)
            assert answer.status_code in {200, 403}, page
            assert not re.search(r"(&lt;|<)\w+ object|object at 0x", answer.content.decode()), (page, options)
