"""HEAD, 405, ETags, slashes: what HTTP expects of every address."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from django.test import Client

from lealife.api.root import api
from tests.api.test_problems import assert_problem
from training.models import Host, Run

JSON = "application/json"
TASK = {"prompt": "Which page?", "host": "manual"}
METHODS = {re.sub(r"{\w+}", "1", path): set(item) for path, item in api.get_openapi_schema()["paths"].items()}
READS = [address for address, methods in METHODS.items() if "get" in methods]
POSTS = [address for address, methods in METHODS.items() if "post" in methods]


def turn_slash(address: str) -> str:
    return address.removesuffix("/") if address.endswith("/") else f"{address}/"


@pytest.mark.parametrize("address", READS)
def test_head_answers_as_get_without_a_body(reader: Client, address: str) -> None:
    get, head = reader.get(address), reader.head(address)
    assert (head.status_code, head["Content-Type"], head.content) == (get.status_code, get["Content-Type"], b"")
    assert int(head["Content-Length"]) > 0


def test_another_method_is_a_problem_that_names_those_there_are() -> None:
    for address, methods in METHODS.items():
        answer = Client().delete(address)
        assert_problem(answer, 405)
        assert set(answer["Allow"].lower().split(", ")) == methods | ({"head"} if "get" in methods else set())


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["/api/docs", "/api/openapi.json"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_the_documentation_is_only_read(session_client: Callable[..., Client], address: str, method: str) -> None:
    answer = session_client(superuser=True).generic(method, address)
    assert_problem(answer, 405)
    assert answer["Allow"] == "GET, HEAD"
    assert Client().head(address).status_code == 200


@pytest.mark.django_db
def test_options_of_nothing_is_not_found() -> None:
    assert_problem(Client().options("/api/nothing"), 404)


@pytest.mark.parametrize("written", ["{}", "W/{}", '"a", W/"b", {}', "*"])
def test_what_is_unchanged_is_not_sent_again(reader: Client, written: str) -> None:
    first = reader.get("/api/tasks")
    tag = written.format(first["ETag"])
    answer = reader.get("/api/tasks", headers={"If-None-Match": tag})
    assert (answer.status_code, answer.content, answer["ETag"]) == (304, b"", first["ETag"])
    assert reader.head("/api/tasks", headers={"If-None-Match": tag}).status_code == 304
    assert reader.get("/api/tasks", headers={"If-None-Match": '"a", W/"b"'}).status_code == 200


@pytest.mark.parametrize("address", READS)
def test_the_moment_of_an_answer_is_no_change(reader: Client, address: str) -> None:
    first = reader.get(address)
    if first.status_code == 200:
        tag = first["ETag"].removeprefix("W/")
        for written in (tag, f"W/{tag}", f'"other", W/{tag}'):
            assert reader.get(address, headers={"If-None-Match": written}).status_code == 304


@pytest.mark.parametrize("address", POSTS)
def test_a_post_is_taken_with_the_slash_or_without(host: Host, administrator: Client, address: str) -> None:
    answer = administrator.post(turn_slash(address), {}, JSON)
    assert answer.status_code not in {301, 302, 307, 308, 405, 500}
    assert b"There is nothing at" not in answer.content


@pytest.mark.parametrize("address", READS)
def test_a_read_is_taken_with_the_slash_or_without(reader: Client, address: str) -> None:
    assert reader.get(turn_slash(address)).status_code == reader.get(address).status_code
    assert reader.get(PATH_INFO=f"/{address}", path="/").status_code == reader.get(address).status_code


def test_a_body_survives_every_spelling(host: Host, operator: Client) -> None:
    for address in ("/api/tasks", "/api/tasks/", "//api/tasks", "//api//tasks//"):
        assert operator.post("/", TASK, JSON, PATH_INFO=address).status_code == 202
    assert Run.objects.count() == 4


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("/training", "/training/"),
        ("//training/", "/training/"),
        ("//evil.example/", ""),
        ("/favicon.ico/", "/favicon.ico"),
        ("/admin//training//host/", "/admin/training/host/"),
        ("/admin/training/host/add", "/admin/training/host/add/"),
        ("//runs?status=x", "/runs/?status=x"),
    ],
)
def test_a_page_is_redirected_to_its_address(asked: str, meant: str) -> None:
    # The test client takes what follows two slashes for a host.
    path, _, query = asked.partition("?")
    answer = Client().get("/", PATH_INFO=path, QUERY_STRING=query)
    assert (answer.status_code, answer.get("Location", "")) == ((301, meant) if meant else (404, ""))


def test_a_form_sent_to_a_page_without_its_slash_arrives(session_client: Callable[..., Client]) -> None:
    answer = session_client(superuser=True).post("/training/actions/stop")
    assert (answer.status_code, answer["Location"]) == (302, "/training/")


@pytest.mark.parametrize("path", ["/admin/training/host/add", "/admin//training/host//add/"])
def test_a_form_of_admin_arrives_however_its_address_is_spelt(session_client: Callable[..., Client], path: str) -> None:
    sent = {"name": "new", "base_url": "https://new.example/", "aliases": "[]", "politeness_delay_ms": "1000"}
    answer = session_client(superuser=True).post("/", sent, PATH_INFO=path)
    assert answer.status_code == 302
    assert Host.objects.filter(name="new").exists()


def test_a_host_header_that_is_not_ours_is_a_problem_too() -> None:
    answer = Client().get("/api/tasks", headers={"host": "evil.example"})
    assert_problem(answer, 400)
    assert Client().get("/training/", headers={"host": "evil.example"})["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=x", "text/plain"])
def test_a_session_may_send_a_body_of_any_kind_without_a_fault(
    host: Host, session_client: Callable[..., Client], kind: str
) -> None:
    client = session_client(superuser=True)
    assert client.post("/api/tasks", json.dumps(TASK), content_type=kind).status_code in {202, 400}
    latin = "application/x-www-form-urlencoded; charset=latin-1"
    assert client.post("/api/tasks", json.dumps(TASK), content_type=latin).status_code in {202, 400}
