"""The same held-out questions for every candidate."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.corpus import Example
from reconciler.evaluation.questions import digest_of, sample

SPLITS = ("heldout", "train", "feedback")


def example(n: int, split: str = "heldout") -> Example:
    return Example(f"id{n}", f"a.b{n}", f"What {n}?", f"Answer {n}.", split)


EXAMPLES = [example(n, SPLITS[n % 3]) for n in range(90)]


@given(st.permutations(EXAMPLES), st.integers(0, 40))
def test_the_order_of_the_corpus_does_not_matter(examples, count):
    assert sample(examples, count) == sample(EXAMPLES, count)


def test_only_held_out_examples_are_asked():
    found = sample(EXAMPLES, 100)
    assert len(found) == 30
    assert {e.split for e in found} == {"heldout"}


def test_a_larger_sample_contains_the_smaller_one():
    assert sample(EXAMPLES, 30)[:10] == sample(EXAMPLES, 10)


def test_the_sample_is_shuffled():
    found = [e.id for e in sample(EXAMPLES, 30)]
    assert found != sorted(found)


def test_the_digest_covers_what_is_asked_and_expected():
    some = sample(EXAMPLES, 5)
    other = Example("id0", "a.b0", "What 0?", "Another answer.", "heldout")
    digests = {
        digest_of(some),
        digest_of(some[::-1]),
        digest_of(some[:4]),
        digest_of([example(0)]),
        digest_of([other]),
    }
    assert len(digests) == 5
    assert digest_of(some) == digest_of(list(some))
