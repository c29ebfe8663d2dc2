"""A sentence-transformers directory as an OpenVINO graph.

The graph reads tokens and their mask and gives normalised rows: pooling is
part of it. It is written once for each content of the directory, and only if
its vectors are those of the original.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from typing_extensions import override

from reconciler import telemetry
from reconciler.artifacts import ArtifactError, digest_of
from reconciler.artifacts.copying import remove_tree
from reconciler.retrieval.embedder import EmbedderError

GRAPH = "model.xml"
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


def read_json(directory: Path, name: str, missing: Any) -> Any:
    """A JSON file of a model; `missing` if there is none and that is no None.

    Raises:
        EmbedderError: it cannot be read, or is of another type.
    """
    path = directory / name
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        if missing is None:
            msg = f"{path}: the file is missing"
            raise EmbedderError(msg) from error
        return missing
    except (OSError, ValueError) as error:
        msg = f"{path}: {error}"
        raise EmbedderError(msg) from error
    if missing is not None and type(found) is not type(missing):
        msg = f"{path}: not a JSON {type(missing).__name__}"
        raise EmbedderError(msg)
    return found


def converted(recipe: Recipe, cache: Path) -> Path:
    """The directory of the graph; converts at the first call.

    Needs torch and transformers for that, never afterwards.

    Raises:
        EmbedderError: the weights cannot be read, or the graph would give
            other vectors.
    """
    home = cache / recipe.digest.replace(":", "-")
    if (home / GRAPH).is_file():
        return home
    cache.mkdir(parents=True, exist_ok=True)
    staging = cache / f".{home.name}"
    if staging.exists():
        remove_tree(staging)
    staging.mkdir()
    _convert(recipe, staging / GRAPH)
    staging.rename(home)
    return home


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

    tokenizer = load_tokenizer(recipe)
    tokenizer.enable_padding()
    rows = tokenizer.encode_batch(list(_PROOF))
    ids = np.array([row.ids for row in rows], np.int64)
    return ids, np.array([row.attention_mask for row in rows], np.int64)


def load_tokenizer(recipe: Recipe) -> Any:
    """The tokenizer, cutting texts at what the model reads."""
    from tokenizers import Tokenizer

    path = recipe.directory / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the binding raises plain Exception
        msg = f"{path}: {error}"
        raise EmbedderError(msg) from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(recipe.tokens)
    return tokenizer


def compile_graph(path: Path, device: str, *, bulk: bool = False) -> Any:
    """The graph on a device, in float32.

    Raises:
        EmbedderError: no such device, or the files are damaged.
    """
    telemetry.refuse_if_early()
    import openvino

    options = {
        # bfloat16 was measured to give wrong vectors at some lengths.
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "THROUGHPUT" if bulk else "LATENCY",
    }
    if device == "CPU":
        options["ENABLE_CPU_PINNING"] = "NO"
    try:
        return openvino.Core().compile_model(path, device, options)
    except RuntimeError as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        msg = f"{path} on {device}: {lines[-1].strip()}"
        raise EmbedderError(msg) from error


def _module(recipe: Recipe) -> Any:
    """The original with pooling and normalisation, in torch."""
    import torch
    from transformers import AutoModel
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        encoder = AutoModel.from_pretrained(
            recipe.directory,
            dtype=torch.float32,
            attn_implementation="sdpa",
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
        )
    except (OSError, ValueError) as error:
        msg = f"{recipe.directory}: {error}"
        raise EmbedderError(msg) from error

    class Sentence(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder

        @override
        def forward(
            self, input_ids: torch.Tensor, attention_mask: torch.Tensor
        ) -> torch.Tensor:
            # Four dimensions: the mask code of transformers depends on
            # Python control flow, which a trace freezes.
            weights = attention_mask.to(torch.float32)
            bias = (1.0 - weights)[:, None, None, :] * -3.4e38
            hidden = self.encoder(
                input_ids=input_ids, attention_mask=bias
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
