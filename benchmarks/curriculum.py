"""Curriculum: the tasks that are made of a manual, by kind, and the share of them with exactly one right page."""

from __future__ import annotations

import random
from collections import Counter

from django.utils import timezone

from benchmarks.database import open_database
from benchmarks.manuals import read_manual, serve
from benchmarks.measurement import Measurement, at_least
from benchmarks.sites import add_host
from learning.curriculum.checking import check_host
from learning.curriculum.seeding import crawl_host, find_unread_host
from learning.models import CurriculumTask
from training.agent.web.http_browser import HttpBrowser
from training.models import Host

SAMPLE, UNIQUE_SHARE, SHOWN = 50, 0.95, 3
EVALUATION_LEAST, RESERVE_LEAST, SAYS_MOST = 150, 100, 0.2


def measure_curriculum(*, name: str, pages: int, seed: int, shown: int = SHOWN) -> list[Measurement]:
    """Reads at most so many pages of a manual (0: all), checks the tasks that are made, and prints some of them."""
    manual = read_manual(name)
    with open_database(), serve(manual.root) as address:
        host = add_host(manual, address)
        read = read_pages(host, pages=pages)
        return judge_tasks(host, name=name, setup=f"{read} pages", seed=seed, shown=shown)


def read_pages(host: Host, *, pages: int) -> int:
    """Reads pages of a host until there are no more, or so many; returns how many were read."""
    read = 0
    with HttpBrowser(site=host.as_site()) as browser:
        while (not pages or read < pages) and find_unread_host(now=timezone.now()) == host:
            read += crawl_host(host=host, browser=browser, now=timezone.now(), pages=20)
    return read


def judge_tasks(host: Host, *, name: str, setup: str, seed: int, shown: int) -> list[Measurement]:
    """One line a kind, then the sizes of the splits and the share of the kind *says*."""
    tasks = list(CurriculumTask.objects.asked().filter(host=host))
    checked = list(check_host(host, sample=SAMPLE, seed=seed))
    splits = Counter(task.split for task in tasks)
    measurements = []
    for kind in dict.fromkeys(each.kind for each in checked):
        of_kind = [each for each in checked if each.kind == kind]
        count = Counter(task.split for task in tasks if task.kind == kind)
        numbers = ", ".join(f"{count[split]} {split}" for split in CurriculumTask.Split.values)
        share = sum(each.is_unique for each in of_kind) / len(of_kind)
        claim = f"{name}: {kind}, share with one right page"
        measurements.append(at_least(claim, share, UNIQUE_SHARE, "", f"{len(of_kind)} checked; {numbers}"))
        for each in random.Random(seed).sample(of_kind, min(shown, len(of_kind))):  # noqa: S311  no secret
            print(f"  {kind}: {each.prompt}  → {each.expected_url.rpartition('/')[2]}")  # noqa: T201  the command's output
        for each in of_kind:
            if not each.is_unique:
                print(f"  not one page: {each.prompt}  → {', '.join(each.right_urls[:3]) or 'none'}")  # noqa: T201  the command's output
    measurements.append(at_least(f"{name}: evaluation tasks", splits["evaluation"], EVALUATION_LEAST, "", setup))
    measurements.append(at_least(f"{name}: reserve tasks", splits["reserve"], RESERVE_LEAST, "", setup))
    others = sum(task.kind != CurriculumTask.Kind.SAYS for task in tasks) / max(1, len(tasks))
    measurements.append(at_least(f"{name}: share of other kinds than says", others, 1 - SAYS_MOST, "", setup))
    return measurements
