"""A sentence-transformers directory as an OpenVINO graph.

The graph reads tokens and their mask and gives normalised rows: pooling is
part of it. It is written once for each content of the directory, and only if
its vectors are those of the original.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from typing_extensions import override

from reconciler import telemetry
from reconciler.artifacts import ArtifactError, digest_of
from reconciler.retrieval.embedder import EmbedderError
from reconciler.retrieval.graphs import (
    GRAPH,
    attention_bias,
    compile_graph,
    kept_graph,
    load_tokenizer,
    load_weights,
    read_json,
)

MIN_COSINE = 0.9999
"""What the graph's vectors must agree to with the original's."""
_PROOF = (
    "A short text.",
    "Returns the absolute value of the argument, which may be an integer.",
    "word " * 100,
)

Pooling = Literal["mean", "cls"]


@dataclass(frozen=True)
class Recipe:
    """What a sentence-transformers directory says about itself.

    Attributes:
        directory: with config, weights (safetensors) and tokenizer.json.
        digest: of everything in it.
        pooling: how token vectors become one.
        dim: numbers in a vector.
        tokens: the longest text that the model reads.
    """

    directory: Path
    digest: str
    pooling: Pooling
    dim: int
    tokens: int


def read_recipe(directory: Path) -> Recipe:
    """Read and check the description of a model.

    Raises:
        EmbedderError: not a directory of sentence-transformers, or one that
            needs something that this module does not do.
    """
    if not (directory / "tokenizer.json").is_file():
        msg = f"{directory}: no tokenizer.json: not a sentence-transformers "
        raise EmbedderError(msg + "directory (see docs/retrieval.md)")
    for module in read_json(directory, "modules.json", []):
        kind = str(module.get("type", "")).rpartition(".")[2]
        if kind not in ("Transformer", "Pooling", "Normalize"):
            msg = f"{directory}: modules.json asks for {kind}, which is not "
            raise EmbedderError(msg + "supported")
    config = read_json(directory, "config.json", None)
    longest = config.get("max_position_embeddings", 512)
    wanted = read_json(directory, "sentence_bert_config.json", {})
    try:
        return Recipe(
            directory=directory,
            digest=digest_of(directory),
            pooling=_pooling(directory),
            dim=int(config["hidden_size"]),
            tokens=int(wanted.get("max_seq_length") or longest),
        )
    except (KeyError, ArtifactError, ValueError, TypeError) as error:
        msg = f"{directory}: {error}"
        raise EmbedderError(msg) from error


def _pooling(directory: Path) -> Pooling:
    config = read_json(directory, "1_Pooling/config.json", {})
    chosen = {
        name
        for name, value in config.items()
        if name.startswith("pooling_mode") and value
    }
    if chosen in (set(), {"pooling_mode_mean_tokens"}):
        return "mean"
    if chosen == {"pooling_mode_cls_token"}:
        return "cls"
    msg = f"{directory}: 1_Pooling/config.json asks for {sorted(chosen)}; "
    raise EmbedderError(msg + "mean or cls pooling is supported")


def converted(recipe: Recipe, cache: Path) -> Path:
    """The directory of the graph; converts at the first call.

    Needs torch and transformers for that, never afterwards.

    Raises:
        EmbedderError: the weights cannot be read, or the graph would give
            other vectors.
    """
    return kept_graph(
        cache,
        recipe.digest,
        lambda directory: _convert(recipe, directory / GRAPH),
    )


def _convert(recipe: Recipe, path: Path) -> None:
    telemetry.refuse_if_early()
    import openvino
    import torch

    module = _module(recipe)
    ids, mask = _encoded(recipe)
    example = {
        "input_ids": torch.tensor(ids),
        "attention_mask": torch.tensor(mask),
    }
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracing; the proof decides
        expected = module(**example).numpy()
        graph = openvino.convert_model(module, example_input=example)
    openvino.save_model(graph, path, compress_to_fp16=False)
    _prove(path, ids, mask, expected)


def _prove(path: Path, ids: Any, mask: Any, expected: Any) -> None:
    """Compare with the original: in one batch with padding, and singly."""
    import numpy as np

    graph = compile_graph(path, "CPU")
    together = graph([ids, mask])[0]
    singly = [
        graph([row[None, : keep.sum()], keep[None, : keep.sum()]])[0][0]
        for row, keep in zip(ids, mask, strict=True)
    ]
    for found in (together, np.stack(singly)):
        worst = float((found * expected).sum(axis=1).min())
        if not worst >= MIN_COSINE:
            msg = (
                f"the converted model gives other vectors: cosine {worst:.5f}"
            )
            raise EmbedderError(msg)


def _encoded(recipe: Recipe) -> tuple[Any, Any]:
    import numpy as np

    tokenizer = load_tokenizer(recipe.directory, recipe.tokens)
    tokenizer.enable_padding()
    rows = tokenizer.encode_batch(list(_PROOF))
    ids = np.array([row.ids for row in rows], np.int64)
    return ids, np.array([row.attention_mask for row in rows], np.int64)


def _module(recipe: Recipe) -> Any:
    """The original with pooling and normalisation, in torch."""
    import torch
    from transformers import AutoModel

    encoder = load_weights(AutoModel, recipe.directory)

    class Sentence(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder

        @override
        def forward(
            self, input_ids: torch.Tensor, attention_mask: torch.Tensor
        ) -> torch.Tensor:
            weights = attention_mask.to(torch.float32)
            hidden = self.encoder(
                input_ids=input_ids, attention_mask=attention_bias(weights)
            ).last_hidden_state
            if recipe.pooling == "cls":
                pooled = hidden[:, 0]
            else:
                kept = weights[:, :, None]
                pooled = (hidden * kept).sum(1) / kept.sum(1).clamp(min=1.0)
            return torch.nn.functional.normalize(pooled, dim=1)

    sentence = Sentence()
    sentence.train(mode=False)
    return sentence
