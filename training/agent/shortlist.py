"""The candidates for the next visit: links seen in this run, passages of the site index and remembered pages."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from urllib.parse import unquote_plus, urlsplit

from training.agent.brain import MISLED, NAMED, PASSAGE, PITFALL, RULED_OUT, VISITABLE_KINDS, Recalled
from training.agent.ranking import Features, Weights, measure_share
from training.agent.reading.links import Link
from training.agent.reading.text import squeeze
from training.agent.reading.words import Question, Rarity, fold, split_words, weigh_rarity
from training.agent.task import Site
from training.agent.trajectory import Choice
from training.agent.web.address import canonical_url, is_same_site

# Words of the best passage that an entry of the shortlist shows.
EXCERPT_WORDS = 20
# The part of a name's worth that is not how much of the question it holds, but how much of it the question holds.
NAME_PRECISION = 0.2
_PUNCTUATION = ".,;:!?()[]'\""


@dataclass(slots=True)
class _Candidate:
    url: str
    title: str
    order: int
    path: set[str]
    link: set[str] = field(default_factory=set)
    # What the index and memory say of it, each with its score.
    recalled: list[Recalled] = field(default_factory=list)

    @property
    def words(self) -> set[str]:
        return self.path | self.link

    @property
    def best(self) -> Recalled | None:
        return max(self.recalled, key=lambda item: item.score + item.record, default=None)


class Candidates:
    """The pages of one run that may be visited, and their ranking. `order` keeps ties deterministic."""

    def __init__(self, *, question: Question, site: Site, memories: Iterable[Recalled], weights: Weights) -> None:
        self._question = question
        # In names (anchors, addresses) a quoted word counts no more than another.
        self._asked = Question(question.prompt, (), question.words, dict.fromkeys(sorted(question.words), 1.0))
        self._spellings = {word.strip(_PUNCTUATION) for word in fold(question.prompt).split()} - {""}
        self._site = site
        self._weights = weights
        self._found: dict[str, _Candidate] = {}
        # Stored separately: a page becomes a candidate only when this run sees it, or the index or memory offers it.
        self._ruled_out: set[str] = set()
        self._pitfalls: set[str] = set()
        # In the order in which they are visited.
        self._named: list[str] = []
        for memory in memories:
            self._add_memory(memory)

    def add_links(self, links: Iterable[Link]) -> None:
        """Adds the links of a page; a known page gets the link's text as another name."""
        for link in links:
            known = self._found.setdefault(link.url, self._blank(link.url, link.text))
            known.link.update(split_words(link.text))
            known.title = known.title or link.text

    def rank(self, *, visited: Set[str], size: int) -> tuple[Choice, ...]:
        """The best `size` unvisited pages, best first; pages without any evidence only when few have some.

        A page that a person named stands alone: there is nothing to choose.
        """
        named = self.find_named(visited=visited)
        if named is not None:
            return (Choice(named, self._found[named].title, 0.0, "verdict"),)
        left = [each for each in self._found.values() if each.url not in visited]
        ruled_out = self._ruled_out.difference(self._named)
        left = [each for each in left if each.url not in ruled_out] or left
        rarity = weigh_rarity(each.words for each in left)
        scored = [(-self._score(candidate, rarity), candidate.order, candidate) for candidate in left]
        scored.sort(key=lambda entry: entry[:2])
        best = scored[:size]
        with_evidence = [entry for entry in best if entry[0] < 0]
        chosen = with_evidence if len(with_evidence) >= 2 else best
        return tuple(self._describe(candidate, score=-score) for score, _, candidate in chosen)

    def find_named(self, *, visited: Set[str]) -> str | None:
        """The address that a person named and that is to be visited next; None when none is left."""
        return next((url for url in self._named if url not in visited), None)

    def recalled_ids(self, urls: Iterable[str]) -> tuple[int, ...]:
        """The memory items behind these pages, ascending."""
        found = (self._found[url] for url in urls if url in self._found)
        return tuple(sorted({item.item_id for each in found for item in each.recalled if item.kind != PASSAGE}))

    def _add_memory(self, memory: Recalled) -> None:
        try:
            url = canonical_url(memory.url)
        except ValueError:
            return
        if not is_same_site(url, site=self._site):
            return
        if memory.kind == PITFALL:
            self._pitfalls.add(url)
        elif memory.kind in (RULED_OUT, MISLED):
            self._ruled_out.add(url)
        elif memory.kind == NAMED:
            self._found.setdefault(url, self._blank(url, memory.title))
            self._named.append(url)
        elif memory.kind in VISITABLE_KINDS or memory.kind == PASSAGE:
            known = self._found.setdefault(url, self._blank(url, memory.title))
            known.title = known.title or memory.title
            known.recalled.append(memory)

    def _blank(self, url: str, title: str) -> _Candidate:
        return _Candidate(url, title, len(self._found), set(split_words(_path_words(url))))

    def _score(self, candidate: _Candidate, rarity: Rarity) -> float:
        """What the index or memory says of a page counts by its best item; the links to it add to that."""
        best = candidate.best
        names = Features(
            link=self._measure_name(candidate.link, rarity),
            path=0.0 if best else self._measure_name(candidate.path, rarity),
            exact=float(self._is_spelled(candidate)),
            pitfall=float(candidate.url in self._pitfalls),
        )
        recalled = best.score + self._weights.record * best.record if best else 0.0
        return recalled + self._weights.score(names)

    def _measure_name(self, words: set[str], rarity: Rarity) -> float:
        """How much of the question a name holds; of two alike the one with fewer other words comes first."""
        share = measure_share(self._asked, words, rarity=rarity)
        matched = len(words & self._asked.words)
        return share * (1 - NAME_PRECISION) + NAME_PRECISION * matched / len(words) if matched else 0.0

    def _is_spelled(self, candidate: _Candidate) -> bool:
        """Whether the page's name is spelled as in the question: "json" before "_json"."""
        file_name = _path_words(candidate.url).rpartition("/")[2]
        return not self._spellings.isdisjoint({fold(candidate.title), file_name.casefold()})

    def _describe(self, candidate: _Candidate, *, score: float) -> Choice:
        best = candidate.best
        if best is None:
            return Choice(candidate.url, candidate.title, round(score, 6), "link")
        return Choice(
            candidate.url,
            candidate.title,
            round(score, 6),
            "index" if best.kind == PASSAGE else "memory",
            heading=best.heading,
            excerpt=cut_best_words(best.text, self._question, count=EXCERPT_WORDS),
        )


def cut_best_words(text: str, question: Question, *, count: int) -> str:
    """The `count` words in a row that hold the most of the question; the first of equals."""
    words = squeeze(text).split(" ")
    hits = [not question.words.isdisjoint(split_words(word)) for word in words]
    starts = range(max(1, len(words) - count + 1))
    start = max(starts, key=lambda at: (sum(hits[at : at + count]), -at))
    return " ".join(words[start : start + count])


def _path_words(url: str) -> str:
    parts = urlsplit(url)
    path = parts.path.removesuffix(".html").removesuffix(".htm")
    return unquote_plus(f"{path} {parts.query}").strip()
