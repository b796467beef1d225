"""Tasks of several kinds on one site: which are made, which are withdrawn, and the check that finds their pages."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from learning.curriculum.checking import check_host
from learning.curriculum.difficulty import NOT_FOUND, find_unmeasured, measure_difficulties
from learning.index.indexing import count_terms
from learning.models import CurriculumTask
from tests.factories import make_html
from tests.learning.sites import crawl, pages_of
from training.models import Host

NAMES = ("wool", "linen", "cotton", "hemp", "silk", "jute", "flax", "nettle", "ramie", "sisal")


def make_manual(host: Host, *, names: tuple[str, ...] = NAMES, **more: bytes) -> dict[str, bytes]:
    """A page for each fibre, with a name, a heading, an aim and a setting of its own."""
    leaves = {
        name: f"""<title>fibre-{name}(1)</title><h1>fibre-{name}(1)</h1><h2>Turning {name} into a long thread</h2>
        <p>The {name} spindle turns the {name} fibres. A fibre of {name} is long and soft, and takes any colour.</p>
        <p>To clean the {name} by hand, take cold water and a little {name} soap.</p>
        <dl><dt>{name}.twist</dt><dd>How often a thread of {name} is turned around itself. Defaults to 12.</dd></dl>
        """.encode()
        for name in names
    } | more
    return {"": make_html("Start", links=[f"{host.base_url}{name}" for name in leaves]), **leaves}


def test_a_site_is_asked_in_several_ways_and_at_most_a_fifth_word_for_word(host):
    crawl(host, make_manual(host))
    kinds = list(CurriculumTask.objects.values_list("kind", flat=True))
    assert {"definition", "value", "how"} <= set(kinds)
    assert kinds.count("says") * 5 <= len(kinds)


def test_a_page_has_at_most_two_training_tasks(host):
    crawl(host, make_manual(host))
    train = CurriculumTask.objects.filter(split="train")
    assert {train.filter(expected_url=url).count() for url in train.values_list("expected_url", flat=True)} <= {1, 2}


def test_a_question_that_a_later_page_answers_too_is_withdrawn(host):
    later = "<title>Also wool</title><dl><dt>wool.twist</dt><dd>Here the same setting means another thing.</dd></dl>"
    crawl(host, make_manual(host, names=("wool",), also=later.encode()))
    named = CurriculumTask.objects.filter(claim__named="wool.twist")
    assert named.exists()
    assert not named.asked().exists()


def test_a_question_that_an_earlier_page_answers_is_not_made(host):
    earlier = "<title>Also wool</title><dl><dt>wool.twist</dt><dd>Here the same setting means another thing.</dd></dl>"
    pages = make_manual(host, names=("wool",))
    pages = {"": make_html("Start", links=[f"{host.base_url}also", f"{host.base_url}wool"]), **pages} | {
        "also": earlier.encode()
    }
    pages[""] = make_html("Start", links=[f"{host.base_url}also", f"{host.base_url}wool"])
    crawl(host, pages)
    assert not CurriculumTask.objects.asked().filter(claim__named="wool.twist").exists()


def test_a_manual_in_one_page_withdraws_no_question_of_its_pages(host):
    pages = make_manual(host)
    whole = b"".join(body for name, body in pages.items() if name)
    pages = make_manual(host, whole=whole.replace(b"<title>fibre-wool(1)</title>", b"<title>All fibres</title>", 1))
    crawl(host, pages)
    asked = CurriculumTask.objects.asked().exclude(expected_url=f"{host.base_url}whole")
    assert len(set(asked.values_list("expected_url", flat=True))) == len(NAMES)


def test_the_check_finds_one_page_for_each_task(host):
    crawl(host, make_manual(host))
    checked = list(check_host(host, sample=50))
    assert len(checked) == CurriculumTask.objects.asked().count()
    assert [each.prompt for each in checked if not each.is_unique] == []


def test_the_check_finds_a_second_page_that_the_making_did_not_see(host):
    crawl(host, make_manual(host))
    task = CurriculumTask.objects.filter(kind="definition").first()
    assert task is not None
    CurriculumTask.objects.filter(pk=task.pk).update(kind="where", claim={"phrases": ["takes any colour"]})
    (found,) = [each for each in check_host(host, sample=50) if each.task_id == task.pk]
    assert len(found.right_urls) == len(NAMES)


def test_the_command_says_the_share_of_each_kind_or_a_line_of_json_a_task(host):
    crawl(host, pages_of(host, count=3))
    out, lines = StringIO(), StringIO()
    call_command("curriculum", "check", "--host", host.name, stdout=out)
    assert f"{host.name}, says: 3 of 3 have exactly one right page." in out.getvalue()
    call_command("curriculum", "check", "--json", "--sample", "2", stdout=lines)
    read = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert len(read) == 2
    assert all(each["is_unique"] and each["host"] == host.name for each in read)


@pytest.mark.django_db
def test_the_command_refuses_a_host_that_is_not_there():
    with pytest.raises(CommandError, match="There is no host nowhere"):
        call_command("curriculum", "check", "--host", "nowhere")


def test_a_difficulty_is_where_words_alone_rank_the_page(host):
    crawl(host, make_manual(host))
    assert not find_unmeasured().exists(), "words were not counted yet"
    count_terms(host.pk)
    while measure_difficulties():
        pass
    measured = set(CurriculumTask.objects.asked().values_list("difficulty", flat=True))
    assert measured and None not in measured
    assert all(1 <= place <= NOT_FOUND for place in measured)
