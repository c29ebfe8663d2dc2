"""Which index answers: the exact one, or one with a graph before it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

EXPANSIONS = (64, 128, 256, 512)
"""Tried in this order: the first that finds enough is the fastest."""
QUESTIONS = 64
"""Titles of the index that recall is measured with."""
PLACES = 10
"""Nearest rows of each that are looked for."""

TierState = Literal["Approximate", "BelowSize", "RecallTooLow", "NotInstalled"]


@dataclass(frozen=True)
class Wish:
    """From which size a graph is wanted, and how much it must find.

    Attributes:
        above: an index of more rows gets one.
        minimum_recall: share of the nearest rows, as a decimal.
    """

    above: int
    minimum_recall: str = "0.95"


class Tier(BaseModel):
    """What was wished for a generation, and what came of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    above: int
    minimum_recall: str
    state: TierState
    """Approximate: a graph is there. Else the exact index answers, and why."""

    rows: int = Field(ge=0)
    expansion: int = 0
    """With which its recall was measured."""

    recall: float | None = None
    """Of the graph, where one was made."""

    @property
    def wish(self) -> Wish:
        """What it was made for."""
        return Wish(self.above, self.minimum_recall)


def explained(tier: Tier) -> str:
    """What answers, and why, for people."""
    match tier.state:
        case "Approximate":
            return (
                f"a graph of {tier.rows} passages, {tier.expansion} in view, "
                f"recall {_found(tier)}"
            )
        case "BelowSize":
            return f"exact: {tier.rows} passages, not more than {tier.above}"
        case "RecallTooLow":
            return (
                f"exact: a graph with {tier.expansion} in view finds "
                f"{_found(tier)}, less than {tier.minimum_recall}"
            )
        case "NotInstalled":
            return (
                "exact: usearch is not installed on this node: "
                "pip install 'reconciler[approximate]'"
            )


def _found(tier: Tier) -> str:
    return "nothing yet" if tier.recall is None else f"{tier.recall:.4f}"
