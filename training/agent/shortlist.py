"""The candidates for the next visit: links seen in this run and remembered pages, best first."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from urllib.parse import unquote_plus, urlsplit

from training.agent.brain import MISLED, PITFALL, RULED_OUT, VISITABLE_KINDS, Recalled
from training.agent.reading.links import Link
from training.agent.reading.words import Question, Rarity, fold, measure_coverage, split_words, weigh_rarity
from training.agent.task import Site
from training.agent.trajectory import Choice
from training.agent.web.address import canonical_url, is_same_site

# The most that memory can add to a page: a third for how much of the question its text covers, the rest for its score
# in memory. A page's author can choose its words, but not its record.
MEMORY_LEVEL = 1.25
# Bonuses in addition to the covered share of the question (0 to 1).
PHRASE_BONUS = 1.0
PRECISION_BONUS = 0.2
# For a page whose name is spelled exactly as in the question: "json" before "_json".
EXACT_BONUS = 0.15
PITFALL_FACTOR = 0.5
# From this covered share on, a remembered text is relevant. More words do not count more, so that a page stuffed with
# the words of all questions cannot outrank one that answers this question.
ENOUGH_COVERED = 0.75
# With fewer recalled texts, rare words cannot be told from common ones.
MEMORY_SAMPLE_MIN = 3
_PUNCTUATION = ".,;:!?()[]'\""


@dataclass(slots=True)
class _Candidate:
    url: str
    title: str
    order: int
    words: set[str]
    # The memory about it: item, words, folded text. Each item is matched separately.
    recalled: list[tuple[Recalled, set[str], str]] = field(default_factory=list)


class Candidates:
    """The pages of one run that may be visited, and their ranking. `order` keeps ties deterministic."""

    def __init__(self, *, question: Question, site: Site, memories: Iterable[Recalled]) -> None:
        self._question = question
        # In names (anchors, addresses) a quoted word counts no more than another.
        self._names = dict.fromkeys(sorted(question.words), 1.0)
        self._spellings = {word.strip(_PUNCTUATION) for word in fold(question.prompt).split()} - {""}
        self._site = site
        self._found: dict[str, _Candidate] = {}
        # Stored separately: a page becomes a candidate only when this run sees it or memory recommends it.
        self._ruled_out: set[str] = set()
        self._pitfalls: set[str] = set()
        memories = tuple(memories)
        self._best_memory = max((memory.score for memory in memories), default=0.0)
        for memory in memories:
            self._add_memory(memory)

    def add_links(self, links: Iterable[Link]) -> None:
        """Adds the links of a page; a known page gets the link's text as another name."""
        for link in links:
            known = self._found.setdefault(link.url, self._blank(link.url, link.text))
            known.words.update(split_words(link.text))
            known.title = known.title or link.text

    def rank(self, *, visited: Set[str], size: int) -> tuple[Choice, ...]:
        """The best `size` unvisited pages, best first; pages without any evidence only when few have some."""
        left = [each for each in self._found.values() if each.url not in visited]
        left = [each for each in left if each.url not in self._ruled_out] or left
        documents = [each.words.union(*(words for _, words, _ in each.recalled)) for each in left]
        names = weigh_rarity(documents)
        # Recalled texts are long and few, so the rarity of their words is computed among them alone: among hundreds of
        # short link names every word of theirs would look rare.
        texts = [words for each in self._found.values() for _, words, _ in each.recalled]
        memory_rarity = weigh_rarity(texts) if len(texts) >= MEMORY_SAMPLE_MIN else names
        wanted = self._question.words
        held = (self._measure_held(words | each.words, memory_rarity) for each in left for _, words, _ in each.recalled)
        best_held = max(held, default=0.0)
        scored = []
        for candidate, words in zip(left, documents, strict=True):
            is_matched = not wanted.isdisjoint(words) or bool(candidate.recalled)
            score, why = self._score(candidate, names, memory_rarity, best_held) if is_matched else (0.0, "link")
            scored.append((-score, candidate.order, candidate, why))
        scored.sort(key=lambda entry: entry[:2])
        best = scored[:size]
        with_evidence = [entry for entry in best if entry[0] < 0]
        chosen = with_evidence if len(with_evidence) >= 2 else best
        return tuple(Choice(each.url, each.title, round(-score, 6), why) for score, _, each, why in chosen)

    def recalled_ids(self, urls: Iterable[str]) -> tuple[int, ...]:
        """The memory items behind these pages, ascending."""
        found = (self._found[url] for url in urls if url in self._found)
        return tuple(sorted({memory.item_id for each in found for memory, _, _ in each.recalled}))

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
        elif memory.kind in VISITABLE_KINDS:
            known = self._found.setdefault(url, self._blank(url, memory.title))
            known.title = known.title or memory.title
            text = f"{memory.title} {memory.text}"
            known.recalled.append((memory, set(split_words(text)), fold(text)))

    def _blank(self, url: str, title: str) -> _Candidate:
        return _Candidate(url, title, len(self._found), set(split_words(_path_words(url))))

    def _measure_held(self, words: Set[str], memory_rarity: Rarity) -> float:
        """How much of the question a remembered text covers, 0 to 1, capped at the relevant share."""
        covered, _ = measure_coverage(self._question.weights, words, rarity=memory_rarity)
        return min(covered, ENOUGH_COVERED) / ENOUGH_COVERED

    def _score(
        self, candidate: _Candidate, names: Rarity, memory_rarity: Rarity, best_held: float
    ) -> tuple[float, str]:
        coverage, matched = measure_coverage(self._names, candidate.words, rarity=names)
        score = coverage + PRECISION_BONUS * matched / max(len(candidate.words), 1) * bool(matched)
        file_name = _path_words(candidate.url).rpartition("/")[2]
        score += EXACT_BONUS * (not self._spellings.isdisjoint({fold(candidate.title), file_name.casefold()}))
        why = "link"
        for memory, words, text in candidate.recalled:
            held = self._measure_held(words | candidate.words, memory_rarity)
            evidence = max(memory.score, 0.0) / self._best_memory if self._best_memory > 0 else 0.0
            is_literal = any(phrase in text for phrase in self._question.phrases)
            remembered = MEMORY_LEVEL * (held + 2 * evidence * best_held) / 3 + PHRASE_BONUS * is_literal
            if remembered > score:
                score, why = remembered, "memory"
        return (score * PITFALL_FACTOR if candidate.url in self._pitfalls else score), why


def _path_words(url: str) -> str:
    parts = urlsplit(url)
    path = parts.path.removesuffix(".html").removesuffix(".htm")
    return unquote_plus(f"{path} {parts.query}").strip()
