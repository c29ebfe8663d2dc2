"""What the small critics see of texts: numbers, the same for all of them.

Pure: vectors are handed in. Every feature is between about -3 and 3, so that
heads need no scaling that depends on a data set.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from reconciler.retrieval.arrays import Floats
from reconciler.retrieval.selfrag.answer import Candidate, Draft
from reconciler.retrieval.selfrag.sentences import negations, numbers, words

_ALONE = (
    *("cosine", "bestSentence", "lead", "gapToFirst", "reciprocalRank"),
    *("wordRank", "coverage", "pairs", "titleCoverage", "lengthOfQuestion"),
    *("lengthOfPassage", "meanOfOthers", "rareCoverage", "unknownWords"),
    *("titleNamed", "nameNamed"),
)
RELEVANCE = (*_ALONE, *(f"{name}OverOthers" for name in _ALONE))
"""Of a passage alone, and how far each is above the best of the others."""
USEFULNESS = (
    *("cosine", "passageCosine", "coverage", "pairs", "passageCoverage"),
    *("length", "lengthOfQuestion", "codeShare", "position", "relevance"),
)
SUPPORT = (
    *("cosine", "bestSentence", "coverage", "pairs", "unknownNumbers"),
    *("negations", "length"),
)


def relevance_row(
    question: str,
    passages: Sequence[Candidate],
    cosines: Floats,
    best_sentences: Floats,
) -> Floats:
    """Rows of shape (passages, RELEVANCE).

    Args:
        question: as asked.
        passages: in the order in which they were found.
        cosines: question with passage, for each.
        best_sentences: question with the nearest sentence of each.
    """
    alone = np.zeros((len(passages), len(_ALONE)), np.float32)
    known = [words(f"{p.title} {p.body}") for p in passages]
    asked, rarity = words(question), _rarity(words(question), known)
    unknown = len([w for w in rarity if not any(w in k for k in known)])
    order = np.argsort(-cosines, kind="stable").tolist()
    for place, passage in enumerate(passages):
        others = np.delete(cosines, place)
        rare = sum(rarity[word] for word in rarity if word in known[place])
        alone[place] = (
            cosines[place],
            best_sentences[place],
            cosines[place] - others.max(initial=0.0),
            cosines.max() - cosines[place],
            1 / (1 + order.index(place)),
            1 / passage.word_rank if passage.word_rank else 0.0,
            coverage(asked, known[place]),
            pair_coverage(asked, known[place]),
            coverage(asked, words(passage.title)),
            _length(question),
            _length(passage.body),
            others.mean() if len(others) else 0.0,
            rare / max(sum(rarity.values()), 1e-6),
            unknown / max(len(rarity), 1),
            passage.title.lower() in question.lower(),
            passage.title.rpartition(".")[2].lower() in question.lower(),
        )
    return np.hstack([alone, _over_others(alone)])


def _rarity(
    asked: Sequence[str], known: Sequence[Sequence[str]]
) -> dict[str, float]:
    """By word of the question, how few of the passages have it."""
    counts = {word: sum(word in each for each in known) for word in set(asked)}
    return {
        word: math.log((len(known) + 1) / (count + 0.5))
        for word, count in counts.items()
    }


def _over_others(rows: Floats) -> Floats:
    """Each row less the largest values of all others."""
    out = np.zeros_like(rows)
    for place in range(len(rows)):
        others = np.delete(rows, place, axis=0)
        best = others.max(axis=0) if len(others) else 0.0
        out[place] = rows[place] - best
    return out


def usefulness_row(
    question: str, draft: Draft, cosine: float, passage_cosine: float
) -> Floats:
    """One row of USEFULNESS; cosines of the question with both texts."""
    asked = words(question)
    said = words(draft.text)
    span = draft.spans[0] if draft.spans else None
    around = words(f"{span.passage.title} {span.passage.body}") if span else []
    row = (
        cosine,
        passage_cosine,
        coverage(asked, said),
        pair_coverage(asked, said),
        coverage(asked, around),
        _length(draft.text),
        _length(question),
        _code_share(draft.text),
        span.start / max(len(span.passage.body), 1) if span else 0.0,
        (span.passage.relevance or 0.0) if span else 0.0,
    )
    return np.array(row, np.float32)


def support_row(
    claim: str, evidence: str, cosine: float, best_sentence: float
) -> Floats:
    """One row of SUPPORT for a claim and what should state it."""
    said, known = words(claim), words(evidence)
    unknown = numbers(claim) - numbers(evidence)
    row = (
        cosine,
        best_sentence,
        coverage(said, known),
        pair_coverage(said, known),
        min(len(unknown), 3),
        min(max(negations(claim) - negations(evidence), 0), 2),
        _length(claim),
    )
    return np.array(row, np.float32)


def coverage(wanted: Sequence[str], there: Sequence[str]) -> float:
    """Share of the wanted words that are there, 0 to 1."""
    unique = set(wanted)
    return len(unique & set(there)) / len(unique) if unique else 0.0


def pair_coverage(wanted: Sequence[str], there: Sequence[str]) -> float:
    """The same for neighbouring words."""
    pairs = set(itertools.pairwise(wanted))
    if not pairs:
        return 0.0
    return len(pairs & set(itertools.pairwise(there))) / len(pairs)


def _length(text: str) -> float:
    """0 for no word, 1 for 32."""
    return math.log2(1 + len(text.split())) / 5


def _code_share(text: str) -> float:
    """Share of characters that prose has few of."""
    marks = sum(text.count(mark) for mark in "=<>[]{}()_*`|\\/:")
    return 4 * marks / max(len(text), 1)
