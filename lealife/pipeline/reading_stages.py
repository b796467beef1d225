"""The stages that read sites: read, index and revive.

Reading a site through and indexing it are no training: questions may be asked of it before any training begins.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial

from django.conf import settings

from lealife.core.gateway import ModelUnavailable
from lealife.core.model_names import normalise_name
from lealife.core.urgency import Urgency
from lealife.pipeline.browsers import open_browser
from lealife.pipeline.draining import is_draining
from lealife.pipeline.pool import embed_texts
from lealife.pipeline.vectors import can_embed, find_embedder, pause_embedding
from learning.curriculum.difficulty import find_unmeasured, measure_difficulties
from learning.curriculum.looking import find_rested_host, look_again
from learning.curriculum.seeding import crawl_host, find_rested_sources, find_unread_host, revive_rested_tasks
from learning.index.indexing import count_terms, find_uncounted_host
from learning.index.vectors import lack_vectors, make_vectors
from promotion.models import Canary
from training.coordinator import read_coordinator


def is_read_ready(now: datetime) -> bool:
    """Whether a site has a page that was not read yet, or that is to be looked at again."""
    return find_unread_host(now=now) is not None or find_rested_host(now=now) is not None


def work_read(now: datetime) -> bool:
    """Reads a few pages of one site, or looks at a few again."""
    if (host := find_unread_host(now=now)) is not None:
        with open_browser(host) as browser:
            return bool(crawl_host(host=host, browser=browser, now=now, should_stop=is_draining))
    if (host := find_rested_host(now=now)) is not None:
        with open_browser(host) as browser:
            return bool(look_again(host=host, browser=browser, now=now, should_stop=is_draining))
    return False


def is_index_ready(now: datetime) -> bool:
    """Whether the words of a site want to be counted, its tasks to be measured, or its passages lack vectors that a
    model could make.
    """
    return find_uncounted_host() is not None or find_unmeasured().exists() or (can_embed() and _lack_vectors())


def _lack_vectors() -> bool:
    return lack_vectors(name=normalise_name(settings.LEALIFE_EMBED_MODEL))


def work_index(now: datetime) -> bool:
    """Counts the words of one site, measures a few tasks, or makes the vectors of a few passages."""
    host_id = find_uncounted_host()
    if host_id is not None:
        count_terms(host_id)
        return True
    if measure_difficulties():
        return True
    try:
        embed = partial(embed_texts, urgency=Urgency.BACKGROUND)
        return can_embed() and _lack_vectors() and make_vectors(embed=embed, model=find_embedder()) > 0
    except ModelUnavailable as error:
        pause_embedding(error)
        return False


def is_revive_ready(now: datetime) -> bool:
    """Whether training goes on and finished tasks have rested long enough, or a canary waits for runs."""
    return read_coordinator().enabled and bool(find_rested_sources(now=now, limit=1, may_wake=_is_canary_open()))


def work_revive(now: datetime) -> bool:
    """Puts rested tasks back into the queue."""
    return bool(revive_rested_tasks(now=now, may_wake=_is_canary_open()))


def _is_canary_open() -> bool:
    # On a site that is mastered it would wait for runs until its deadline, and be given up for want of them.
    return Canary.objects.filter(state=Canary.State.OPEN).exists()
