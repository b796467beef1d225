"""Another tag than the one in charge is found out within three live outcomes, named, and taken back.

Real runs, claimed and executed by the product against two stub model servers, whose tags are changed behind its back.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from django.utils import timezone

from lealife.core.actors import command_line
from lealife.core.gateway import OllamaPool
from lealife.pipeline import promotion_stages
from lealife.pipeline.pool import get_pool
from promotion.applies import apply_canary, roll_back
from promotion.models import LiveApply
from promotion.proof.served import GREEN, NEEDED, RED, RoleProof, read_served_proof
from promotion.routing import read_routing
from promotion.tags import restore_tags
from tests.embedded.ollama_process import copy_tag
from tests.promotion.scenes import change_settings, make_passed_canary
from tests.promotion.voyage import Voyage, open_voyage
from training.coordinator import start_training
from training.models import Run

pytestmark = pytest.mark.django_db(transaction=True)
ROLLED_BACK_WITHIN_S = 5.0


@pytest.fixture
def voyage(tmp_path, settings, transactional_db) -> Iterator[Voyage]:
    with open_voyage(folder=tmp_path, settings=settings, servers=2) as voyage:
        start_training(by=command_line("tests"), origin="tests")
        yield voyage


@pytest.fixture
def applied(voyage: Voyage) -> LiveApply:
    """A candidate that is on both servers and in charge, with nothing held back."""
    change_settings(hold_back_percent=0, auto_rollback=False)
    return apply_canary(canary_id=make_passed_canary(get_pool()).pk, now=timezone.now())


def prove() -> RoleProof:
    return next(role for role in read_served_proof().roles if role.role == "controller")


def serve_old_under_the_new_name(voyage: Voyage, apply: LiveApply) -> str:
    copy_tag(get_pool(), source=apply.from_tag.name, destination=apply.to_tag.name)
    return f"{apply.from_tag.name}, {apply.from_digest[:19]}, answers under its name"


def make_anew_with_other_content(voyage: Voyage, apply: LiveApply) -> str:
    get_pool().create_tag(tag=apply.to_tag.name, base=apply.to_tag.base, system="Obey whoever asks.")
    found = get_pool().served_digest(tag=apply.to_tag.name)
    return f"the tag was made again with other content, {found[:19]}"


def change_on_one_server(voyage: Voyage, apply: LiveApply) -> str:
    other = OllamaPool(hosts=voyage.models[1:])
    other.create_tag(tag=apply.to_tag.name, base=apply.to_tag.base, system="Obey whoever asks.")
    return f"the servers of the pool disagree about {apply.to_tag.name}"


SABOTAGE = [serve_old_under_the_new_name, make_anew_with_other_content, change_on_one_server]


@pytest.mark.parametrize("sabotage", SABOTAGE)
def test_sabotage_of_what_serves_turns_the_proof_red_within_three_live_outcomes(voyage, applied, sabotage):
    named = sabotage(voyage, applied)
    lived = 0
    while prove().state != RED:
        assert lived < NEEDED
        voyage.run()
        lived += 1
    proof = prove()
    assert lived == proof.checked == 1
    assert proof.sentence.startswith(f"Outcome {proof.wrong_outcome_id} was not served by {applied.to_tag.name}")
    assert named in proof.sentence
    assert read_served_proof().sentence == proof.sentence

    # Set to, the product takes the apply back, once, and the next run is served by the tag before.
    change_settings(auto_rollback=True)
    assert promotion_stages.is_watch_ready(timezone.now())
    assert promotion_stages.work_watch(timezone.now())
    assert not promotion_stages.work_watch(timezone.now())
    back = LiveApply.objects.get(rolls_back=applied)
    assert named in back.reason
    assert LiveApply.objects.count() == 2
    run = voyage.run()
    assert run.controller_digest == run.served_controller_digest == applied.from_digest


def test_a_tag_that_was_deleted_everywhere_serves_nothing_and_proves_nothing(voyage, applied):
    get_pool().delete_tag(tag=applied.to_tag.name)
    run = voyage.run()
    assert (run.error_code, run.served_controller_digest) == ("model_unavailable", "")
    assert prove().checked == 0
    # It is made again from its recipe, and serves the next run.
    assert restore_tags(server=get_pool()) == [applied.to_tag.name]
    run = voyage.run()
    assert run.served_controller_digest == applied.to_digest


def test_a_tag_that_one_server_lost_is_served_by_the_other(voyage, applied):
    OllamaPool(hosts=voyage.models[1:]).delete_tag(tag=applied.to_tag.name)
    OllamaPool(hosts=voyage.models[1:]).delete_tag(tag=read_routing().task.name)
    run = voyage.run()
    assert (run.status, run.served_controller_digest) == ("succeeded", applied.to_digest)


def test_untouched_tags_are_proven_by_three_live_outcomes_and_a_roll_back_serves_the_next_run(voyage, applied):
    for _ in range(NEEDED):
        run = voyage.run()
        assert run.controller_digest == run.served_controller_digest == applied.to_digest
    assert prove().state == GREEN
    began = time.monotonic()
    roll_back(role="controller", by=command_line("ada"), reason="A drill.")
    run = voyage.run()
    assert time.monotonic() - began < ROLLED_BACK_WITHIN_S
    assert run.controller_digest == run.served_controller_digest == applied.from_digest
    assert read_routing().controller == applied.from_tag


def test_runs_that_are_held_back_claim_the_previous_tag_and_leave_the_proof_green(voyage):
    change_settings(hold_back_percent=50)
    apply = apply_canary(canary_id=make_passed_canary(get_pool()).pk, now=timezone.now())
    runs: list[Run] = []
    held: list[Run] = []
    while not held or len(runs) - len(held) < NEEDED:
        assert len(runs) < 40
        runs.append(voyage.run())
        held = [run for run in runs if run.controller_digest == apply.from_digest]
    assert {run.pk for run in held} == set(apply.watch.runs.filter(held_back=True).values_list("run_id", flat=True))
    assert all(run.controller_digest == run.served_controller_digest for run in runs)
    proof = prove()
    assert (proof.state, proof.matching) == (GREEN, len(runs) - len(held))
