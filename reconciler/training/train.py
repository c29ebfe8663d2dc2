"""The train stage: from a data set and a start to a model directory."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from reconciler.corpus import render_text
from reconciler.runs.progress import Reporter
from reconciler.runs.protocol import Request, Result, RunDirectory
from reconciler.runs.worker import InvalidRequestError, parameters
from reconciler.training import network
from reconciler.training.dataset import (
    COMPLETION,
    PREFERENCE,
    TRAIN,
    Rows,
    read_rows,
    require_digest,
    rows_with_room,
)
from reconciler.training.parameters import TrainParameters
from reconciler.training.stopping import DivergedError, StopRequest
from reconciler.training.tokenizer import load_tokenizer, train_tokenizer

PACKAGES = ("torch", "transformers", "tokenizers", "trl", "peft")


@dataclass(frozen=True)
class Trained:
    """A network after its last step."""

    model: Any
    tokenizer: Any
    metrics: dict[str, float]


def train(run: RunDirectory, request: Request) -> Result:
    """Train, and write ``output/model``.

    Raises:
        PreemptedError: asked to stop; the next attempt resumes.
        InvalidRequestError: the request or its inputs cannot work.
    """
    network.quieten()
    network.keep_memory()
    asked = parameters(request, TrainParameters)
    stop = StopRequest()
    stop.listen()
    started = time.monotonic()
    require_digest(asked.dataset, asked.dataset_digest)
    dpo = asked.algorithm == "DPO"
    rows = read_rows(asked.dataset / TRAIN, PREFERENCE if dpo else COMPLETION)
    if not rows.rows:
        msg = f"{asked.dataset / TRAIN} has nothing to learn from"
        raise InvalidRequestError(msg)
    read = len(rows.rows)
    if asked.parent is not None:
        rows = _with_room(rows, asked.parent, asked.training.max_length)
    reporter = Reporter(run, asked.training.steps)
    network.seed_everything(asked.seed, asked.training.threads)
    fit = _dpo if dpo else _sft
    try:
        trained = fit(run, asked, rows, reporter, stop)
    except DivergedError as error:
        return Result(phase="Failed", message=f"diverged: {error}")
    target = run.output / "model"
    shutil.rmtree(target, ignore_errors=True)
    model = network.merged(trained.model)
    network.write_model(model, trained.tokenizer, target)
    result = _result(asked, rows, trained, time.monotonic() - started)
    facts = {**result.facts, "rowsWithoutRoom": read - len(rows.rows)}
    return result.model_copy(update={"facts": facts})


def _with_room(rows: Rows, parent: Path, longest: int) -> Rows:
    """The rows that have something to learn left when they are cut.

    A batch of questions that fill all of ``maxLength`` has no loss at all.
    """
    tokenizer = load_tokenizer(parent)
    kept = rows_with_room(
        rows.rows,
        lambda prompt: len(tokenizer.encode(render_text(prompt)).ids),
        longest,
    )
    return replace(rows, rows=kept)


def _sft(
    run: RunDirectory,
    asked: TrainParameters,
    rows: Rows,
    reporter: Reporter,
    stop: StopRequest,
) -> Trained:
    from reconciler.training.sft import Loop, encode

    model, tokenizer = _start(asked, rows)
    if asked.training.lora is not None:
        from peft import get_peft_model

        model = get_peft_model(model, network.lora_config(asked.training.lora))
    examples = encode(tokenizer, rows.rows, asked.training.max_length)
    loop = Loop(
        model=model,
        examples=examples,
        schedule=asked.training,
        seed=asked.seed,
        whole_text=asked.parent is None,
        directory=run.checkpoints,
        reporter=reporter,
        stop=stop,
    )
    return Trained(model, tokenizer, loop.run())


def _start(asked: TrainParameters, rows: Rows) -> tuple[Any, Any]:
    """The network before its first step, and its tokenizer."""
    if asked.parent is not None:
        return network.load(asked.parent), load_tokenizer(asked.parent)
    if asked.architecture is None:
        msg = "there is neither a parent nor an architecture"
        raise InvalidRequestError(msg)
    tokenizer = train_tokenizer(
        (render_text(r["prompt"]) + r["completion"] for r in rows.rows),
        asked.architecture.vocabulary_size,
    )
    size = tokenizer.get_vocab_size()
    return network.build(asked.architecture, size), tokenizer


def _dpo(
    run: RunDirectory,
    asked: TrainParameters,
    rows: Rows,
    reporter: Reporter,
    stop: StopRequest,
) -> Trained:
    from transformers import AutoTokenizer

    from reconciler.training.dpo import train_dpo

    if asked.parent is None:
        msg = "DPO needs a parent"
        raise InvalidRequestError(msg)
    model, metrics = train_dpo(
        network.load(asked.parent),
        AutoTokenizer.from_pretrained(asked.parent, local_files_only=True),
        list(rows.rows),
        asked.training,
        asked.seed,
        run.checkpoints,
        reporter,
        stop,
    )
    return Trained(model, load_tokenizer(asked.parent), metrics)


def _result(
    asked: TrainParameters, rows: Rows, trained: Trained, seconds: float
) -> Result:
    model = trained.model
    return Result(
        phase="Succeeded",
        outputs={"model": "output/model"},
        metrics=trained.metrics,
        facts={
            "algorithm": asked.algorithm,
            "datasetDigest": asked.dataset_digest,
            "rows": len(rows.rows),
            "heldOutRowsLeftOut": rows.held_out,
            "parameters": sum(p.numel() for p in model.parameters()),
            "seed": asked.seed,
            "versions": {name: version(name) for name in PACKAGES},
        },
        seconds=round(seconds, 3),
    )
