"""The OpenAPI document is a promise: a change to it is seen in review."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from django.test import Client

SNAPSHOT = Path(__file__).with_name("openapi.json")


def read_document() -> dict[str, Any]:
    answer = Client().get("/api/openapi.json")
    assert answer.status_code == 200
    return answer.json()


def test_the_openapi_document_is_the_one_in_the_snapshot() -> None:
    """After a wanted change, run this test once with LEALIFE_WRITE_SNAPSHOTS=1 and commit the file."""
    current = json.dumps(read_document(), indent=1, sort_keys=True) + "\n"
    if os.environ.get("LEALIFE_WRITE_SNAPSHOTS") == "1":
        SNAPSHOT.write_text(current)
    assert current == SNAPSHOT.read_text()


def test_every_endpoint_declares_its_refusals() -> None:
    for path, item in read_document()["paths"].items():
        for method, operation in item.items():
            assert {"401", "403", "422", "429"} <= set(operation["responses"]), (method, path)


def test_every_endpoint_takes_a_key_or_a_session() -> None:
    for path, item in read_document()["paths"].items():
        for method, operation in item.items():
            assert operation["security"] == [{"BearerKey": []}, {"StaffSession": []}], (method, path)
