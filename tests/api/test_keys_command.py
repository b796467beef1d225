"""`manage.py create_api_key`."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from lealife.models import ApiKey
from training.models import AuditEntry

pytestmark = pytest.mark.django_db


def test_the_command_prints_a_key_that_works() -> None:
    printed = StringIO()
    call_command("create_api_key", "cron", "--scope", "operate", stdout=printed, stderr=StringIO())
    secret = printed.getvalue().strip()
    answer = Client().get("/api/tasks", headers={"Authorization": f"Bearer {secret}"})
    assert answer.status_code == 200
    assert ApiKey.objects.get().scope == "operate"
    assert AuditEntry.objects.get().action == "create api key"
    assert secret not in str(AuditEntry.objects.values())


def test_a_name_is_given_once() -> None:
    call_command("create_api_key", "cron", stdout=StringIO(), stderr=StringIO())
    with pytest.raises(CommandError, match="already a key named 'cron'"):
        call_command("create_api_key", "cron", stdout=StringIO(), stderr=StringIO())
