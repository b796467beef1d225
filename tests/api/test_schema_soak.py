"""What the OpenAPI document allows, and what it forbids, sent to every endpoint: no fault, no undeclared answer.

The long run is part of the soak.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import schemathesis
from django.contrib.auth.models import User
from django.core.wsgi import get_wsgi_application
from django.test import Client
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from lealife.api.root import api
from lealife.core.actors import command_line
from tests.promotion.scenes import Servers, make_base_tags
from training.campaigns import create_campaign
from training.definitions import save_definition
from training.models import Campaign, Host, Run, TaskDefinition
from training.runtime_settings import read_settings

CASES = [84, pytest.param(700, marks=pytest.mark.soak)]
# Of one operation in one round.
EXAMPLES = 2
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
SCOPES = ["read", "operate", "admin"]
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)


@pytest.fixture
def known_ids(transactional_db: None) -> dict[str, int]:
    """One row of each kind that an address names, by the name of the parameter."""
    host = Host.objects.create(name="manual", base_url="http://127.0.0.1:9/", may_be_private=True)
    task: dict[str, Any] = {"title": "Prices", "prompt": "Which page names it?", "check_spec": {}, "pages_target": 1}
    create_campaign(**task, host=host, size=2, queued_from="tests", by=command_line("tests"))
    save_definition(changes={**task, "title": "Other prices", "host": host}, by=command_line("tests"), origin="tests")
    Run.objects.create(
        lane="standard", host=host, prompt="Which?", pages_target=1, max_calls=1, status="succeeded", answer="This."
    )
    make_base_tags(Servers())
    User.objects.create_superuser("ada")
    rows = {"task_id": Run, "campaign_id": Campaign, "definition_id": TaskDefinition}
    return {name: model.objects.latest("pk").pk for name, model in rows.items()}


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("cases", CASES)
@pytest.mark.parametrize("scope", SCOPES)
def test_no_case_of_the_document_meets_a_fault_or_an_undeclared_answer(
    known_ids: dict[str, int],
    key_client: Callable[[str], Client],
    scope: str,
    cases: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = key_client(scope).defaults["HTTP_AUTHORIZATION"]
    schema = schemathesis.openapi.from_wsgi("/api/openapi.json", get_wsgi_application())
    operations = [result.ok() for result in schema.get_all_operations()]
    statuses: Counter[int] = Counter()
    rounds = itertools.count()
    with without_limits(monkeypatch):
        while statuses.total() < cases:
            number = next(rounds)
            for operation, mode in itertools.product(operations, MODES):
                send_cases(operation, mode=mode, number=number, key=key, ids=known_ids, statuses=statuses)
    print(f"\n{scope}: {statuses.total()} cases, {dict(sorted(statuses.items()))}")  # noqa: T201  the soak's figure


def send_cases(
    operation: Any, *, mode: GenerationMode, number: int, key: str, ids: dict[str, int], statuses: Counter[int]
) -> None:
    """Sends a few cases of one operation, others in each round, and checks each answer against the document."""

    @seed(number)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), known=st.booleans())
    def send(case: Any, known: bool) -> None:
        if known:
            # A made-up number or name belongs to no row: half of the cases name a row that exists.
            case.path_parameters |= {name: pk for name, pk in ids.items() if name in case.path_parameters}
            if isinstance(case.body, dict):
                there = {"host": "manual", "version": read_settings().version}
                case.body |= {name: value for name, value in there.items() if name in case.body}
        answer = case.call(headers={**dict(case.headers or {}), "Authorization": key})
        statuses[answer.status_code] += 1
        case.validate_response(answer, checks=CHECKS)

    send()


@contextmanager
def without_limits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No answer is a 429: the soak sends more than the limit allows."""
    with monkeypatch.context() as patched:
        for throttle in api.throttle:
            patched.setattr(throttle, "limit", 10**9)
        yield
