"""What judgements teach: which answer is better, and what to say.

Everything here is pure, and the result does not depend on the order of the
rows beyond which judgement of a rater is the last one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from reconciler.feedback.judgement import Judgement

SCALAR = frozenset({"thumbs", "rating"})


@dataclass(frozen=True)
class Scored:
    """A judgement with what its (first) answer earned by it, in [-1, 1].

    The second answer of a comparison earned minus that.
    """

    judgement: Judgement
    reward: float


@dataclass(frozen=True, order=True)
class Pair:
    """One answer that is better than another."""

    prompt: str
    chosen: str
    rejected: str


@dataclass(frozen=True, order=True)
class Completion:
    """An answer as somebody wrote it."""

    prompt: str
    completion: str


@dataclass(frozen=True)
class Lessons:
    """What a set of judgements teaches; sorted, nothing twice."""

    pairs: tuple[Pair, ...]
    completions: tuple[Completion, ...]
    superseded: int
    """Judgements that the same rater replaced by a later one."""


def lessons(scored: Iterable[Scored]) -> Lessons:
    """Turn judgements into preference pairs and completions.

    - A correction prefers the corrected text, and is a completion.
    - A comparison prefers what most raters chose; ties and draws teach
      nothing.
    - Answers to one prompt with thumbs or ratings: the best mean reward is
      preferred to the worst, if they differ.

    Where these disagree about two answers, the earlier in this list counts.

    Args:
        scored: in the order of their time: the last one of a rater on the
            same item supersedes the others.
    """
    everything = list(scored)
    latest = _latest(everything)
    said = [each.judgement for each in latest]
    return Lessons(
        pairs=_first_per_two(
            [
                *sorted(_corrected(said)),
                *sorted(_compared(latest)),
                *sorted(_scored(latest)),
            ]
        ),
        completions=tuple(sorted(set(_completions(said)))),
        superseded=len(everything) - len(latest),
    )


def item(judgement: Judgement) -> Hashable:
    """What a judgement is about: a later one of the same rater replaces it.

    A thumb and a rating of one answer are about the same, and so are two
    comparisons of the same answers in either order.
    """
    if judgement.kind == "comparison":
        answers = frozenset({judgement.response, judgement.response_b})
        return (judgement.rater, "comparison", judgement.prompt, answers)
    kind = "score" if judgement.kind in SCALAR else judgement.kind
    return (judgement.rater, kind, judgement.prompt, judgement.response)


def _latest(scored: Iterable[Scored]) -> list[Scored]:
    return list({item(each.judgement): each for each in scored}.values())


def _completions(judgements: Iterable[Judgement]) -> Iterator[Completion]:
    for each in judgements:
        if each.kind == "correction":
            yield Completion(each.prompt, str(each.value))


def _corrected(judgements: Iterable[Judgement]) -> Iterator[Pair]:
    for each in judgements:
        if each.kind == "correction" and each.value != each.response:
            yield Pair(each.prompt, str(each.value), each.response)


def _compared(scored: Iterable[Scored]) -> Iterator[Pair]:
    """The answer with the greater sum of rewards, of each compared two."""
    votes: dict[tuple[str, str, str], float] = defaultdict(float)
    for each in scored:
        judgement = each.judgement
        first, second = judgement.response, judgement.response_b or ""
        if judgement.kind != "comparison" or first == second:
            continue
        if first < second:
            votes[judgement.prompt, first, second] += each.reward
        else:
            votes[judgement.prompt, second, first] -= each.reward
    for (prompt, low_text, high_text), sum_of_low in votes.items():
        if sum_of_low > 0:
            yield Pair(prompt, low_text, high_text)
        elif sum_of_low < 0:
            yield Pair(prompt, high_text, low_text)


def _scored(scored: Iterable[Scored]) -> Iterator[Pair]:
    """The best against the worst answer of each prompt."""
    scores: dict[str, dict[str, list[float]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for each in scored:
        judgement = each.judgement
        if judgement.kind in SCALAR:
            answers = scores[judgement.prompt]
            answers[judgement.response].append(each.reward)
    for prompt, answers in scores.items():
        ranked = sorted((mean, text) for text, mean in _means(answers))
        (worst_mean, worst), (best_mean, best) = ranked[0], ranked[-1]
        if best_mean > worst_mean:
            yield Pair(prompt, best, worst)


def _means(
    answers: Mapping[str, list[float]],
) -> Iterator[tuple[str, float]]:
    for text, values in answers.items():
        yield text, sum(sorted(values)) / len(values)


def _first_per_two(pairs: Iterable[Pair]) -> tuple[Pair, ...]:
    """Each two answers once, by the source that comes first."""
    kept: dict[Hashable, Pair] = {}
    for pair in pairs:
        two = (pair.prompt, frozenset({pair.chosen, pair.rejected}))
        kept.setdefault(two, pair)
    return tuple(sorted(kept.values()))
