"""Promotion over the API and the command line: the operator's actions, and their refusals."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from promotion.models import PromotionWindow
from tests.promotion.scenes import Servers, make_base_tags
from training.counters import add_counts
from training.models import AuditEntry
from training.runtime_settings import read_settings

JSON = "application/json"


def post(client: Client, action: str, body: dict | None = None):
    return client.post(f"/api/models/actions/{action}/", body, JSON)


def steer(word: str) -> str:
    out = StringIO()
    call_command("promotion", word, stdout=out)
    return out.getvalue()


def test_hold_and_resume(operator: Client) -> None:
    answer = post(operator, "hold", {"reason": "maintenance"})
    assert (answer.status_code, answer.json()["on_hold"], answer.json()["state"]) == (200, True, "held")
    assert read_settings().promotion_hold
    again = post(operator, "hold", {})
    assert (again.status_code, again.json()["detail"]) == (409, "Promotion is already on hold.")
    assert post(operator, "resume").json()["on_hold"] is False
    assert [entry.origin for entry in AuditEntry.objects.filter(action__endswith="promotion")] == ["api", "api"]


def test_evaluate_now(operator: Client) -> None:
    refused = post(operator, "evaluate-now")
    assert refused.status_code == 409
    assert "nothing to learn from" in refused.json()["detail"]
    add_counts(ingested__success=3, ingested__verified=3)
    answer = post(operator, "evaluate-now")
    assert (answer.status_code, answer.json()["state"], answer.json()["size"]) == (200, "building", 3)


def test_a_drill_is_asked_for_and_its_report_read(operator: Client) -> None:
    make_base_tags(Servers())
    answer = post(operator, "drill")
    assert [drill["kind"] for drill in answer.json()] == ["clone", "sabotaged"]
    report = operator.get("/api/models/drills").json()
    assert (report["open"], report["judged"], report["false_promotions"]) == (2, 0, 0)


def test_the_command_has_the_same_actions(db: None) -> None:
    assert "Promotion is on hold" in steer("hold")
    with pytest.raises(CommandError, match="resume it first"):
        steer("evaluate-now")
    assert "is collecting: 0 of" in steer("resume")
    with pytest.raises(CommandError, match="no active controller tag"):
        steer("drill")
    assert "has not been drilled yet" in steer("status")
    assert PromotionWindow.objects.get().state == "collecting"
