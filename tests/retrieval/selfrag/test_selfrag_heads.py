from __future__ import annotations

import json

import numpy as np
import pytest

from reconciler.retrieval.embedder import HashingEmbedder
from reconciler.retrieval.selfrag.answer import Draft, Span
from reconciler.retrieval.selfrag.features import (
    RELEVANCE,
    SUPPORT,
    USEFULNESS,
)
from reconciler.retrieval.selfrag.heads import (
    Head,
    Heads,
    HeadsError,
    load_heads,
)
from reconciler.retrieval.selfrag.local_critic import (
    LocalCritic,
    support_features,
)
from reconciler.retrieval.selfrag.policy import Thresholds
from reconciler.retrieval.selfrag.protocols import PartError
from tests.retrieval.selfrag.selfrag_parts import passage, quoted

EMBEDDER = HashingEmbedder(64)


def head(names, bias=0.0, **weights) -> Head:
    return Head(
        features=tuple(names),
        weights=tuple(weights.get(name, 0.0) for name in names),
        bias=bias,
    )


def heads(dim: int = 64) -> Heads:
    return Heads(
        embedder="hashed-features",
        need=head([f"d{i}" for i in range(dim)], bias=2.0),
        relevance=head(RELEVANCE, bias=-1.0, coverage=4.0),
        support=head(SUPPORT, coverage=4.0, unknownNumbers=-9.0),
        usefulness=head(USEFULNESS, coverage=4.0),
        weights=(0.25, 0.25, 0.25, 0.25),
        thresholds=Thresholds(),
        rounds=1,
        evidence={},
    )


def test_a_head_is_the_logistic_function() -> None:
    found = head(["a", "b"], bias=1.0, a=2.0).probabilities(
        np.array([[0.5, 9.0], [-0.5, 9.0]], np.float32)
    )
    assert found == pytest.approx([1 / (1 + np.exp(-2)), 0.5])


@pytest.mark.parametrize(
    "change",
    [
        {"weights": [1.0]},
        {"weights": [1.0, "NaN"]},
        {"bias": "x"},
        {"features": ["a", "b"], "extra": 1},
    ],
)
def test_heads_that_are_none_are_refused(change) -> None:
    good = {"features": ["a", "b"], "weights": [1.0, 2.0], "bias": 0.0}
    Head.model_validate(good)
    with pytest.raises(ValueError):
        Head.model_validate(good | change)


def test_files_are_checked(tmp_path) -> None:
    path = tmp_path / "heads.json"
    path.write_text(heads().model_dump_json())
    assert load_heads(path) == heads()
    path.write_text(json.dumps({"embedder": "x"}))
    with pytest.raises(HeadsError, match=r"heads\.json"):
        load_heads(path)
    with pytest.raises(HeadsError, match="absent"):
        load_heads(tmp_path / "absent")


def test_the_heads_of_the_package_fit_its_features() -> None:
    found = load_heads()
    assert found.relevance.features == RELEVANCE
    assert found.usefulness.features == USEFULNESS
    assert found.support.features == SUPPORT
    assert sum(found.weights) == pytest.approx(1)
    assert found.evidence["validationRight"] > 0.5


def test_critics_of_another_model_are_refused() -> None:
    other = heads().model_copy(update={"embedder": "sha256:1"})
    with pytest.raises(PartError, match="trained with sha256:1"):
        LocalCritic(other, EMBEDDER)


async def test_all_four_judgements() -> None:
    critic = LocalCritic(heads(), EMBEDDER)
    near = passage("a", "A session is closed by the close method.")
    far = passage("b", "Bananas grow where it is warm and wet.")
    question = "how is a session closed?"
    assert await critic.need(question) == pytest.approx(0.8808, abs=1e-4)
    first, second = await critic.relevance(question, [near, far])
    assert first > second
    assert await critic.relevance(question, []) == []
    useful = await critic.usefulness(question, [quoted(near), quoted(far)])
    assert useful[0] > useful[1]
    assert await critic.usefulness(question, []) == []


async def test_quotations_are_supported_and_inventions_are_not() -> None:
    critic = LocalCritic(heads(), EMBEDDER)
    there = passage("a", "The limit is 64 requests. More are refused at once.")
    whole = (Span(there, 0, len(there.body)),)
    same = "The limit is 64 requests."
    drafts = [
        Draft(same, (Span(there, 0, len(same)),), 0.5),
        Draft("Requests above the limit are refused.", whole, 0.5),
        Draft("The limit is 9000 requests. More are refused.", whole, 0.5),
        Draft("Anything at all.", (), 0.5),
    ]
    found = await critic.support("q", drafts)
    assert found[0] == 1.0
    assert found[1] > 0.9
    assert found[2] < 0.1  # the least supported sentence counts
    assert found[3] == 0.0


def test_numbers_and_negations_that_are_new_are_seen() -> None:
    evidence = "The limit is 64 requests."
    row = support_features(EMBEDDER, "The limit is not 9 or 8.", evidence)
    assert row[SUPPORT.index("unknownNumbers")] == 2
    assert row[SUPPORT.index("negations")] == 1
