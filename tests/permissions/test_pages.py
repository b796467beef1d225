"""The dashboard: every address × every caller, and what a page offers to whom."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from lealife.dashboard.candidates import views as candidates_views
from lealife.dashboard.runs import views as runs_views
from lealife.dashboard.training import actions
from lealife.dashboard.training.sources import SOURCE_ACTIONS
from lealife.dashboard.urls import urlpatterns
from lealife.urls import urlpatterns as roots
from promotion.models import Evaluation
from tests.admin.conftest import make_host, make_rows
from tests.permissions.conftest import make_callers, make_user, open_browser, undone
from tests.permissions.table import CALLERS, PAGES, STAFF, list_deciders
from training.models import AuditEntry, Campaign, Host, PageSnapshot, Run, TrainingSource

pytestmark = pytest.mark.django_db
ACTIONS = {
    "change_source": set(SOURCE_ACTIONS),
    "change_campaign": set(actions.CAMPAIGN_ACTIONS),
    "move_draft": set(actions.DRAFT_ACTIONS),
    "act_on_run": set(runs_views.ACTIONS),
    "steer_promotion": set(candidates_views.BUTTONS),
}


@pytest.fixture(scope="module")
def host(kept_rows: None) -> Host:
    return make_host()


@pytest.fixture(scope="module")
def rows(host: Host) -> dict[type[Model], Model]:
    """One row of every model, made once."""
    return make_rows(host)


@pytest.fixture(scope="module")
def kept_users(kept_rows: None) -> dict[str, User]:
    deciders = (caller for *_, needed in PAGES for caller in list_deciders(needed))
    return make_callers(dict.fromkeys([*CALLERS, *deciders]))


@pytest.fixture
def users(cheap_requests: None, kept_users: dict[str, User]) -> dict[str, User]:
    """One user for each caller, made once."""
    return kept_users


def find_address(name: str, action: str, rows: dict[Any, Any]) -> str:
    """The address of a row, on rows that exist."""
    pattern = next(pattern for pattern in urlpatterns if pattern.name == name)
    known = {
        "source_id": rows[TrainingSource].pk,
        "campaign_id": rows[Campaign].pk,
        "run_id": rows[Run].pk,
        "evaluation_id": rows[Evaluation].pk,
        "digest": rows[PageSnapshot].digest,
        "key": "training",
        "action": action,
    }
    return reverse(name, kwargs={key: known[key] for key in pattern.pattern.converters})


def test_every_address_and_every_action_has_its_row():
    assert {row[0] for row in PAGES} == {pattern.name for pattern in urlpatterns}
    assert {(row[0], row[1]) for row in PAGES if row[1]} == {
        (name, action) for name, known in ACTIONS.items() for action in known
    }
    taken = {pattern.name for pattern in urlpatterns if "action" in pattern.pattern.converters}
    assert taken == set(ACTIONS)


def test_there_are_no_root_addresses_beyond_dashboard_api_and_admin():
    assert [str(root.pattern) for root in roots] == ["", "login/", "logout/", "admin/", "api/", "favicon.ico"]


@pytest.mark.parametrize("row", PAGES, ids=lambda row: f"{row[2]} {row[0]} {row[1]} {row[4]}")
def test_each_page_and_button_is_open_to_whom_the_table_says(row, rows, users: dict[str, User]) -> None:
    name, action, method, data, needed = row
    address = find_address(name, action, rows)
    wrong = []
    expected = list_deciders(needed)
    for caller in expected:
        client = open_browser(users[caller])
        with undone():
            before = AuditEntry.objects.count()
            answer = getattr(client, method)(address, data)
            allowed = answer.status_code not in {401, 403}
            if answer.status_code >= 500 or allowed != expected[caller]:
                wrong.append((caller, answer.status_code))
            if not allowed:
                assert AuditEntry.objects.count() == before
                assert f"it needs the permission {needed}." in answer.content.decode()
    assert wrong == []


@pytest.mark.parametrize("row", PAGES, ids=lambda row: f"{row[2]} {row[0]} {row[1]}")
def test_a_user_who_is_not_staff_is_refused_everywhere_whatever_they_hold(row, rows) -> None:
    name, action, method, data, needed = row
    client = Client()
    client.force_login(make_user("visitor", *([] if needed == STAFF else [needed]), is_staff=False))
    answer = getattr(client, method)(find_address(name, action, rows), data)
    assert answer.status_code == 403
    assert "visitor is not a member of staff" in answer.content.decode()


# What a page holds when something is offered: by permission, what its buttons hold.
OFFERS = {
    "training.ask": ("/tasks/new/", "/actions/repeat/"),
    "training.start_training": ("/training/actions/start/",),
    "training.stop_training": ("/training/actions/stop/",),
    "training.queue_source": ("/training/actions/queue/", "/actions/train/", "/training/definitions/", "/requeue/"),
    "training.manage_campaign": ("/training/actions/queue/", "/training/campaigns/"),
    "training.disable_source": ("/actions/disable/", "/actions/enable/"),
    "training.cancel_source": ("Cancel source",),
    "training.change_settings": ("/training/settings/",),
    "training.give_verdict": ("/actions/judge/",),
    "promotion.hold_promotion": ("/training/promotion/hold/", "/training/promotion/resume/"),
    "promotion.evaluate_now": ("/training/promotion/evaluate-now/",),
    "promotion.drill_gate": ("/training/promotion/drill/",),
    "promotion.abort_canary": ("/training/promotion/abort-canary/",),
    "promotion.roll_back": ("/training/promotion/roll-back/",),
}
EVERY_OFFER = sorted({address for offers in OFFERS.values() for address in offers})


@pytest.fixture
def pages(rows: dict[Any, Any]) -> list[str]:
    """Every page with buttons; a source of every status, and an answer that can be judged and trained on."""
    host = rows[Host]
    for status in ("disabled", "failed", "done"):
        TrainingSource.objects.create(title=status, prompt="Find it.", host=host, status=status)
    run = Run.objects.create(
        lane="standard", status="succeeded", host=host, prompt="Which?", pages_target=1, max_calls=5, answer="This."
    )
    return [
        "/",
        "/training/",
        "/training/sources/",
        f"/training/candidates/{rows[Evaluation].pk}/",
        "/runs/",
        f"/runs/{run.pk}/",
        "/tasks/new/",
    ]


def read_offers(client: Client, addresses: list[str]) -> set[str]:
    """Which buttons the pages, and the fragments that replace their parts, hold."""
    polled = [f"/live/{key}/?have=" for key in ("training", "home")]
    texts = [client.get(address).content.decode() for address in (*addresses, *polled)]
    assert not any("needs" in text and "<!--" in text for text in texts), "a mark is left"
    return {offer for offer in EVERY_OFFER if any(offer in text for text in texts)}


def test_a_reader_without_permissions_is_offered_nothing(pages: list[str], users: dict[str, User]) -> None:
    assert read_offers(open_browser(users[""]), pages) == set()


@pytest.mark.parametrize("permission", sorted(OFFERS))
def test_a_reader_is_offered_what_they_may_do_and_no_more(
    pages: list[str], users: dict[str, User], permission: str
) -> None:
    offered = read_offers(open_browser(users[permission]), pages)
    assert offered <= set(OFFERS[permission])
    assert offered or permission == "promotion.abort_canary", "there is no open canary here"


def test_an_empty_panel_says_which_permission_is_missing(pages: list[str], users: dict[str, User]) -> None:
    page = open_browser(users[""]).get("/training/").content.decode()
    for permission in ("training.start_training", "training.queue_source", "training.change_settings"):
        assert f"needs the permission <code>{permission}</code>" in page


def test_a_polling_reader_gets_fragments_of_their_own(users: dict[str, User], host) -> None:
    def start_button(caller: str) -> bool:
        answer = open_browser(users[caller]).get("/live/training/?have=").json()
        return "/training/actions/start/" in answer["fragments"]["controls"]["html"]

    assert [start_button(caller) for caller in ("", "training.start_training", "", "superuser")] == [
        False,
        True,
        False,
        True,
    ]
