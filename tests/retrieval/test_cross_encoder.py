"""A small real CrossEncoder: its graph gives what torch gives."""

from __future__ import annotations

import json

import numpy as np
import pytest

from reconciler.retrieval.chunking import Passage
from reconciler.retrieval.cross_encoder import (
    BATCH,
    CrossEncoder,
    read_pair_recipe,
)
from reconciler.retrieval.embedder import EmbedderError
from reconciler.retrieval.opening import open_reranker
from reconciler.retrieval.search import Hit

pytestmark = pytest.mark.slow  # torch and OpenVINO take seconds to load

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghij", "word", "text"]


def write_model(directory, labels=1):
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=48,
        num_labels=labels,
        initializer_range=0.5,
    )
    BertForSequenceClassification(config).save_pretrained(directory)
    vocabulary = {word: i for i, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer.save(str(directory / "tokenizer.json"))
    return directory


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("graphs")


@pytest.fixture(scope="module")
def encoder(model, cache):
    return CrossEncoder(model, cache)


def hits(*bodies):
    return [Hit(Passage("d", 1, 1, "a", b), 0.1, None, 1) for b in bodies]


def reference(model, question, text):
    """The score by transformers alone, of one pair without padding."""
    import torch
    from transformers import BertForSequenceClassification

    bert = BertForSequenceClassification.from_pretrained(model)
    bert.train(mode=False)
    first = [2, *(WORDS.index(w) for w in question.split()), 3]
    second = [
        *(WORDS.index(w) if w in WORDS else 1 for w in text.split()),
        3,
    ]
    second = second[: 48 - len(first) - 1] + [3] * (
        len(first) + len(second) > 48
    )
    ids = torch.tensor([[*first, *second]])
    types = torch.tensor([[0] * len(first) + [1] * len(second)])
    with torch.inference_mode():
        logit = bert(input_ids=ids, token_type_ids=types).logits[0, 0]
    return float(torch.sigmoid(logit))


def test_scores_are_those_of_the_model(encoder, model):
    bodies = ["b c", "word text d e f", "j"]
    scores = encoder.score("a word", hits(*bodies))
    # The passage's text is its title, a colon (unknown) and its body.
    expected = [reference(model, "a word", f"a : {b}") for b in bodies]
    assert np.abs(scores - expected).max() < 1e-3
    assert len(set(np.round(scores, 4))) == 3


def test_batches_keep_the_order_whatever_the_lengths(encoder):
    bodies = ["b " * n for n in (30, 1, 7, 2, 60, 5, 4, 3, 9, 8, 6)]
    assert len(bodies) > BATCH
    together = encoder.score("a b", hits(*bodies))
    singly = [encoder.score("a b", hits(body))[0] for body in bodies]
    assert np.abs(together - singly).max() < 1e-4


def test_no_hit_has_no_score(encoder):
    assert encoder.score("a", []).shape == (0,)


def test_odd_text_is_judged(encoder):
    scores = encoder.score("\ud800", hits("\0 \ud800", ""))
    assert np.isfinite(scores).all()


def test_the_graph_is_written_once_for_a_content(model, cache, monkeypatch):
    CrossEncoder(model, cache)

    def refuse(*_):
        raise AssertionError("converted again")

    monkeypatch.setattr("reconciler.retrieval.cross_encoder._convert", refuse)
    again = open_reranker(model, cache, "CPU", "any")
    assert isinstance(again, CrossEncoder)


def test_a_graph_with_other_scores_is_refused(model, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "reconciler.retrieval.cross_encoder.MAX_DIFFERENCE", -1.0
    )
    with pytest.raises(EmbedderError, match="other scores"):
        CrossEncoder(model, tmp_path)


def test_a_model_with_several_labels_is_refused(tmp_path):
    with pytest.raises(EmbedderError, match="3 labels"):
        read_pair_recipe(write_model(tmp_path, labels=3))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no tokenizer.json"),
        ({"tokenizer.json": "{}"}, "config.json: the file is missing"),
        (
            {
                "tokenizer.json": "{}",
                "config.json": json.dumps({"architectures": ["BertModel"]}),
            },
            "describes BertModel",
        ),
    ],
)
def test_directories_that_are_no_reranker_are_refused(
    tmp_path, files, message
):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(EmbedderError, match=message):
        read_pair_recipe(tmp_path)
