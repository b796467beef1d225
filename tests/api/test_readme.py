"""The README's first call of the API works as it stands."""

from __future__ import annotations

import json
import re

from django.test import Client

from lealife.core.places import BASE_DIR
from lealife.demo import ensure_demo_host
from training.models import Host, Run


def test_the_first_call_names_its_host_and_is_taken(operator: Client) -> None:
    demo, _ = ensure_demo_host()
    # A second site: now only a name says which one is meant.
    Host.objects.create(name="manual", base_url="http://127.0.0.1:9/", may_be_private=True)
    readme = (BASE_DIR / "README.md").read_text()
    found = re.search(r"-d '(\{.*?\})' http://127\.0\.0\.1:8000(/api/\S+)", readme)
    assert found is not None
    answer = operator.post(found[2], json.loads(found[1]), "application/json")
    assert answer.status_code == 202, answer.content
    assert Run.objects.get().host == demo
