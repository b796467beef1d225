"""Hosts: archived and brought back, each once, with a trace."""

from __future__ import annotations

import pytest

from lealife.core.actors import command_line
from lealife.core.errors import Conflict, NotFound
from tests.factories import START, make_host, make_source
from training.claims import claim_next_source
from training.hosts import archive_host, unarchive_host
from training.models import AuditEntry
from training.tasks import find_host

WHO = {"by": command_line("ada"), "origin": "tests"}


def test_nothing_of_an_archived_host_is_claimed_until_it_is_back(host):
    source = make_source(host)
    archive_host(host_id=host.pk, **WHO)
    assert claim_next_source(now=START) is None
    unarchive_host(host_id=host.pk, **WHO)
    assert claim_next_source(now=START).source.pk == source.pk


def test_a_host_is_archived_once(host):
    archive_host(host_id=host.pk, **WHO)
    with pytest.raises(Conflict, match=f"Host {host.name} is archived already"):
        archive_host(host_id=host.pk, **WHO)
    assert AuditEntry.objects.count() == 1


def test_a_host_in_use_is_not_brought_back(host):
    with pytest.raises(Conflict, match=f"Host {host.name} is not archived"):
        unarchive_host(host_id=host.pk, **WHO)
    assert not AuditEntry.objects.exists()


def test_a_host_that_is_not_there_is_not_archived(db):
    with pytest.raises(NotFound, match="There is no host 7"):
        archive_host(host_id=7, **WHO)


def test_an_address_that_two_hosts_answer_to_means_the_one_in_use(host):
    other = make_host(base_url="http://127.0.0.1:9/")
    assert find_host("http://127.0.0.1:9/a") == host
    archive_host(host_id=host.pk, **WHO)
    assert find_host("http://127.0.0.1:9/a") == other


@pytest.mark.parametrize(("reason", "details"), [("", {}), ("It moved.", {"reason": "It moved."})])
def test_the_audit_log_keeps_the_reason_if_there_is_one(host, reason, details):
    archive_host(host_id=host.pk, reason=reason, **WHO)
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action, entry.subject) == ("ada", "archive host", f"host {host.name}")
    assert entry.details == details
