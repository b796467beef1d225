"""A candidate's page: the statistic that decides, after each pair, and the actions, each said before it is done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from lealife.core.errors import NotFound
from lealife.dashboard.candidates import panels
from lealife.dashboard.candidates.curve import HEIGHT, Curve, draw_curve
from lealife.dashboard.live.publisher import publisher
from lealife.dashboard.live.snapshot import render_fragment, take_snapshot
from promotion.evaluation.comparison import run_pairs
from promotion.evaluation.evidence import read_pairs, read_trial
from promotion.gate.e_values import e_value
from promotion.gate.error_budget import split_alpha
from promotion.models import Evaluation, GateDrill, LiveApply
from tests.promotion.scenes import (
    Picker,
    Servers,
    build_pages,
    change_settings,
    make_base_tags,
    make_candidate,
    make_host,
    make_tasks,
    make_tools,
    open_trial,
    steering_address,
)
from tests.training.agent.sites import serve
from training.models import AuditEntry
from training.runtime_settings import read_settings

pytestmark = pytest.mark.django_db
PAIRS = 13


@pytest.fixture(scope="module")
def trial_of_five(kept_rows: None) -> Iterator[tuple[Evaluation, Servers]]:
    """Five real pairs, the active tag always wrong: five wins. Made once."""
    with serve(build_pages(PAIRS)) as site:
        servers = Servers()
        active, _ = make_base_tags(servers)
        make_tasks(make_host(site), PAIRS)
        change_settings(controller_max_calls=1, default_pages_target=2, evaluation_pairs=PAIRS)
        candidate = make_candidate(servers, active)
        opened = open_trial(candidate)
        tools = make_tools(servers, Picker(clumsy={active.name}))
        for _ in range(5):
            run_pairs(evaluation_id=opened.pk, tools=tools, now=timezone.now())
        yield opened, servers


@pytest.fixture
def evaluation(trial_of_five: tuple[Evaluation, Servers]) -> Evaluation:
    # Pages may be reused for two seconds: not from one test to the next.
    publisher._latest = {}
    return Evaluation.objects.get(pk=trial_of_five[0].pk)


@pytest.fixture
def servers(trial_of_five: tuple[Evaluation, Servers]) -> Servers:
    return trial_of_five[1]


def test_the_curve_ends_where_the_gate_stands(evaluation):
    trial = read_trial(evaluation.pk)
    evaluation.refresh_from_db()
    assert trial.results == ("win",) * 5
    assert list(trial.better) == [e_value(wins, 0) for wins in range(1, 6)]
    assert trial.better[-1] == trial.e_better == evaluation.e_value
    assert [pair.e_better for pair in read_pairs(trial)] == list(reversed(trial.better))
    assert (trial.wins, trial.losses, trial.ties) == (evaluation.wins, evaluation.losses, evaluation.ties)
    assert trial.threshold == pytest.approx(1 / split_alpha(evaluation.alpha).better)


def test_a_trial_is_read_in_few_queries_whatever_its_pairs(evaluation, django_assert_max_num_queries):
    with django_assert_max_num_queries(3):
        read_trial(evaluation.pk)


def test_the_page_costs_few_queries_whatever_its_pairs(evaluation, django_assert_max_num_queries):
    with django_assert_max_num_queries(8):
        take_snapshot(f"candidate-{evaluation.pk}", now=timezone.now())


def test_a_finished_pair_is_sent_to_open_pages(evaluation, browser, servers):
    key = f"candidate-{evaluation.pk}"
    before = take_snapshot(key, now=timezone.now())
    assert take_snapshot(key, now=timezone.now()).changed_since(before.fingerprints) == []
    run_pairs(evaluation_id=evaluation.pk, tools=make_tools(servers, Picker()), now=timezone.now())
    have = ",".join(f"{name}:{fingerprint}" for name, fingerprint in before.fingerprints.items())
    answer = browser.get(f"/live/{key}/", {"have": have}).json()
    assert set(answer["fragments"]) == {"trial", "evidence", "pairs", "terms"}
    assert "5 wins, 0 losses, 1 tie," in answer["fragments"]["trial"]["html"]
    assert answer["fragments"]["pairs"]["html"].count("?pair=") == 6


def test_many_pairs_are_shown_when_asked_for(evaluation, browser, monkeypatch):
    monkeypatch.setattr(panels, "NEWEST", 2)
    where = reverse("candidate", args=[evaluation.pk])
    page = browser.get(where).content.decode()
    assert page.count("?pair=") == 2
    assert page.index("?pair=5") < page.index("?pair=4")
    assert "All 5 pairs</a>" in page
    assert browser.get(where, {"all": "1"}).content.decode().count("?pair=") == 2 + 5


def test_a_hold_changes_the_actions_alone(evaluation):
    key = f"candidate-{evaluation.pk}"
    before = take_snapshot(key, now=timezone.now())
    change_settings(promotion_hold=True)
    after = take_snapshot(key, now=timezone.now())
    assert after.changed_since(before.fingerprints) == ["trial"]
    assert "Resume" in render_fragment(after, "trial")


def test_an_evaluation_that_never_was_is_not_found(browser):
    with pytest.raises(NotFound):
        read_trial(0)
    assert browser.get(reverse("candidate", args=[0])).status_code == 404


def test_the_page_says_what_is_missing_and_shows_every_pair(evaluation, browser):
    page = browser.get(reverse("candidate", args=[evaluation.pk])).content.decode()
    trial = read_trial(evaluation.pk)
    assert trial.reason in page
    assert trial.missing in page
    for line in trial.hypotheses:
        assert line.name in page and line.score in page
        assert f"{line.threshold:.1f}" in page
    assert page.count("?pair=") == len(trial.results)
    assert "A candidate cannot be promoted by hand. Only evidence promotes it." in page


@pytest.mark.parametrize("pair", ["1", "5"])
def test_both_trajectories_of_a_pair_stand_side_by_side(evaluation, browser, pair):
    page = browser.get(reverse("candidate", args=[evaluation.pk]), {"pair": pair}).content.decode()
    (chosen,) = read_pairs(read_trial(evaluation.pk), first=int(pair) - 1, last=int(pair) - 1)
    for arm in (chosen.candidate, chosen.baseline):
        assert f"Run {arm.run_id}</a>" in page
    assert page.count('class="arm"') == 2


@pytest.mark.parametrize("pair", ["0", "6", "x", "٣", "9" * 40])
def test_a_pair_that_is_not_there_shows_the_page_without_it(evaluation, browser, pair):
    answer = browser.get(reverse("candidate", args=[evaluation.pk]), {"pair": pair})
    assert answer.status_code == 200
    assert 'class="arm"' not in answer.content.decode()


def test_an_action_first_says_what_will_happen_and_does_nothing(evaluation, browser):
    page = browser.get(steering_address("hold", next="/training/")).content.decode()
    assert "no candidate is evaluated, tried or applied" in page
    assert not read_settings().promotion_hold


@pytest.mark.parametrize(
    ("action", "why"),
    [
        ("resume", "Promotion is not on hold."),
        ("evaluate-now", "no longer collects outcomes: it is evaluating."),
        ("abort-canary", "No controller canary is open."),
        ("roll-back", "The controller tag has never been switched"),
    ],
)
def test_an_action_that_would_be_refused_says_so_before_it_is_pressed(evaluation, browser, action, why):
    before = AuditEntry.objects.count()
    page = browser.get(steering_address(action)).content.decode()
    assert why in page
    assert "csrfmiddlewaretoken" not in page.partition("<main")[2]
    assert AuditEntry.objects.count() == before


def test_hold_and_resume_leave_their_trace(evaluation, browser):
    browser.post(steering_address("hold"), {"reason": "the site is being rebuilt"})
    assert read_settings().promotion_hold
    browser.post(steering_address("resume"))
    assert not read_settings().promotion_hold
    held = AuditEntry.objects.get(action="hold promotion")
    assert (held.actor, held.origin, held.details) == ("ada", "page", {"reason": "the site is being rebuilt"})


def test_a_refused_action_says_why_and_changes_nothing(evaluation, browser):
    answer = browser.post(steering_address("roll-back"), {"role": "controller", "reason": "x"}, follow=True)
    assert "has never been switched" in answer.content.decode()
    assert LiveApply.objects.count() == 0


def test_a_drill_is_requested_once(evaluation, browser):
    browser.post(steering_address("drill"))
    browser.post(steering_address("drill"))
    assert GateDrill.objects.count() == len(GateDrill.Kind)


@pytest.mark.parametrize("where", ["//evil.example/", "https://evil.example/", "javascript:alert(1)"])
def test_an_action_never_leads_away_from_the_product(evaluation, browser, where):
    assert browser.post(steering_address("hold"), {"next": where}).headers["Location"] == reverse("training")
    assert where not in browser.get(steering_address("resume", next=where)).content.decode()


@pytest.mark.parametrize("action", ["promote", "apply", "x"])
def test_there_is_no_action_that_promotes(evaluation, browser, action):
    assert browser.get(steering_address(action)).status_code == 404


def test_only_staff_may_look_and_steer(evaluation):
    client = Client()
    for where in (reverse("candidate", args=[evaluation.pk]), steering_address("hold")):
        assert client.get(where).status_code == 302
        client.force_login(User.objects.get_or_create(username="eve")[0])
        assert client.get(where).status_code == 403
        client.logout()


def draw(*, better: Sequence[float] = (), worse: Sequence[float] = (), cheaper: Sequence[float] = ()) -> Curve:
    """A curve with thresholds of 100 for better, 20 for worse, and 200 for not worse and cheaper."""
    return draw_curve(better=better, worse=worse, cheaper=cheaper, promote=100.0, reject=20.0, promote_cheaper=200.0)


def test_the_last_value_of_each_curve_is_the_one_that_decides(evaluation):
    trial = read_trial(evaluation.pk)
    assert trial.better[-1] == trial.e_better and trial.worse[-1] == trial.e_worse
    assert trial.cheaper[-1] == trial.hypotheses[1].e_value


def test_the_curve_is_drawn_on_a_logarithmic_axis():
    curve = draw(better=[1.0, 10.0, 100.0], worse=[1.0, 0.1, 0.01], cheaper=[1.0, 2.0, 200.0])
    heights = [float(point.split(",")[1]) for point in curve.better.split()]
    assert heights[0] - heights[2] == pytest.approx(heights[2] - heights[3], abs=0.2)
    assert curve.promote_y == heights[3]
    assert 0 <= curve.cheaper_y < curve.promote_y < curve.reject_y < HEIGHT
    assert curve.cheaper.split()[-1].endswith(f",{curve.cheaper_y}")


def test_a_curve_without_pairs_is_a_point_at_one():
    curve = draw()
    assert curve.better == curve.worse == curve.cheaper
    assert curve.pairs == 0
