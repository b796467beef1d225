"""What may leave the model servers and how it leaves, on a real embedded Ollama."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from lealife.core.actors import command_line
from lealife.core.gateway import OllamaPool, TagInfo
from promotion.applies import apply_canary, roll_back
from promotion.inspection import inspect_tags
from promotion.models import Canary, Evaluation, ModelTag, PageFreeze
from promotion.retention import PruningRow, plan_pruning, prune_tags
from promotion.tags import ensure_base_tags
from tests.embedded.ollama_process import BASE, copy_tag, run_ollama
from tests.promotion.scenes import make_candidate, make_window
from training.models import AuditEntry, Host, Run


class Crash(Exception):
    """The process dies here."""


@dataclass
class Watched:
    """The real pool; something happens right before each deletion."""

    pool: OllamaPool
    before: Callable[[str], None]

    def list_tags(self) -> Mapping[str, Mapping[str, TagInfo]]:
        return self.pool.list_tags()

    def is_up(self) -> Mapping[str, bool]:
        return self.pool.is_up()

    def delete_tag(self, *, tag: str) -> None:
        self.before(tag)
        self.pool.delete_tag(tag=tag)


def make_tag(pool: OllamaPool, saying: str, *, status: str = "rejected") -> ModelTag:
    """A tag of the active controller's recipe with one exemplar more."""
    tag = make_candidate(pool, ModelTag.objects.get(role="controller", status="active"), saying=saying)
    ModelTag.objects.filter(pk=tag.pk).update(status=status)
    tag.refresh_from_db()
    return tag


def make_evaluation(candidate: ModelTag, *, window: str, verdict: str) -> Evaluation:
    """An evaluation of a window in this state; without one, a drill."""
    baseline = ModelTag.objects.get(role="controller", status="active")
    return Evaluation.every.create(
        window=make_window(window) if window else None,
        drill=not window,
        candidate=candidate,
        candidate_digest=candidate.digest,
        baseline=baseline,
        baseline_digest=baseline.digest,
        candidate_number=1,
        alpha=0.02,
        pair_budget=60,
        seed=0,
        freeze=PageFreeze.objects.create(memory_digest="m"),
        settings_digest="s",
        verdict=verdict,
    )


def apply_live(candidate: ModelTag) -> None:
    canary = Canary.objects.create(
        evaluation=make_evaluation(candidate, window="applying", verdict="promote"),
        role="controller",
        share_percent=20,
        min_observations=20,
        deadline_at=timezone.now(),
        first_outcome_id=0,
        state="passed",
        reason="No harm found.",
    )
    apply_canary(canary_id=canary.pk, now=timezone.now())


def plan(pool: OllamaPool, *, keep: int = 0) -> dict[str, PruningRow]:
    return {row.tag: row for row in plan_pruning(server=pool, keep=keep)}


def prune(server: object, *, keep: int = 0) -> list[tuple[str, bool]]:
    return [(row.tag, row.pruned) for row in prune_tags(server=server, by=command_line("ada"), origin="cli", keep=keep)]


def test_a_drill_that_has_its_verdict_keeps_no_tag(pool):
    drilled, waiting = make_tag(pool, "drilled"), make_tag(pool, "waiting")
    make_evaluation(drilled, window="", verdict="reject")
    make_evaluation(waiting, window="", verdict="pending")
    rows = plan(pool)
    assert rows[drilled.name].goes
    assert not rows[waiting.name].goes


def read_status(tag: ModelTag) -> str:
    return ModelTag.objects.values_list("status", flat=True).get(pk=tag.pk)


def test_old_rejected_tags_are_pruned_and_their_bytes_reported(pool):
    old = make_tag(pool, "old")
    row = plan(pool)[old.name]
    assert (row.goes, row.servers, row.reason) == (True, 1, "It is rejected, and nothing refers to it.")
    assert row.bytes == sum(info.size for info in pool.list_tags()[old.name].values()) > 90_000_000
    assert prune(pool) == [(old.name, True)]
    assert old.name not in pool.list_tags()
    assert read_status(old) == "pruned"
    entry = AuditEntry.objects.get(action="prune tag")
    assert (entry.actor, entry.subject, entry.details["bytes"]) == ("ada", old.name, row.bytes)


def test_active_candidate_pinned_and_configured_tags_stay(pool):
    pinned = make_tag(pool, "pinned")
    ModelTag.objects.filter(pk=pinned.pk).update(pinned=True)
    make_tag(pool, "candidate", status="candidate")
    make_tag(pool, "configured", status="configured")
    before = pool.list_tags()
    assert prune(pool) == []
    assert pool.list_tags() == before
    assert plan(pool)[pinned.name].reason == "It is pinned."


def test_the_tag_that_would_be_rolled_back_to_stays_and_can_serve_again(pool):
    first = ModelTag.objects.get(role="controller")
    apply_live(make_tag(pool, "better", status="candidate"))
    ModelTag.objects.filter(pk=first.pk).update(parent=make_tag(pool, "parent"))
    assert plan(pool)[first.name].reason.startswith("One of the last 3 live applies refers to it")
    prune(pool)
    roll_back(role="controller", by=command_line("ada"), reason="Back.")
    assert read_status(first) == "active"
    assert first.name in pool.list_tags()


def test_the_parent_of_the_active_tag_stays(pool):
    parent = make_tag(pool, "parent", status="retired")
    ModelTag.objects.filter(role="controller", status="active").update(parent=parent)
    assert plan(pool)[parent.name].reason == "The active tag descends from it."


@pytest.mark.parametrize(
    ("window", "verdict"), [("evaluating", "pending"), ("canary", "promote"), ("held", "inconclusive")]
)
def test_what_an_open_window_or_evaluation_refers_to_stays(pool, window, verdict):
    tag = make_tag(pool, "judged")
    make_evaluation(tag, window=window, verdict=verdict)
    assert plan(pool)[tag.name].reason == "An open window, evaluation, canary or measurement refers to it."


def test_what_a_closed_window_judged_may_go(pool):
    tag = make_tag(pool, "judged")
    make_evaluation(tag, window="rejected", verdict="reject")
    assert plan(pool)[tag.name].goes


def test_a_tag_that_an_unfinished_run_uses_stays(pool):
    tag = make_tag(pool, "running", status="retired")
    host = Host.objects.create(name="h", base_url="http://127.0.0.1:9/", may_be_private=True)
    run = Run.objects.create(host=host, prompt="?", pages_target=1, max_calls=1, controller_tag=tag.name)
    assert plan(pool)[tag.name].reason == "A run that is not finished uses it."
    Run.objects.filter(pk=run.pk).update(status="failed")
    assert plan(pool)[tag.name].goes


def test_a_tag_that_others_are_made_from_stays(pool):
    origin, child = make_tag(pool, "origin"), make_tag(pool, "child")
    ModelTag.objects.filter(pk=child.pk).update(base=origin.name)
    assert plan(pool)[origin.name].reason == "Other tags are made from it."
    assert prune(pool) == [(child.name, True)]


def test_the_newest_of_a_role_stay_and_older_ones_go(pool):
    tags = [make_tag(pool, f"number {number}") for number in range(4)]
    assert prune(pool, keep=3) == [(tags[0].name, True)]
    assert plan(pool, keep=3)[tags[1].name].reason == "It is among the newest 3 of its role."


def test_foreign_tags_are_never_touched(pool):
    copy_tag(pool, source=BASE, destination="somebody:else")
    copy_tag(pool, source=BASE, destination="lealife-task:0123456789ab")
    assert prune(pool) == []
    assert {"somebody:else", "lealife-task:0123456789ab"} < set(pool.list_tags())


def test_a_tag_changed_outside_is_not_deleted(pool):
    tag = make_tag(pool, "old")
    pool.create_tag(tag=tag.name, base=BASE, system="Mine now.")
    assert "not deleted there" in plan(pool)[tag.name].reason
    assert prune(pool) == []


def test_a_tag_deleted_outside_is_marked(pool):
    tag = make_tag(pool, "old")
    pool.delete_tag(tag=tag.name)
    row = plan(pool)[tag.name]
    assert (row.goes, row.bytes, row.reason) == (True, 0, "No answering server has it, so it is only marked as pruned.")
    assert prune(pool) == [(tag.name, True)]
    assert inspect_tags(server=pool).alarms == ()


def test_pruning_twice_does_nothing_more(pool):
    make_tag(pool, "old")
    prune(pool)
    entries = AuditEntry.objects.count()
    assert prune(pool) == []
    assert AuditEntry.objects.count() == entries


def test_a_tag_that_becomes_active_between_plan_and_deletion_stays(pool):
    first, second = make_tag(pool, "first"), make_tag(pool, "second")

    def switch(tag: str) -> None:
        ModelTag.objects.filter(role="controller", status="active").update(status="retired")
        ModelTag.objects.filter(pk=second.pk).update(status="active")

    assert prune(Watched(pool, switch)) == [(first.name, True), (second.name, False)]
    assert read_status(second) == "active"
    assert second.name in pool.list_tags()


def test_a_tag_changed_between_plan_and_deletion_is_kept(pool):
    first, second = make_tag(pool, "first"), make_tag(pool, "second")
    server = Watched(pool, lambda tag: bool(pool.create_tag(tag=second.name, base=BASE, system="Mine now.")))
    assert prune(server) == [(first.name, True), (second.name, False)]
    assert (read_status(second), second.name in pool.list_tags()) == ("rejected", True)


def test_a_tag_pinned_between_plan_and_deletion_stays(pool):
    first, second = make_tag(pool, "first"), make_tag(pool, "second")
    server = Watched(pool, lambda tag: bool(ModelTag.objects.filter(pk=second.pk).update(pinned=True)))
    assert prune(server) == [(first.name, True), (second.name, False)]
    assert second.name in pool.list_tags()


def test_a_tag_that_an_evaluation_takes_up_between_plan_and_deletion_stays(pool):
    first, second = make_tag(pool, "first"), make_tag(pool, "second")

    def take_up(tag: str) -> None:
        make_evaluation(second, window="evaluating", verdict="pending")

    assert prune(Watched(pool, take_up)) == [(first.name, True), (second.name, False)]
    assert (read_status(second), second.name in pool.list_tags()) == ("rejected", True)


def test_a_crash_before_the_deletion_is_repaired_by_running_again(pool):
    tag = make_tag(pool, "old")

    def die(name: str) -> None:
        raise Crash(name)

    with pytest.raises(Crash):
        prune(Watched(pool, die))
    assert (read_status(tag), tag.name in pool.list_tags()) == ("pruned", True)
    assert [finding.tag for finding in inspect_tags(server=pool).findings if finding.state == "left over"] == [tag.name]
    assert prune(pool) == [(tag.name, True)]
    assert tag.name not in pool.list_tags()


@pytest.mark.django_db(transaction=True)
def test_no_server_is_called_inside_a_transaction(ollama_address):
    pool = OllamaPool(hosts=[ollama_address])
    ensure_base_tags(server=pool, base=BASE)
    make_tag(pool, "old")
    inside: list[bool] = []
    prune(Watched(pool, lambda tag: inside.append(connection.in_atomic_block)))
    assert inside == [False]


def test_one_server_of_two_that_fails_leaves_the_tag_unpruned_until_it_is_back(db, ollama_address, tmp_path: Path):
    with run_ollama(tmp_path) as second:
        both = OllamaPool(hosts=[ollama_address, second.address])
        ensure_base_tags(server=both, base=BASE)
        tag = make_tag(both, "old")
        assert plan(both)[tag.name].servers == 2
    [result] = prune_tags(server=both, by=command_line("ada"), origin="cli", keep=0)
    assert not result.pruned
    assert result.sentence.startswith(f"{tag.name} is not pruned: {second.address} cannot be reached")
    assert read_status(tag) == "rejected"
    assert AuditEntry.objects.filter(action="fail to prune tag", subject=tag.name).exists()
    (tmp_path / "address").unlink(missing_ok=True)
    with run_ollama(tmp_path) as back:
        both = OllamaPool(hosts=[ollama_address, back.address])
        assert prune(both) == [(tag.name, True)]
        assert tag.name not in both.list_tags()
    assert read_status(tag) == "pruned"


def test_the_command_shows_what_would_go_then_lets_it_go(pool, ollama_address, settings):
    settings.OLLAMA_HOST = ollama_address
    tag = make_tag(pool, "old")
    out = StringIO()
    call_command("tags", "prune", "--dry-run", "--keep=0", "--json", stdout=out)
    rows = {row["tag"]: row for row in map(json.loads, out.getvalue().splitlines())}
    assert (rows[tag.name]["goes"], rows[tag.name]["bytes"]) == (True, plan(pool)[tag.name].bytes)
    assert (len(rows), read_status(tag), tag.name in pool.list_tags()) == (3, "rejected", True)
    table = StringIO()
    call_command("tags", "prune", "--dry-run", "--keep=0", stdout=table)
    assert "1 would be deleted" in table.getvalue()
    call_command("tags", "prune", "--keep=0", stdout=StringIO())
    assert tag.name not in pool.list_tags()


def test_the_command_fails_when_no_server_answers(db, settings):
    settings.OLLAMA_HOST = "http://127.0.0.1:9"
    with pytest.raises(CommandError, match="cannot be reached"):
        call_command("tags", "prune")
