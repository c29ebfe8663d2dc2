from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from reconciler.training.batches import batches

lengths = st.lists(st.integers(1, 90), min_size=1, max_size=200)


@given(lengths, st.integers(1, 16), st.integers(1, 60), st.integers(0, 99))
def test_every_step_has_a_full_batch_of_examples(
    lengths, size, steps, seed
) -> None:
    found = batches(lengths, size, steps, seed)
    assert len(found) == steps
    assert all(len(batch) == size for batch in found)
    assert all(0 <= i < len(lengths) for batch in found for i in batch)


@given(lengths, st.integers(1, 16), st.integers(2, 60), st.integers(0, 99))
def test_the_order_is_that_of_the_seed_whatever_the_length_of_the_run(
    lengths, size, steps, seed
) -> None:
    whole = batches(lengths, size, steps, seed)
    assert batches(lengths, size, steps, seed) == whole
    assert batches(lengths, size, steps // 2, seed) == whole[: steps // 2]


def test_an_epoch_uses_every_example_once_if_it_can() -> None:
    found = batches([5] * 64, 8, 8, 1)
    assert Counter(i for batch in found for i in batch) == dict.fromkeys(
        range(64), 1
    )


def test_seeds_differ() -> None:
    assert batches([5] * 64, 8, 8, 1) != batches([5] * 64, 8, 8, 2)


def test_examples_of_like_length_come_together() -> None:
    mixed = [10 + i % 50 for i in range(400)]
    found = batches(mixed, 8, 50, 1)
    spread = [
        max(mixed[i] for i in b) - min(mixed[i] for i in b) for b in found
    ]
    assert sum(spread) / len(spread) < 5
