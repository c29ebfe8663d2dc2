"""Models as OpenVINO graphs: written once for a content, put on a device."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reconciler import telemetry
from reconciler.artifacts.copying import remove_tree
from reconciler.retrieval.embedder import EmbedderError
from reconciler.runs import lock

GRAPH = "model.xml"
WAIT_SECONDS = 900.0
"""For another process that is writing the same graph."""


def kept_graph(
    cache: Path, digest: str, write: Callable[[Path], None]
) -> Path:
    """The directory of a graph; has it written at the first call.

    One process writes, others wait for it. What was cut short is written
    anew.

    Args:
        cache: where graphs are kept.
        digest: of what it is made from.
        write: writes into an empty directory; what it raises is raised, and
            nothing is kept.

    Raises:
        EmbedderError: another process did not get it written in time.
    """
    home = cache / digest.replace(":", "-")
    if (home / GRAPH).is_file():
        return home
    cache.mkdir(parents=True, exist_ok=True)
    handle = lock.acquire(cache / f".{home.name}.lock", WAIT_SECONDS)
    if handle is None:
        msg = (
            f"{home}: another process has been writing this graph for "
            f"{WAIT_SECONDS:.0f} s"
        )
        raise EmbedderError(msg)
    try:
        if not (home / GRAPH).is_file():
            _write(home, cache / f".{home.name}", write)
    finally:
        os.close(handle)
    return home


def _write(home: Path, staging: Path, write: Callable[[Path], None]) -> None:
    for stale in (staging, home):
        if stale.exists():
            remove_tree(stale)
    staging.mkdir()
    write(staging)
    for path in staging.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    staging.rename(home)


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


def load_tokenizer(directory: Path, tokens: int) -> Any:
    """The tokenizer of a model, cutting texts at `tokens`; pads nothing.

    Raises:
        EmbedderError: it cannot be read.
    """
    from tokenizers import Tokenizer

    path = directory / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the binding raises plain Exception
        msg = f"{path}: {error}"
        raise EmbedderError(msg) from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(tokens)
    return tokenizer


def legible(text: str) -> str:
    """Text that UTF-8, and so a tokenizer, can hold."""
    return text.encode("utf-8", "replace").decode()


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


def load_weights(kind: Any, directory: Path) -> Any:
    """A model in torch, from files that hold numbers only.

    Args:
        kind: an `AutoModel` of transformers.
        directory: the model.

    Raises:
        EmbedderError: it cannot be read.
    """
    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        return kind.from_pretrained(
            directory,
            dtype=torch.float32,
            attn_implementation="sdpa",
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
        )
    except (OSError, ValueError) as error:
        msg = f"{directory}: {error}"
        raise EmbedderError(msg) from error


def attention_bias(weights: Any) -> Any:
    """A mask of shape (texts, tokens) as transformers adds it, in torch.

    Four dimensions: the mask code of transformers depends on Python control
    flow, which a trace freezes.
    """
    return (1.0 - weights)[:, None, None, :] * -3.4e38
