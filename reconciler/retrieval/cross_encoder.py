"""A sentence-transformers CrossEncoder as an OpenVINO graph.

Such a directory is what `transformers` writes for sequence classification
with one label. The graph is written once for each content of the directory,
and only if its scores are those of the original.
"""

from __future__ import annotations

import inspect
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typing_extensions import override

from reconciler import telemetry
from reconciler.artifacts import ArtifactError, digest_of
from reconciler.retrieval.arrays import Floats
from reconciler.retrieval.embedder import EmbedderError
from reconciler.retrieval.graphs import (
    GRAPH,
    attention_bias,
    compile_graph,
    kept_graph,
    legible,
    load_tokenizer,
    load_weights,
    read_json,
)
from reconciler.retrieval.search import Hit

MAX_TOKENS = 256
"""Of question and passage together, unless the model reads less."""

BATCH = 8
MAX_DIFFERENCE = 1e-3
"""What scores may differ from the original's."""

_PROOF = (
    ("what is it?", "A short text."),
    ("absolute value", "Returns the absolute value of the argument. " * 12),
    ("where does it go " * 8, "nowhere"),
)


@dataclass(frozen=True)
class PairRecipe:
    """What a CrossEncoder directory says about itself."""

    directory: Path
    digest: str
    tokens: int
    """The longest pair that the model is given."""


def read_pair_recipe(directory: Path) -> PairRecipe:
    """Read and check the description of a CrossEncoder.

    Raises:
        EmbedderError: it is none, or one with several labels.
    """
    if not (directory / "tokenizer.json").is_file():
        msg = f"{directory}: no tokenizer.json: not a CrossEncoder directory "
        raise EmbedderError(msg + "(see docs/retrieval.md)")
    config = read_json(directory, "config.json", None)
    kinds = config.get("architectures") or [""]
    if not str(kinds[0]).endswith("ForSequenceClassification"):
        msg = f"{directory}: config.json describes {kinds[0] or 'no model'}, "
        raise EmbedderError(msg + "not one for sequence classification")
    labels = len(config.get("id2label") or {"0": "", "1": ""})
    if labels != 1:
        msg = f"{directory}: the model has {labels} labels; a reranker has one"
        raise EmbedderError(msg)
    try:
        longest = int(config.get("max_position_embeddings", MAX_TOKENS))
        digest = digest_of(directory)
    except (ArtifactError, ValueError, TypeError) as error:
        msg = f"{directory}: {error}"
        raise EmbedderError(msg) from error
    return PairRecipe(directory, digest, min(longest, MAX_TOKENS))


class CrossEncoder:
    """A reranker on a device; any thread may ask, one is answered at a time.

    Args:
        directory: the model.
        cache: where graphs are kept. The first use of a model converts it,
            which needs torch and transformers.
        device: of OpenVINO: CPU, GPU, NPU.

    Raises:
        EmbedderError: the model or the device cannot be used.
    """

    def __init__(
        self, directory: Path, cache: Path, device: str = "CPU"
    ) -> None:
        self._recipe = read_pair_recipe(directory)
        recipe = self._recipe
        home = kept_graph(
            cache,
            recipe.digest,
            lambda directory: _convert(recipe, directory / GRAPH),
        )
        self._tokenizer = _tokenizer(self._recipe)
        self._graph = compile_graph(home / GRAPH, device)
        self._device = device
        self._turn = threading.Lock()

    @property
    def identity(self) -> str:
        """The digest of the model's directory."""
        return self._recipe.digest

    def score(self, question: str, hits: Sequence[Hit]) -> Floats:
        """Relevance of each hit, in [0, 1], shape (hits,).

        Raises:
            EmbedderError: the device failed, or gave what is no number.
        """
        asked = legible(question)
        return self._score([(asked, legible(h.passage.text)) for h in hits])

    def _score(self, pairs: Sequence[tuple[str, str]]) -> Floats:
        import numpy as np

        out = np.zeros(len(pairs), np.float32)
        order = sorted(range(len(pairs)), key=lambda i: len(pairs[i][1]))
        with self._turn:
            for at in range(0, len(order), BATCH):
                chosen = order[at : at + BATCH]
                arrays = _encoded(self._tokenizer, [pairs[i] for i in chosen])
                try:
                    out[chosen] = _run(self._graph, arrays)
                except RuntimeError as error:
                    msg = f"{self._device}: {error}"
                    raise EmbedderError(msg) from error
        if not np.isfinite(out).all():
            msg = f"{self._device} gave a NaN or an infinity"
            raise EmbedderError(msg)
        return out


def _run(graph: Any, arrays: Sequence[Any]) -> Any:
    # Models without token types have no third input.
    return graph(list(arrays[: len(graph.inputs)]))[0][:, 0]


def _tokenizer(recipe: PairRecipe) -> Any:
    tokenizer = load_tokenizer(recipe.directory, recipe.tokens)
    tokenizer.enable_padding()
    return tokenizer


def _encoded(
    tokenizer: Any, pairs: Sequence[tuple[str, str]]
) -> tuple[Any, Any, Any]:
    """Tokens, mask and types, each of shape (pairs, longest)."""
    import numpy as np

    rows = tokenizer.encode_batch(list(pairs))
    return (
        np.array([row.ids for row in rows], np.int64),
        np.array([row.attention_mask for row in rows], np.int64),
        np.array([row.type_ids for row in rows], np.int64),
    )


def _convert(recipe: PairRecipe, path: Path) -> None:
    import numpy as np

    telemetry.refuse_if_early()
    import openvino
    import torch

    module, typed = _module(recipe)
    arrays = _encoded(_tokenizer(recipe), _PROOF)
    tensors = [torch.tensor(a) for a in arrays[: 3 if typed else 2]]
    names = ("input_ids", "attention_mask", "token_type_ids")
    example = dict(zip(names, tensors, strict=False))
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracing; the proof decides
        expected = module(**example).numpy()[:, 0]
        graph = openvino.convert_model(module, example_input=example)
    openvino.save_model(graph, path, compress_to_fp16=False)
    compiled = compile_graph(path, "CPU")
    together = _run(compiled, arrays)
    tokenizer = _tokenizer(recipe)
    singly = [_run(compiled, _encoded(tokenizer, [p]))[0] for p in _PROOF]
    for found in (together, np.array(singly)):
        worst = float(np.abs(found - expected).max())
        if not worst <= MAX_DIFFERENCE:
            msg = f"the converted model gives other scores: off by {worst:.5f}"
            raise EmbedderError(msg)


def _module(recipe: PairRecipe) -> tuple[Any, bool]:
    """The original with a sigmoid, in torch; whether it reads token types."""
    import torch
    from transformers import AutoModelForSequenceClassification

    model = load_weights(AutoModelForSequenceClassification, recipe.directory)
    typed = "token_type_ids" in inspect.signature(model.forward).parameters

    class Pairs(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        @override
        def forward(
            self,
            input_ids: torch.Tensor,
            attention_mask: torch.Tensor,
            token_type_ids: torch.Tensor | None = None,
        ) -> torch.Tensor:
            bias = attention_bias(attention_mask.to(torch.float32))
            types = {"token_type_ids": token_type_ids} if typed else {}
            logits: torch.Tensor = self.model(
                input_ids=input_ids, attention_mask=bias, **types
            ).logits
            return torch.sigmoid(logits)

    pairs = Pairs()
    pairs.train(mode=False)
    return pairs, typed
