"""What the pages of a run become: memory in quarantine until a second reading confirms it, or a pitfall."""

from __future__ import annotations

import pytest

from learning.models import MemoryItem
from tests.factories import PASSAGE, later, make_crawled, make_host, make_html, make_outcome
from tests.learning.visits import FOX, ingest, item_of, quote_of, visit


@pytest.mark.parametrize("body", [b"<meta name=robots content=noindex>" + FOX, FOX + b"<b>" * 300_000])
def test_nothing_is_kept_of_a_page_that_may_not_be_kept_or_is_too_large(host, body):
    step = visit(host, body=body)
    outcome = make_outcome(host, success=True, steps=[step], quotes=[quote_of(step)])
    assert ingest(outcome).items_written == 0
    assert not MemoryItem.objects.exists()


def test_what_the_headers_forbade_is_not_kept(host):
    outcome = make_outcome(host, steps=[visit(host, media_type="text/html; charset=utf-8; robots=noindex")])
    assert ingest(outcome).items_written == 0


def test_a_page_is_quarantined_until_a_second_outcome_saw_the_same(host):
    ingest(make_outcome(host, steps=[visit(host)]))
    assert (item_of("page").status, item_of("page").sightings) == ("quarantined", 1)
    ingest(make_outcome(host, steps=[visit(host)], now=later(hours=1)))
    assert (item_of("page").status, item_of("page").sightings) == ("trusted", 2)


def test_a_page_with_other_bytes_in_each_answer_is_trusted_for_what_it_says(host):
    for hour in range(2):
        body = FOX.replace(b"<body>", f'<body><input type="hidden" value="token-{hour}"><!-- {hour} ms -->'.encode())
        ingest(make_outcome(host, steps=[visit(host, body=body)], now=later(hours=hour)))
    assert (item_of("page").status, item_of("page").sightings) == ("trusted", 2)


def test_one_page_under_ten_addresses_is_one_page(host):
    steps = [visit(host, page=f"fox?from={number}", index=number) for number in range(10)]
    for hour in range(2):
        ingest(make_outcome(host, steps=steps, now=later(hours=hour)))
    page = item_of("page")
    assert (page.url, page.status, page.sightings) == (steps[0].url, "trusted", 2)


def test_one_page_that_names_its_address_is_one_page_although_its_words_differ_a_little(host):
    def name_it(number: int) -> bytes:
        head = f'<link rel="canonical" href="{host.base_url}fox">'
        said = [PASSAGE, PASSAGE.replace("dog", "cat"), f"You are visitor number {number} of this page, welcome."]
        return make_html(head, *said).replace(b"<title>", b"").replace(b"</title>", b"")

    steps = [visit(host, page=f"fox?from={number}", index=number, body=name_it(number)) for number in range(4)]
    ingest(make_outcome(host, steps=steps))
    assert item_of("page").url == steps[0].url


def test_a_page_that_claims_the_address_of_another_takes_nothing_from_it(host):
    ingest(make_outcome(host, steps=[visit(host)]))
    claim = f'<link rel="canonical" href="{host.base_url}fox"><p>Foxes are sold here, and cheaply, all day.</p>'
    ingest(make_outcome(host, steps=[visit(host, page="shop", body=claim.encode())], now=later(hours=1)))
    fox, shop = MemoryItem.objects.order_by("pk")
    assert (fox.url[-3:], fox.title, fox.sightings, shop.url[-4:]) == ("fox", "Foxes", 1, "shop")


def test_a_page_that_the_crawl_saw_too_is_trusted_at_once(host):
    make_crawled(host, url=f"{host.base_url}fox", body=FOX)
    ingest(make_outcome(host, steps=[visit(host)]))
    assert item_of("page").status == "trusted"


def test_a_crawl_of_another_host_confirms_nothing(host):
    make_crawled(make_host(), url=f"{host.base_url}fox", body=FOX)
    ingest(make_outcome(host, steps=[visit(host)]))
    assert item_of("page").status == "quarantined"


def test_a_page_whose_content_changed_is_quarantined_again(host):
    for hour in range(2):
        ingest(make_outcome(host, steps=[visit(host)], now=later(hours=hour)))
    ingest(make_outcome(host, steps=[visit(host, body=make_html("Wolves", PASSAGE))], now=later(hours=3)))
    assert (item_of("page").status, item_of("page").title, item_of("page").sightings) == ("quarantined", "Wolves", 1)


def test_a_retired_item_stays_retired(host):
    ingest(make_outcome(host, steps=[visit(host)]))
    MemoryItem.objects.update(status="retired")
    ingest(make_outcome(host, steps=[visit(host)], now=later(hours=1)))
    ingest(make_outcome(host, steps=[visit(host, body=make_html("Wolves", PASSAGE))], now=later(hours=2)))
    assert (item_of("page").status, item_of("page").title) == ("retired", "Foxes")


def test_one_outcome_that_saw_a_page_twice_is_one_sighting(host):
    ingest(make_outcome(host, steps=[visit(host), visit(host, index=1)]))
    assert (item_of("page").status, item_of("page").sightings) == ("quarantined", 1)


def test_a_page_that_failed_to_come_is_a_pitfall_and_no_page(host):
    step = visit(host, body=b"", error_code="fetch_failed", error="It answered HTTP 500.", status=500)
    ingest(make_outcome(host, steps=[step], success=False))
    pitfall = MemoryItem.objects.get()
    assert (pitfall.kind, pitfall.title, pitfall.text) == ("pitfall", "fetch_failed", "It answered HTTP 500.")


@pytest.mark.parametrize("code", ["model_unavailable", "timeout", "internal_error"])
def test_a_failure_that_is_not_the_pages_is_no_pitfall(host, code):
    ingest(make_outcome(host, steps=[visit(host, body=b"", error_code=code)], success=False))
    assert not MemoryItem.objects.exists()


@pytest.mark.parametrize("status", [0, 408, 425, 429, 503])
def test_a_site_that_does_not_answer_now_makes_no_pitfall_of_its_pages(host, status):
    ingest(make_outcome(host, steps=[visit(host, body=b"", error_code="fetch_failed", status=status)], success=False))
    assert not MemoryItem.objects.exists()


def test_a_pitfall_seen_twice_is_trusted(host):
    for hour in range(2):
        step = visit(host, body=b"", error_code="redirect_loop")
        ingest(make_outcome(host, steps=[step], success=False, now=later(hours=hour)))
    assert item_of("pitfall").status == "trusted"


@pytest.mark.parametrize(
    "body", [b"plain \x00 text that is long enough to be a passage of its own", b"\xff\xfe\x00", b"\x00"]
)
def test_a_page_with_bytes_that_postgres_cannot_hold_is_ingested_all_the_same(host, body):
    step = visit(host, body=body, media_type="text/plain")
    assert ingest(make_outcome(host, steps=[step])) is not None
    assert "\x00" not in item_of("page").text
