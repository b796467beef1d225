"""Quoting: which passages of the pages read answer best, and how likely it is that they do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence, Set
from dataclasses import dataclass, replace
from operator import mul

from training.agent.brain import INDEXED, MISLED, NAMED, TOLD_KINDS, Recalled
from training.agent.embedding import Embed
from training.agent.highlighting import find_answer, find_holding
from training.agent.ranking import LEAST_COSINE, Features, Support, Weights, measure_share, score_bm25
from training.agent.reading.evidence import ReadPage, find_distinct
from training.agent.reading.passages import Passage, cut_passages, describe_text
from training.agent.reading.phrases import cut_out
from training.agent.reading.words import Question, Rarity, content_words, fold, split_words, weigh_rarity
from training.agent.trajectory import Quote

QUOTES_MAX = 3
# Passages of pages that the site index does not hold, whose meaning is compared with the question's: the best by words.
COMPARED = 12
# A passage that is worth less than this share of the best one is not quoted next to it.
WEAK_SHARE = 0.5
# One common word is no evidence.
NEAR_WORDS = 2
# The site's best passages may all answer. With the mean of so many that come next the quotes are compared.
BEST, OTHERS = 5, 10


@dataclass(frozen=True, slots=True)
class Scored:
    """A passage of a page that was read, its features, the ranker's score, and the record of its page.

    `named`: words in it that a person named as the answer, folded.
    """

    evidence: ReadPage
    passage: Passage
    features: Features
    score: float
    record: float = 0.0
    named: str = ""


def rank_passages(
    question: Question,
    pages: Sequence[ReadPage],
    *,
    recalled: Iterable[Recalled],
    weights: Weights,
    embed: Embed | None = None,
) -> list[Scored]:
    """The passages of the pages read, best first, without those that several pages share: these are frames.

    What the site index knows of a passage is used; of the others the best are compared with the question by `embed`,
    unless the index compared by words alone: then the two would not be on one scale.
    """
    recalled = tuple(recalled)
    known = {(item.url, item.text): item for item in recalled if item.is_passage}
    digests = {each.page.url: each.page.content_digest for each in pages}
    indexed = {
        item.url
        for item in recalled
        if item.is_passage or (item.kind == INDEXED and item.text == digests.get(item.url))
    }
    cut = _cut_own(pages)
    terms = [split_words(f"{evidence.page.title} {passage.heading} {passage.text}") for evidence, passage in cut]
    rarity = weigh_rarity(terms)
    average = max(1.0, sum(map(len, terms)) / max(1, len(terms)))
    scored = []
    for (evidence, passage), words in zip(cut, terms, strict=True):
        item = known.get((evidence.page.url, passage.text))
        features = _describe(question, evidence.page.title, passage, words=words, rarity=rarity, average=average)
        if item is not None:
            features = replace(features, cosine=item.cosine)
            scored.append(Scored(evidence, passage, features, item.score, item.record))
        else:
            scored.append(Scored(evidence, passage, features, weights.score(features)))
    if embed is not None and (not known or any(item.cosine for item in known.values())):
        scored = _compare(question, scored, indexed=indexed, weights=weights, embed=embed)
    # What answered right before is quoted first; of equals the one that was read first.
    ranked = sorted(scored, key=lambda each: -each.score - weights.record * each.record)
    return _heed_verdicts(ranked, recalled)


def _heed_verdicts(ranked: Sequence[Scored], recalled: Iterable[Recalled]) -> list[Scored]:
    """The passages with the words that a person named come first; those of pages judged wrong come last.

    What was judged wrong for this very question is left out. None of it changes a score: it makes no answer surer.
    """
    told = [item for item in recalled if item.kind in TOLD_KINDS]
    if not told:
        return list(ranked)
    heeded = []
    for each in ranked:
        text, addresses = fold(each.passage.text), each.evidence.addresses
        words = _find_told(text, addresses=addresses, told=told)
        if words or not _is_wrong(text, addresses=addresses, told=told):
            heeded.append(replace(each, named=words))
    return sorted(heeded, key=lambda each: (not each.named, _rank_page(each.evidence, told)))


def _find_told(text: str, *, addresses: Collection[str], told: Iterable[Recalled]) -> str:
    """The words in a folded text of a page that a person named as the answer, folded; empty without any."""
    named = (fold(item.text) for item in told if item.kind == NAMED and item.text and item.url in addresses)
    return next((words for words in named if words in text), "")


def _is_wrong(text: str, *, addresses: Collection[str], told: Iterable[Recalled]) -> bool:
    """Whether a folded text of a page, a part of it, or more than it was judged wrong for this very question."""
    wrong = (item for item in told if item.kind == MISLED and item.score and item.text and item.url in addresses)
    return any(text in other or other in text for other in (fold(item.text) for item in wrong))


def _rank_page(evidence: ReadPage, recalled: Iterable[Recalled]) -> int:
    """0: a person named the page for this very question. 2: an answer from it was judged wrong. 1: all others."""
    told = {item.kind: item for item in recalled if item.kind in TOLD_KINDS and item.url in evidence.addresses}
    if NAMED in told:
        return 0 if told[NAMED].score else 1
    return 2 if MISLED in told else 1


def choose_passages(question: Question, ranked: Sequence[Scored]) -> list[Scored]:
    """Up to three of the ranked passages that are near enough to the question to be quoted, best first."""
    needed = min(NEAR_WORDS, len(question.words))
    near = [each for each in ranked if _count_held(question, each) >= max(needed, 1)]
    floor = near[0].score * WEAK_SHARE if near else 0.0
    return [each for each in near[:QUOTES_MAX] if each.score >= floor]


def knows_better(chosen: Sequence[Scored], *, recalled: Sequence[Recalled], visited: Set[str]) -> bool:
    """Whether the index knows a passage on another page that would be quoted in place of the last chosen one.

    Pages that misled are not looked at for that.
    """
    least = chosen[-1].score if len(chosen) == QUOTES_MAX else chosen[0].score * WEAK_SHARE if chosen else 0.0
    known = visited | {item.url for item in recalled if item.kind == MISLED}
    return any(item.is_passage and item.url not in known and item.score > least for item in recalled)


def measure_support(
    support: Support, question: Question, chosen: Sequence[Scored], *, recalled: Iterable[Recalled] = ()
) -> float:
    """How likely the chosen passages answer, 0 to 1; 0 without any. One word alone is no question."""
    if not chosen:
        return 0.0
    return support.measure(
        score=sum(each.score for each in chosen) / len(chosen),
        others=_score_others(recalled),
        words=chosen[0].features.text if len(question.words) >= NEAR_WORDS else 0.0,
        has_vectors=chosen[0].features.cosine > 0,
    )


def _score_others(recalled: Iterable[Recalled]) -> float | None:
    """The mean score of the passages that come after the best few of the site; None when there are too few."""
    scores = sorted((item.score for item in recalled if item.is_passage), reverse=True)[BEST:][:OTHERS]
    return sum(scores) / OTHERS if len(scores) == OTHERS else None


def quote(question: Question, chosen: Sequence[Scored], *, embed: Embed | None = None) -> tuple[Quote, ...]:
    """The chosen passages as quotes, each with the stretch in it that bears most on the question."""
    return tuple(
        Quote(
            text=each.passage.text,
            url=each.evidence.page.url,
            body_digest=each.evidence.digest,
            heading=each.passage.heading,
            highlight=_find_named(each) or find_answer(question, each.passage, embed=embed),
        )
        for each in chosen
    )


def asks_beyond_phrases(question: Question) -> bool:
    """Whether a question asks more than where its quoted words stand."""
    return not question.words <= content_words(" ".join(question.phrases))


def measure_phrases(
    support: Support, question: Question, pages: Sequence[ReadPage], *, ranked: Sequence[Scored] | None
) -> float:
    """How likely the pages answer a question with quoted words, 0 to 1.

    Quoted words are found or not. What else is asked, by the `ranked` passages, those that hold them must answer.
    """
    if not holds_phrases(question, pages):
        return 0.0
    if ranked is None:
        return 1.0
    holding = [each for each in ranked if any(phrase in fold(each.passage.text) for phrase in question.phrases)]
    return measure_support(support, question, choose_passages(question, holding))


def holds_phrases(question: Question, pages: Sequence[ReadPage]) -> bool:
    """Whether all quoted phrases of the question stand on the pages literally."""
    texts = [fold(evidence.page.text) for evidence in pages]
    return all(any(phrase in text for text in texts) for phrase in question.phrases)


def quote_phrases(
    question: Question, pages: Sequence[ReadPage], *, recalled: Sequence[Recalled] = ()
) -> tuple[Quote, ...]:
    """The passages that hold the question's quoted phrases literally; pages that were judged wrong come last.

    Text that was judged wrong for this very question is not quoted. None at all where a phrase stands in no other: what
    is left would answer the question in part, and be as sure as the whole.
    """
    pages = sorted(pages, key=lambda evidence: _rank_page(evidence, recalled))
    quotes: dict[str, Quote] = {}
    for phrase in question.phrases:
        found = [(text, evidence) for evidence in pages for text in _find_holding(phrase, evidence)]
        kept = [(text, evidence) for text, evidence in found if _may_quote(text, evidence, told=recalled)]
        if found and not kept:
            return ()
        seen = set[int]()
        for text, evidence in kept:
            # The first of each page.
            if id(evidence) not in seen:
                seen.add(id(evidence))
                quotes.setdefault(text, Quote(text, evidence.page.url, evidence.digest))
    return tuple(quotes.values())[:QUOTES_MAX]


def _find_holding(phrase: str, evidence: ReadPage) -> list[str]:
    """The passages of a page that hold a phrase, or else the phrase itself as the page spells it."""
    if phrase not in fold(evidence.page.text):
        return []
    passages = [each for each in evidence.page.passages if phrase in fold(each)]
    return list(filter(None, passages or [cut_out(phrase, evidence.page.text)]))


def _may_quote(text: str, evidence: ReadPage, *, told: Sequence[Recalled]) -> bool:
    folded, addresses = fold(text), evidence.addresses
    is_named = bool(_find_told(folded, addresses=addresses, told=told))
    return is_named or not _is_wrong(folded, addresses=addresses, told=told)


def _find_named(scored: Scored) -> str:
    """The sentences, rows or lines that hold the words that a person named, as few as there are; empty without any."""
    return find_holding(scored.passage, scored.named) if scored.named else ""


def _cut_own(pages: Sequence[ReadPage]) -> list[tuple[ReadPage, Passage]]:
    cut = [(evidence, passage) for evidence in find_distinct(pages) for passage in cut_passages(evidence.page.sections)]
    spread = Counter(passage.text for _, passage in cut)
    return [(evidence, passage) for evidence, passage in cut if spread[passage.text] == 1]


def _describe(
    question: Question, title: str, passage: Passage, *, words: Sequence[str], rarity: Rarity, average: float
) -> Features:
    counts = Counter(words)
    return Features(
        bm25=score_bm25(counts, length=len(words), average=average, question=question, rarity=rarity),
        text=measure_share(question, counts.keys(), rarity=rarity),
        heading=measure_share(question, set(split_words(passage.heading)), rarity=rarity),
        title=measure_share(question, set(split_words(title)), rarity=rarity),
    )


def _compare(
    question: Question, scored: Sequence[Scored], *, indexed: set[str], weights: Weights, embed: Embed
) -> list[Scored]:
    fresh = [each for each in scored if each.evidence.page.url not in indexed]
    if not fresh:
        return list(scored)
    fresh.sort(key=lambda each: -each.score)
    texts = (describe_text(each.evidence.page.title, each.passage) for each in fresh[:COMPARED])
    vectors = embed([question.prompt, *texts])
    if not vectors:
        # No model answers now. What cannot be compared is not ranked among passages that were.
        return [each for each in scored if each.evidence.page.url in indexed] or list(scored)
    asked, *others = vectors
    changed = {}
    for each, vector in zip(fresh[:COMPARED], others, strict=True):
        features = replace(each.features, cosine=max(LEAST_COSINE, sum(map(mul, asked, vector))))
        changed[id(each)] = replace(each, features=features, score=weights.score(features))
    return [changed.get(id(each), each) for each in scored]


def _count_held(question: Question, scored: Scored) -> int:
    held = content_words(f"{scored.evidence.page.title} {scored.passage.heading} {scored.passage.text}")
    return len(question.words & held)
