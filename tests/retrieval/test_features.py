from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.retrieval import features, hashed_features


@given(
    st.lists(st.text(st.characters(codec="utf-8"), max_size=60), max_size=5),
    st.integers(1, 300),
)
def test_the_kernel_is_the_definition(texts, dim) -> None:
    expected = features.reference_features(
        [text.encode() for text in texts],
        np.zeros((len(texts), dim), np.float32),
    )
    np.testing.assert_array_equal(hashed_features(texts, dim), expected)


def test_words_and_pairs_are_counted() -> None:
    (row,) = hashed_features(["alpha  BETA, alpha"], 1 << 16)
    # alpha twice, beta, "alpha beta", "beta alpha".
    assert sorted(abs(row[row != 0])) == [1, 1, 1, 2]
    assert not hashed_features(["", " ,;\n"], 64).any()


def test_case_and_punctuation_do_not_matter() -> None:
    rows = hashed_features(["Read a file", "read, a FILE!"], 512)
    np.testing.assert_array_equal(rows[0], rows[1])
    assert (hashed_features(["a read file"], 512)[0] != rows[0]).any()


def test_shared_words_make_texts_similar() -> None:
    rows = hashed_features(
        [
            "open a file and read its lines",
            "read the lines of an open file",
            "multiply two matrices",
        ],
        1024,
    )
    assert rows[0] @ rows[1] > rows[0] @ rows[2]


def test_any_string_has_features() -> None:
    assert hashed_features(["\ud800 lone", "é\0ü"], 32).shape == (2, 32)
    with pytest.raises(ValueError, match="dim"):
        hashed_features(["a"], 0)


def test_without_the_extension_features_are_the_same(monkeypatch) -> None:
    texts = ["Some words, some more.", "ünïcode wörds"]
    ours = hashed_features(texts, 100)
    monkeypatch.setattr(features, "native", lambda: None)
    np.testing.assert_array_equal(hashed_features(texts, 100), ours)
