"""Wrong passwords: an address that sends too many is locked out for a while, on both login forms."""

from __future__ import annotations

from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client, RequestFactory

from lealife.core.clients import read_address

LIMIT = settings.AXES_FAILURE_LIMIT
PASSWORD = "a long enough one"
pytestmark = pytest.mark.django_db
FORMS = ["/login/", "/admin/login/"]


@pytest.fixture(autouse=True)
def staff(settings) -> User:
    """Somebody with a password, which is hashed quickly here."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return User.objects.create_superuser("ada", password=PASSWORD)


def sign_in(form: str, password: str, *, name: str = "ada", **meta: str):
    return Client(**meta).post(form, {"username": name, "password": password})


@pytest.mark.parametrize("form", FORMS)
def test_wrong_passwords_lock_an_address_out(form: str) -> None:
    statuses = [sign_in(form, f"wrong {number}").status_code for number in range(LIMIT + 3)]
    assert statuses[: LIMIT - 1] == [200] * (LIMIT - 1)
    assert set(statuses[LIMIT:]) == {429}
    answer = sign_in(form, PASSWORD)
    assert answer.status_code == 429
    assert answer["Retry-After"] == "600"
    page = answer.content.decode()
    assert f"{LIMIT} wrong passwords came from your address." in page
    assert "10 minutes" in page


@pytest.mark.parametrize("form", FORMS)
def test_many_names_from_one_address_lock_it_out_as_well(form: str) -> None:
    for number in range(LIMIT):
        sign_in(form, "guess", name=f"user{number}")
    assert sign_in(form, PASSWORD).status_code == 429
    assert sign_in(form, PASSWORD, REMOTE_ADDR="203.0.113.9").status_code == 302


def test_the_lock_ends_by_itself() -> None:
    for number in range(LIMIT):
        sign_in("/login/", f"wrong {number}")
    assert sign_in("/login/", PASSWORD).status_code == 429
    for attempt in AccessAttempt.objects.all():
        AccessAttempt.objects.filter(pk=attempt.pk).update(attempt_time=attempt.attempt_time - timedelta(minutes=10))
    assert sign_in("/login/", PASSWORD).status_code == 302


def test_the_right_password_forgets_the_wrong_ones() -> None:
    for _ in range(3):
        for number in range(LIMIT - 1):
            assert sign_in("/login/", f"wrong {number}").status_code == 200
        assert sign_in("/login/", PASSWORD).status_code == 302


def test_an_account_of_ones_own_is_no_way_to_try_the_passwords_of_others() -> None:
    User.objects.create_user("eve", password=PASSWORD)
    for number in range(LIMIT):
        assert sign_in("/login/", PASSWORD, name="eve").status_code == 302
        sign_in("/login/", f"guess {number}")
    assert sign_in("/login/", PASSWORD).status_code == 429


@pytest.mark.parametrize(
    ("proxies", "forwarded", "peer", "address"),
    [
        (0, "", "198.51.100.1", "198.51.100.1"),
        (0, "203.0.113.9", "198.51.100.1", "198.51.100.1"),
        (1, "203.0.113.9", "198.51.100.1", "203.0.113.9"),
        (1, "1.1.1.1, 203.0.113.9", "198.51.100.1", "203.0.113.9"),
        (2, "1.1.1.1, 203.0.113.9, 10.0.0.1", "198.51.100.1", "203.0.113.9"),
        (2, "203.0.113.9", "198.51.100.1", "198.51.100.1"),
        (1, "203.0.113.9:4711", "198.51.100.1", "203.0.113.9"),
        (1, "[2001:db8:1:2::3]:4711", "198.51.100.1", "2001:db8:1:2::"),
        (1, "no address", "198.51.100.1", "198.51.100.1"),
        (1, "", "", None),
        (0, "", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        (0, "", "::1", "::1"),
        (0, "", "::ffff:198.51.100.1", "198.51.100.1"),
    ],
)
def test_a_client_is_known_by_the_address_that_the_outermost_trusted_proxy_saw(
    settings, proxies: int, forwarded: str, peer: str, address: str | None
) -> None:
    settings.LEALIFE_PROXIES = proxies
    request = RequestFactory().get("/", REMOTE_ADDR=peer, **({"HTTP_X_FORWARDED_FOR": forwarded} if forwarded else {}))
    assert read_address(request) == address


def test_a_form_without_its_token_says_that_it_is_too_old(staff: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(staff)
    answer = client.post("/training/actions/start/")
    assert answer.status_code == 403
    assert "This form is too old" in answer.content.decode()
