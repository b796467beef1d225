"""Levers: what each would change, by recorded training, and what it promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from lealife.core.digest import digest_bytes
from lealife.core.errors import GateRefused
from learning.curriculum.tasks import split_of
from learning.index.indexing import count_terms, index_page
from learning.models import CurriculumTask
from promotion.candidates.building import plan_candidate
from promotion.candidates.fitting import Case, Seen, count_among_first, count_left_out, fit_weights
from promotion.candidates.levers import Known, learn_margin, propose_asking, propose_changes, propose_weights
from promotion.candidates.preflight import check_foreseen
from promotion.candidates.recorded import RecordedPick, read_cases, read_picks
from promotion.models import Evaluation, ModelTag
from promotion.proof.ledger import read_error_budget
from promotion.recipes import Recipe, base_recipe
from tests.factories import START, make_html
from tests.guards import behind_guards
from tests.promotion.scenes import BASE, Servers, make_base_tags, make_outcome
from tests.promotion.test_candidates import remember_exemplar
from training.agent.errors import AgentError, ErrorCode
from training.agent.model import Reply
from training.agent.ranking import FIRST_WEIGHTS, Features
from training.agent.reading.page import parse_page
from training.agent.trajectory import Choice
from training.models import Host, Run, Step

RECIPE = base_recipe(role="controller", base=BASE)


def make_pick(
    margin: float, *, needed: bool = False, by: str = "model", entries: int = 5, prompt: str = "q"
) -> RecordedPick:
    scores = [1.0, *(1.0 - margin for _ in range(entries - 1))]
    choices = tuple(Choice(f"http://x/{n}", f"Page {n}", score, "index") for n, score in enumerate(scores))
    return RecordedPick(prompt, choices, by, needed)


def make_picks(*spread: tuple[float, int, int]) -> list[RecordedPick]:
    """Picks by (margin, how many, how many of these were needed)."""
    return [make_pick(margin, needed=at < needed) for margin, count, needed in spread for at in range(count)]


# ask


def test_the_model_is_asked_below_the_smallest_margin_from_which_its_picks_mended_nothing() -> None:
    picks = make_picks((0.02, 30, 15), (0.114, 40, 0), (0.5, 30, 1))
    assert learn_margin(picks) == 0.12
    [proposal] = propose_asking(RECIPE, known=Known(picks=picks))
    # What lies between the margin and its rounding up stays asked.
    assert (proposal.recipe.ask_below, proposal.promise) == (0.12, 0.3)
    assert proposal.why.startswith("30 of the last 100 calls of the controller could be left out:")


def test_a_pick_that_mended_something_now_and_then_is_still_asked_for() -> None:
    assert learn_margin(make_picks((0.02, 20, 0), (0.2, 40, 3))) is None
    assert learn_margin(make_picks((0.02, 20, 0), (0.2, 40, 2))) == 0.2


def test_too_few_picks_show_nothing() -> None:
    assert learn_margin(make_picks((0.02, 30, 30), (0.5, 19, 0))) is None
    assert learn_margin([]) is None
    assert propose_asking(RECIPE, known=Known()) == []


def test_a_fifth_of_the_picks_stays_asked_or_the_tag_could_not_be_shown_to_serve() -> None:
    picks = make_picks((0.1, 19, 0), (0.3, 81, 0))
    assert learn_margin(picks) is None
    picks = make_picks((0.1, 20, 0), (0.3, 80, 0))
    assert learn_margin(picks) == 0.3
    assert sum(pick.margin < 0.3 for pick in picks) >= len(picks) / 5


def test_what_is_not_asked_already_counts_among_all_and_saves_nothing_more() -> None:
    saved = [make_pick(0.4, by="ranked") for _ in range(50)]
    picks = [*make_picks((0.1, 20, 0), (0.3, 30, 0)), *saved]
    active = replace(RECIPE, ask_below=0.4)
    [proposal] = propose_asking(active, known=Known(picks=picks))
    assert (proposal.recipe.ask_below, proposal.promise) == (0.3, 0.6)
    assert propose_asking(replace(RECIPE, ask_below=0.3), known=Known(picks=picks)) == []


@pytest.fixture
def parent(host: Host, servers: Servers) -> ModelTag:
    servers.made[BASE] = "sha256:base"
    return make_base_tags(servers)[0]


def record_pick(
    parent: ModelTag,
    host: Host,
    *,
    place: int,
    right: int | None = None,
    success: bool = True,
    margin: float = 0.1,
    **run,
) -> Run:
    """A training run by the tag that opened this place of a list of five; its check expects the place `right`."""
    made = make_outcome(host, success=success).run
    pages = [f"{host.base_url}{n}.html" for n in range(5)]
    check = {} if right is None else {"expected_urls": [pages[right]]}
    shortlist = [{"url": url, "title": url, "score": 1.0 - margin * n, "why": "index"} for n, url in enumerate(pages)]
    with behind_guards():
        Run.objects.filter(pk=made.pk).update(**{"controller_tag": parent.name, "check_spec": check, **run})
        Step.objects.create(run=made, index=1, url=pages[place], shortlist=shortlist, picked_by="model")
    return made


def test_a_pick_was_needed_where_it_opened_a_right_page_and_the_first_was_none(parent, host):
    for place, right, success in (
        (0, 0, True),
        (2, 2, True),
        (2, 0, False),
        (2, 4, False),
        (2, None, True),
        (2, None, False),
    ):
        run = record_pick(parent, host, place=place, right=right, success=success)
        with behind_guards():
            Run.objects.filter(pk=run.pk).update(quotes=[{"url": f"{host.base_url}2.html", "text": "x"}])
    picks = read_picks(parent)[::-1]
    assert [pick.was_needed for pick in picks] == [False, True, False, False, True, False]
    assert (picks[0].margin, len(picks[0].shortlist)) == (0.1, 5)


def test_only_picks_of_training_runs_that_the_tag_served_are_read(parent, host):
    record_pick(parent, host, place=0)
    record_pick(parent, host, place=0, controller_tag="another")
    assert len(read_picks(parent)) == 1


# ranker


def make_case(number: int, *, naming: float = 1.0, folds: int = 10) -> Case:
    """Four pages come before the right one by their text; the right one alone has the words in its title."""
    right = Seen(f"right{number}", Features(text=0.5, title=naming), True)
    others = [Seen(f"other{number}-{n}", Features(text=0.9, title=0.0), False) for n in range(4)]
    return Case(f"page{number % folds}", (right, *others))


def test_weights_are_fitted_so_that_right_pages_lead() -> None:
    cases = [make_case(number) for number in range(30)]
    start = replace(FIRST_WEIGHTS, text=3.0)
    fitted = fit_weights(cases, start=start)
    assert (count_among_first(cases, start), count_among_first(cases, fitted)) == (0, 30)
    assert fitted.title > start.title and fitted.text < start.text
    # Rounded, on the same scale, and what nothing is known about stays.
    assert round(fitted.title, 2) == fitted.title
    assert fitted.title + fitted.text == pytest.approx(start.title + start.text, abs=0.02)
    assert (fitted.cosine, fitted.link, fitted.bm25) == (start.cosine, start.link, start.bm25)
    assert fit_weights(cases, start=start) == fitted


def test_nothing_to_compare_leaves_the_weights_as_they_are() -> None:
    alone = Case("page", (Seen("right", Features(text=1.0), True),))
    assert fit_weights([alone], start=FIRST_WEIGHTS) == FIRST_WEIGHTS
    assert fit_weights([], start=FIRST_WEIGHTS) == FIRST_WEIGHTS


def test_a_gain_is_measured_on_pages_that_the_weights_were_not_fitted_to() -> None:
    start = replace(FIRST_WEIGHTS, text=3.0)
    recipe = replace(RECIPE, weights=start)
    alike = [make_case(number) for number in range(30)]
    assert count_left_out(alike, start=start) == 30
    [proposal] = propose_weights(recipe, known=Known(cases=alike))
    assert (proposal.lever, proposal.promise) == ("ranker", 1.0)
    assert "among the first three for 30 of 30 training tasks, the active ones for 0." in proposal.why
    # The one page that its own fit would mend is judged by a fit to the others, which it mends nothing of.
    odd = [make_case(0), *(Case(f"p{n}", (Seen("a", Features(text=0.9), True), Seen("b", Features(title=0.9), False)))
                           for n in range(1, 30))]  # fmt: skip
    assert propose_weights(recipe, known=Known(cases=odd)) == []


def test_few_tasks_say_nothing_about_weights() -> None:
    recipe = replace(RECIPE, weights=replace(FIRST_WEIGHTS, text=3.0))
    assert propose_weights(recipe, known=Known(cases=[make_case(number) for number in range(19)])) == []


def index_everywhere(host: Host, count: int) -> list[str]:
    """Pages about roses, each with a task of its own split; returns their addresses."""
    urls = [f"{host.base_url}page-{number}.html" for number in range(count)]
    for number, url in enumerate(urls):
        body = make_html(f"Roses {number}", f"Roses of the kind number{number} are pruned in late winter.")
        page = parse_page(body=body, media_type="text/html", url=url, site=host.as_site())
        index_page(host_id=host.pk, url=url, page=page, snapshot_digest="", now=START)
        CurriculumTask.objects.create(
            host=host, split=split_of(url), expected_url=url, page_digest=digest_bytes(url.encode()),
            passage=f"kind number{number}", prompt=f"When are roses of the kind number{number} pruned?",
            check_spec={"expected_urls": [url]},
        )  # fmt: skip
    count_terms(host.pk)
    return urls


def test_held_out_tasks_and_their_pages_are_not_read(host):
    urls = index_everywhere(host, 40)
    train = {url for url in urls if split_of(url) == "train"}
    assert {split_of(url) for url in urls} == {"train", "evaluation", "reserve"}
    asked: list[str] = []

    def embed(texts: Sequence[str]) -> list[list[float]]:
        asked.extend(texts)
        return []

    cases = read_cases(weights=FIRST_WEIGHTS, embed=embed)
    assert {case.group for case in cases} == train
    assert {seen.url for case in cases for seen in case.found} == train
    tasks = CurriculumTask.objects.filter(split="train")
    assert sorted(asked) == sorted(tasks.values_list("prompt", flat=True))
    # The right page is marked, and it alone.
    assert all({seen.url for seen in case.found if seen.is_right} == {case.group} for case in cases)


def test_questions_that_are_found_by_the_letter_say_nothing_about_weights(host):
    [url, *_] = [url for url in index_everywhere(host, 9) if split_of(url) == "train"]
    CurriculumTask.objects.filter(expected_url=url).update(prompt="Which page says “roses are pruned”?")
    assert url not in {case.group for case in read_cases(weights=FIRST_WEIGHTS)}


# Which lever


def test_the_lever_with_the_largest_promise_comes_first() -> None:
    cases = [make_case(number) for number in range(30)]
    picks = make_picks((0.02, 30, 15), (0.12, 40, 0), (0.5, 30, 1))
    known = Known(mendable=10, runs=100, picks=picks, cases=cases)
    recipe = replace(RECIPE, weights=replace(FIRST_WEIGHTS, text=3.0))
    assert [each.lever for each in propose_changes(recipe, known=known)] == ["ranker", "ask", "budget", "budget"]
    tried = replace(known, tried={"ranker": 2})
    assert [each.lever for each in propose_changes(recipe, known=tried)][:2] == ["ask", "ranker"]
    assert propose_changes(recipe, known=known) == propose_changes(recipe, known=known)


def test_a_candidate_that_asks_seldom_is_planned_from_recorded_training(parent, host, servers):
    for number in range(30):
        record_pick(parent, host, place=0, right=0, margin=0.01 if number < 8 else 0.4)
    plan = plan_candidate(server=servers)
    assert (plan.lever, plan.recipe.ask_below) == ("ask", 0.4)
    assert plan.why.startswith("22 of the last 30 calls of the controller could be left out")
    assert replace(plan.recipe, ask_below=None) == Recipe.from_json(parent.recipe)


# Same effect


@pytest.mark.parametrize(
    "change",
    [
        {"ask_below": 0.5},  # every recorded page was closer
        {"shortlist_size": 8},  # no recorded list was as long as it might be
        {"weights": replace(FIRST_WEIGHTS, heading=0.25)},  # no page stands elsewhere
    ],
)
def test_what_would_change_no_recorded_choice_is_refused(change: dict) -> None:
    picks = [make_pick(0.2, entries=4) for _ in range(40)]
    cases = [make_case(number) for number in range(40)]
    with pytest.raises(GateRefused, match="replayed on 40 recorded picks and 40 training tasks"):
        check_foreseen(replace(RECIPE, **change), parent=RECIPE, picks=picks, cases=cases)
    # No recorded list was longer than this one could be.
    with pytest.raises(GateRefused):
        check_foreseen(replace(RECIPE, shortlist_size=4), parent=RECIPE, picks=picks, cases=[])


@pytest.mark.parametrize(
    "change",
    [
        {"ask_below": 0.2},
        {"shortlist_size": 3},
        {"weights": replace(FIRST_WEIGHTS, text=9.0)},
        {"messages": (("user", "x"), ("assistant", '{"pick": 1}'))},
    ],
)
def test_what_changes_a_recorded_choice_passes(change: dict) -> None:
    cases = [make_case(number, naming=2.0) for number in range(40)]
    check_foreseen(replace(RECIPE, **change), parent=RECIPE, picks=[make_pick(0.2, entries=4)], cases=cases)
    check_foreseen(replace(RECIPE, ask_below=0.5), parent=RECIPE, picks=[], cases=[])


class Choosing:
    """Picks by its tag: what `picks` names, or else the first; counts what it is asked."""

    def __init__(self, **picks: int) -> None:
        self.picks = picks
        self.asked: list[str] = []
        self.gone = False

    def chat(self, *, tag: str, **call: object) -> Reply:
        if self.gone:
            raise AgentError(ErrorCode.MODEL_UNAVAILABLE, "No server answers.")
        self.asked.append(tag)
        return Reply(f'{{"pick": {self.picks.get(tag, 1)}}}')


def teach(parent: ModelTag, host: Host) -> None:
    """Failures of the controller, recorded choices, and successes to learn from; other sizes are judged already."""
    for number in range(3):
        remember_exemplar(host, number, prompt=f"What does chapter {number} tell of topic{number}?")
    for number in range(45):
        record_pick(
            parent, host, place=0, right=1, success=False, prompt=f"Where is topic {number}?", verifier="expected_url"
        )
    for size in (3, 8):
        recipe = replace(Recipe.from_json(parent.recipe), shortlist_size=size)
        ModelTag.objects.create(
            role="controller", name=recipe.tag_name, digest="d", base=BASE, recipe=recipe.to_json(),
            recipe_digest=recipe.digest, parent=parent, status="rejected", lever="budget",
        )  # fmt: skip


def test_exemplars_after_which_the_model_picks_alike_are_refused_and_spend_no_error_budget(parent, host, servers):
    teach(parent, host)
    model, before = Choosing(), read_error_budget()
    with pytest.raises(GateRefused):
        plan_candidate(server=servers, model=model)
    refused = ModelTag.objects.get(role="controller", lever="exemplars")
    assert (refused.status, refused.why) == (
        "rejected", "The candidate picks as its parent does in all of 40 recorded situations."
    )  # fmt: skip
    assert (model.asked.count(parent.name), model.asked.count(refused.name)) == (40, 40)
    assert (Evaluation.every.count(), read_error_budget()) == (0, before)
    # It is known now: the next window does not ask for it again.
    model.asked.clear()
    with pytest.raises(GateRefused, match="judged before"):
        plan_candidate(server=servers, model=model)
    assert model.asked == []


def test_exemplars_after_which_the_model_picks_otherwise_pass(parent, host, servers):
    teach(parent, host)
    model = Choosing(**{parent.name: 2})
    plan = plan_candidate(server=servers, model=model)
    assert (plan.lever, plan.parent) == ("exemplars", parent)


def test_where_no_model_answers_exemplars_are_not_refused(parent, host, servers):
    teach(parent, host)
    model = Choosing()
    model.gone = True
    assert plan_candidate(server=servers, model=model).lever == "exemplars"
