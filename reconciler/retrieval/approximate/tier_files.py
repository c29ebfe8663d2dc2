"""Making the graph of a generation, and opening it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.artifacts.copying import remove_tree
from reconciler.retrieval.approximate import is_installed
from reconciler.retrieval.approximate.approximate_index import (
    ApproximateIndex,
)
from reconciler.retrieval.approximate.errors import GraphError
from reconciler.retrieval.approximate.growth import grow_graph, has_dead_rows
from reconciler.retrieval.approximate.tier import (
    EXPANSIONS,
    PLACES,
    Tier,
    TierState,
    Wish,
)
from reconciler.retrieval.arrays import Floats
from reconciler.retrieval.index import ExactIndex
from reconciler.retrieval.recall import Nearest


def make_tier(
    exact: ExactIndex,
    root: Path,
    before: Sequence[Path],
    wish: Wish,
    questions: Floats,
) -> Tier:
    """Make the graph that an index of its size should have, and measure it.

    Args:
        exact: open to read only.
        root: where the graph goes; repeatable, see `grow_graph`.
        before: graphs to begin with.
        wish: what is asked for.
        questions: what recall is measured with, shape (m, dim).

    Raises:
        OSError: the disk refused.
        GraphError: the disk gave back something else than was written.
    """
    small = len(exact) <= wish.above
    if small or not is_installed():
        if root.exists():  # a build that was stopped was of more
            remove_tree(root)
        return _tier(exact, wish, "BelowSize" if small else "NotInstalled")
    grow_graph(exact, root, before)
    tier = _measured(exact, root, wish, questions)
    if tier.state == "RecallTooLow" and has_dead_rows(exact, root):
        remove_tree(root)
        grow_graph(exact, root)
        tier = _measured(exact, root, wish, questions)
    return tier


def _measured(
    exact: ExactIndex, root: Path, wish: Wish, questions: Floats
) -> Tier:
    """Search as wide as it has to be."""
    if len(questions) == 0:  # nobody knows what it finds
        return _tier(exact, wish, "Approximate", EXPANSIONS[-1])
    truth = Nearest.of(exact, questions, PLACES)
    recall = 0.0
    for expansion in EXPANSIONS:
        graph = ApproximateIndex(exact, root, expansion=expansion)
        recall = truth.found_by(graph.search)
        if recall >= float(wish.minimum_recall):
            return _tier(exact, wish, "Approximate", expansion, recall)
    return _tier(exact, wish, "RecallTooLow", EXPANSIONS[-1], recall)


def _tier(
    exact: ExactIndex,
    wish: Wish,
    state: TierState,
    expansion: int = 0,
    recall: float | None = None,
) -> Tier:
    return Tier(
        above=wish.above,
        minimum_recall=wish.minimum_recall,
        state=state,
        rows=len(exact),
        expansion=expansion,
        recall=recall,
    )


@dataclass(frozen=True)
class OpenTier:
    """What answers questions of a generation.

    Attributes:
        index: an index with a graph, or the exact one.
        fault: why a graph that is there does not answer; empty: it does, or
            there is none.
        damaged: whether making it again would help.
    """

    index: ApproximateIndex | ExactIndex
    fault: str = ""
    damaged: bool = False


def open_tier(exact: ExactIndex, root: Path, tier: Tier | None) -> OpenTier:
    """The graph of a generation; the exact index where it cannot be used."""
    if tier is None or tier.state != "Approximate":
        return OpenTier(exact)
    try:
        return OpenTier(
            ApproximateIndex(exact, root, expansion=tier.expansion)
        )
    except (GraphError, OSError) as error:
        return OpenTier(exact, str(error), damaged=True)
    except ModuleNotFoundError as error:
        return OpenTier(exact, str(error))


def would_mend(exact: ExactIndex, root: Path, tier: Tier | None) -> bool:
    """Whether making a tier again would give a graph that is not there."""
    if tier is not None and tier.state == "NotInstalled":
        return is_installed()
    return open_tier(exact, root, tier).damaged
