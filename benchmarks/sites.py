"""Sites: the manuals of the development sets, served on loopback, read through and indexed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from benchmarks.database import open_database
from benchmarks.fitting import Case, read_cases
from benchmarks.manuals import SITES, Manual, read_manual, serve
from benchmarks.measurement import Measurement, at_least
from lealife.core.digest import digest_bytes
from lealife.core.places import data_dir
from lealife.embedded.ollama_process import ensure_ollama
from lealife.pipeline.pool import embed_texts, get_pool
from lealife.pipeline.vectors import find_embedder
from learning.curriculum.seeding import crawl_host, find_unread_host
from learning.index.indexing import count_terms, forget_pages, index_page
from learning.index.models import IndexedPage
from learning.index.vectors import make_vectors
from learning.models import FrontierPage
from promotion.tags import ensure_base_tags
from training.agent.reading.page import parse_kept
from training.agent.web.http_browser import HttpBrowser
from training.models import Host

PAGES_A_SECOND = 50


@dataclass(frozen=True, slots=True)
class Site:
    """A manual that is served and was read through, what its index finds for each of its questions, and how fast its
    pages were indexed.
    """

    manual: Manual
    host: Host
    address: str
    cases: tuple[Case, ...]
    indexing: Measurement


@contextmanager
def read_sites(names: Sequence[str] = SITES) -> Iterator[list[Site]]:
    """The named manuals, read through. The vectors of texts that were seen before are read from a file."""
    ensure_ollama()
    with open_database(), ExitStack() as stack:
        ensure_base_tags(server=get_pool(), base=settings.LEALIFE_BASE_MODEL)
        sites = []
        for name in names:
            manual = read_manual(name)
            address = stack.enter_context(serve(manual.root))
            host = add_host(manual, address)
            indexing = read_through(host, name=name)
            sites.append(Site(manual, host, address, tuple(read_cases(host, manual, address=address)), indexing))
        yield sites


def add_host(manual: Manual, address: str) -> Host:
    """The manual as a host of the product."""
    return Host.objects.create(
        name=manual.name,
        base_url=f"{address}{manual.start}",
        may_be_private=True,
        politeness_delay_ms=0,
        seed_curriculum=True,
    )


def read_through(host: Host, *, name: str) -> Measurement:
    """Reads a manual through, indexes it again from the kept pages, and makes its vectors."""
    with HttpBrowser(site=host.as_site()) as browser:
        while find_unread_host(now=timezone.now()) == host:
            crawl_host(host=host, browser=browser, now=timezone.now(), pages=50)
    forget_pages(IndexedPage.objects.filter(host=host))
    began = time.monotonic()
    pages = index_again(host)
    passages = count_terms(host.pk)
    indexed_s = time.monotonic() - began
    embed = remember_vectors(data_dir() / f"vectors-{name}.jsonl")
    model = find_embedder()
    while make_vectors(embed=embed, model=model):
        pass
    setup = f"{pages} pages, {passages:,} passages, one process"
    return at_least(f"{name}: pages indexed a second", pages / indexed_s, PAGES_A_SECOND, "/s", setup)


def index_again(host: Host) -> int:
    """Makes the index of a host from the kept pages; returns how many there are."""
    entries = FrontierPage.objects.filter(host=host).exclude(snapshot=None).select_related("snapshot").order_by("pk")
    for entry in entries:
        kept = entry.snapshot
        if kept is None:
            continue
        page = parse_kept(body=kept.body, media_type=kept.media_type, url=entry.url, site=host.as_site())
        if page is not None:
            with transaction.atomic():
                index_page(host_id=host.pk, url=entry.url, page=page, snapshot_digest=kept.digest, now=timezone.now())
    return len(entries)


def remember_vectors(path: Path) -> Callable[[Sequence[str]], list[list[float]]]:
    """Makes vectors on the model servers; those of texts that an earlier measurement saw are read from a file, which
    has a line for each.
    """
    known: dict[str, list[float]] = {}
    if path.exists():
        known.update(json.loads(line) for line in path.read_text().splitlines())

    def embed(texts: Sequence[str]) -> list[list[float]]:
        keys = [digest_bytes(text.encode()) for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if new:
            made = {
                key: [round(value, 4) for value in vector]
                for key, vector in zip(new, embed_texts(list(new.values())), strict=True)
            }
            known.update(made)
            with path.open("a") as lines:
                lines.writelines(json.dumps(entry) + "\n" for entry in made.items())
        return [known[key] for key in keys]

    return embed
