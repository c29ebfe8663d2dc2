"""A small real model: its graph gives what torch gives."""

from __future__ import annotations

import numpy as np
import pytest

from reconciler.retrieval.embedder import EmbedderError
from reconciler.retrieval.sentence_embedder import BATCH, SentenceEmbedder
from reconciler.retrieval.sentence_model import read_recipe
from tests.retrieval.sentence_support import WORDS, write_small_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_small_model(tmp_path_factory.mktemp("model"), WORDS)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("graphs")


@pytest.fixture(scope="module")
def embedder(model, cache):
    return SentenceEmbedder(model, cache)


def reference(model, text: str):
    """Mean of the token vectors, by transformers alone, without padding."""
    import torch
    from transformers import BertModel

    bert = BertModel.from_pretrained(model)
    bert.train(mode=False)
    ids = [WORDS.index(word) for word in text.split()][:32]
    with torch.inference_mode():
        hidden = bert(torch.tensor([ids])).last_hidden_state[0]
    mean = hidden.mean(0).numpy()
    return mean / np.linalg.norm(mean)


@pytest.mark.parametrize("text", ["a", "word text a b", "c d " * 30])
def test_vectors_are_those_of_the_model(embedder, model, text) -> None:
    (row,) = embedder.embed([text])
    assert np.abs(row - reference(model, text)).max() < 1e-4


def test_batches_keep_the_order_whatever_the_lengths(embedder) -> None:
    lengths = np.random.default_rng(0).integers(1, 30, 3 * BATCH + 5)
    texts = [
        " ".join(WORDS[4 + (i + j) % 12] for j in range(n))
        for i, n in enumerate(lengths)
    ]
    together = embedder.embed(texts)
    singly = np.concatenate([embedder.embed([text]) for text in texts])
    assert together.shape == (len(texts), 32)
    assert np.abs(together - singly).max() < 1e-4


def test_no_text_gives_no_row(embedder) -> None:
    assert embedder.embed([]).shape == (0, 32)


def test_text_that_utf8_cannot_hold_is_embedded(embedder) -> None:
    assert np.isfinite(embedder.embed(["a \ud800 b"])).all()


def test_the_graph_is_written_once_for_a_content(
    embedder, model, cache, monkeypatch
) -> None:
    def refuse(*_):
        raise AssertionError("converted again")

    monkeypatch.setattr("reconciler.retrieval.sentence_model._convert", refuse)
    again = SentenceEmbedder(model, cache)
    assert again.identity == embedder.identity
    assert again.embed(["a b"]).tolist() == embedder.embed(["a b"]).tolist()


def test_a_graph_with_other_vectors_is_refused(
    model, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr("reconciler.retrieval.sentence_model.MIN_COSINE", 1.5)
    with pytest.raises(EmbedderError, match="other vectors"):
        SentenceEmbedder(model, tmp_path)
    monkeypatch.undo()
    SentenceEmbedder(model, tmp_path)  # what was refused is not kept


def test_a_device_that_is_absent_is_named(model, cache) -> None:
    with pytest.raises(EmbedderError, match="on NPU"):
        SentenceEmbedder(model, cache, "NPU")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokenizer.json", None, "no tokenizer.json"),
        ("config.json", None, "config.json: the file is missing"),
        ("config.json", "{", "config.json"),
        ("modules.json", '[{"type": "models.Dense"}]', "Dense"),
        (
            "1_Pooling/config.json",
            '{"pooling_mode_max_tokens": true}',
            "mean or cls pooling",
        ),
    ],
)
def test_directories_that_are_no_model_are_refused(
    tmp_path, name, content, message
) -> None:
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "config.json").write_text('{"hidden_size": 32}')
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(content)
    with pytest.raises(EmbedderError, match=message):
        read_recipe(tmp_path)
