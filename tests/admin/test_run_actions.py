"""The actions on runs in admin: many at once, refused one by one in their own words."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client

from tests.admin.test_actions import run_action
from training.models import AuditEntry, Host, OperatorVerdict, Run, TrainingSource


@pytest.fixture
def run(host: Host) -> Run:
    """A standard run that has answered."""
    return make_run(host, lane="standard")


def make_run(host: Host, *, lane: str) -> Run:
    return Run.objects.create(
        lane=lane, status="succeeded", host=host, prompt="Which page?", pages_target=1, max_calls=5, answer="This."
    )


def test_chosen_runs_are_repeated_and_trained_on(staff: Client, run: Run) -> None:
    assert run_action(staff, Run, "repeat_selected", run) == ["1 queued again."]
    assert run_action(staff, Run, "train_on_selected", run) == ["1 queued for training."]
    assert (Run.objects.latest("id").prompt, TrainingSource.objects.get().queued_from) == ("Which page?", "run")
    assert set(AuditEntry.objects.values_list("actor", flat=True)) == {"ada"}
    assert LogEntry.objects.filter(object_id=str(run.pk)).count() == 2


def test_chosen_runs_are_judged_and_what_cannot_be_says_why(staff: Client, host: Host, run: Run) -> None:
    held_out = make_run(host, lane="evaluation")
    said = run_action(staff, Run, "judge_wrong", run, held_out)
    assert said[0] == "1 judged wrong."
    assert f"Run {held_out.pk} is a held-out evaluation" in said[1]
    assert run_action(staff, Run, "judge_right", run) == ["1 judged right."]
    assert list(OperatorVerdict.objects.values_list("right", "origin")) == [(True, "admin"), (False, "admin")]


def test_an_action_needs_its_own_permission(run: Run) -> None:
    reader = User.objects.create_user("reader", is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="view_run"))
    client = Client()
    client.force_login(reader)
    assert "judge_right" not in client.get("/admin/training/run/").content.decode()
    client.post("/admin/training/run/", {"action": "judge_right", "_selected_action": [run.pk]})
    assert not OperatorVerdict.objects.exists()
    reader.user_permissions.add(Permission.objects.get(codename="give_verdict"))
    assert run_action(client, Run, "judge_right", run) == ["1 judged right."]
