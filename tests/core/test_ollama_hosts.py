"""`OLLAMA_HOST` in every form, and what is shown of it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from django.conf import LazySettings
from django.views.debug import get_default_exception_reporter_filter

from lealife.core.ollama_hosts import hide_credentials, parse_hosts, split_credentials
from lealife.core.places import BASE_DIR


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("a", "http://a:11434"),
        ("127.0.0.1", "http://127.0.0.1:11434"),
        (":11500", "http://127.0.0.1:11500"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("http://0.0.0.0:1", "http://127.0.0.1:1"),
        ("::", "http://[::1]:11434"),
        ("::1", "http://[::1]:11434"),
        ("[::1]:11500", "http://[::1]:11500"),
        ("[0001:002:003:0004::1]/path", "http://[1:2:3:4::1]:11434/path"),
        ("a/ollama/", "http://a:11434/ollama"),
        ("a:56789/", "http://a:56789"),
        ("http://a", "http://a"),
        ("HTTP://a:80/", "http://a"),
        ("https://b", "https://b"),
        ("https://b:11434/x", "https://b:11434/x"),
        ('"http://h"', "http://h"),
        (" 'h:1' ", "http://h:1"),
        ("[fe80::1%eth0]:1", "http://[fe80::1%eth0]:1"),
        ("bücher.example:1", "http://xn--bcher-kva.example:1"),
    ],
)
def test_an_address_is_read_as_the_official_client_reads_it(text: str, host: str) -> None:
    assert parse_hosts(text) == (host,)


def test_a_list_keeps_its_order_and_names_each_server_once() -> None:
    assert parse_hosts("127.0.0.1, http://a:1/ ,https://b,127.0.0.1:11434,,:11434") == (
        "http://127.0.0.1:11434",
        "http://a:1",
        "https://b",
    )


@pytest.mark.parametrize(
    "text", ["", " , ", "ftp://a", "http://", "a:b", "a b", "a:99999", "[::1", "a?b=1", "256.1.1.1", "a..b"]
)
def test_a_list_without_a_usable_host_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="OLLAMA_HOST"):
        parse_hosts(text)


@pytest.mark.parametrize("text", ["http://ada:secret@a:port", "ada:secret,more@a", "ftp://ada:secret@a"])
def test_a_refusal_never_shows_a_password(text: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_hosts(text)
    assert "secret" not in str(refused.value)


def test_credentials_are_split_from_the_address() -> None:
    assert split_credentials(parse_hosts("ada:s%40fe@a:1")[0]) == ("http://a:1", ("ada", "s@fe"))
    assert split_credentials("http://a:1") == ("http://a:1", None)


def test_credentials_are_hidden_wherever_an_address_stands() -> None:
    said = "failed at http://ada:secret@a:1/x, then https://ada:se/cret@b"
    assert hide_credentials(said) == "failed at http://a:1/x, then https://b"


@pytest.mark.parametrize("named", ["a:11500,b:11501", ":11500", "http://ada:secret@127.0.0.1:9,nonsense:x"])
def test_every_command_starts_whatever_the_variable_holds(named: str) -> None:
    """The official client parses the variable when it is imported, and raises."""
    environment = {**os.environ, "OLLAMA_HOST": named, "DATABASE_URL": "postgresql:///unused"}
    code = (
        "import os, django; django.setup(); from lealife.pipeline.pool import read_served_digest, get_pool\n"
        "from training.agent.errors import AgentError\n"
        "try: get_pool().create_tag(tag='x', base='y')\n"
        "except Exception as error: print(type(error).__name__, error)\n"
        "print(os.environ['OLLAMA_HOST'])"
    )
    environment["DJANGO_SETTINGS_MODULE"] = "lealife.settings"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=BASE_DIR, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    told, kept = done.stdout.splitlines()
    assert told.startswith("ModelUnavailable")
    assert "secret" not in told + done.stderr
    assert kept == named


def test_a_variable_that_cannot_be_meant_ends_a_command_with_its_sentence() -> None:
    environment = {**os.environ, "LEALIFE_MODEL_THREADS": "-1", "DATABASE_URL": "postgresql:///unused"}
    command = [sys.executable, "manage.py", "check"]
    done = subprocess.run(command, cwd=BASE_DIR, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.strip()) == (1, "LEALIFE_MODEL_THREADS=-1 is outside 0–1024.")


def test_an_error_page_for_developers_hides_the_address(settings: LazySettings) -> None:
    settings.OLLAMA_HOST = "http://ada:secret@a:1"
    assert "secret" not in str(get_default_exception_reporter_filter().get_safe_settings()["OLLAMA_HOST"])
