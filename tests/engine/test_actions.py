from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from reconciler.engine.plan import Action, action_key


@dataclass(frozen=True)
class PruneDataset(Action):
    dataset: str
    keep_last: int


def test_an_action_describes_itself_in_words() -> None:
    action = PruneDataset("key", "models", 5)
    assert action.describe() == "prune dataset models 5"
    assert Action("key").describe() == "action"


@given(st.lists(st.text(), min_size=1), st.lists(st.text(), min_size=1))
def test_keys_are_equal_exactly_for_equal_parts(a, b) -> None:
    if any("\x1f" in part for part in [*a, *b]):
        return
    assert (action_key(*a) == action_key(*b)) == (a == b)
