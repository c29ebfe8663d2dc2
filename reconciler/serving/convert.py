"""The convert stage: quantise, compare with the original, or refuse."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from reconciler import telemetry
from reconciler.artifacts.tree import digest_of
from reconciler.engine.resource import Part
from reconciler.runs.progress import Reporter
from reconciler.runs.protocol import Request, Result, RunDirectory
from reconciler.runs.worker import InvalidRequestError, parameters
from reconciler.serving.bundle import (
    CONFIG_FILES,
    GRAPH,
    TOKENIZER,
    Canary,
    Manifest,
    end_tokens,
    read_bundle,
    read_json,
    write_manifest,
)
from reconciler.serving.canary import run_probe
from reconciler.serving.fidelity import Tolerance, check
from reconciler.serving.probe import Question, Score, mean
from reconciler.serving.sampling import log_likelihood
from reconciler.serving.texts import CANARY_TEXT, texts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PROBE_SECONDS = 300.0
_TOOLS = ("openvino", "nncf", "torch", "transformers", "tokenizers")
_STEPS = 4


class ConvertParameters(Part):
    """Parameters of the request."""

    stage: Literal["convert"]
    model: Path
    """Directory of the unquantised model."""

    precision: Literal["INT8"] = "INT8"
    device: str = Field(default="CPU", pattern=r"^[A-Z]+(\.[0-9]+)?$")
    min_top1_agreement: float = Field(default=0.95, ge=0, le=1)
    max_perplexity_change: float = Field(default=0.02, ge=0)
    calibration: Path | None = None
    """Dataset directory whose texts are used for the comparison."""


def convert(run: RunDirectory, request: Request) -> Result:
    """Worker of the stage; leaves ``output/ir``.

    Raises:
        InvalidRequestError: the parameters or the model cannot be used.
    """
    wanted = parameters(request, ConvertParameters)
    for name in ("config.json", TOKENIZER):
        if not (wanted.model / name).is_file():
            msg = (
                f"{wanted.model} is not a Hugging Face model directory: "
                f"it has no {name}"
            )
            raise InvalidRequestError(msg)
    reporter = Reporter(run, max_steps=_STEPS)
    directory = run.output / "ir"
    shutil.rmtree(directory, ignore_errors=True)  # an earlier attempt's
    directory.mkdir(parents=True)
    telemetry.refuse()
    from reconciler.serving.export import load_reference

    model = load_reference(wanted.model)
    reporter.report(1, {})
    manifest = build(model, wanted, directory)
    reporter.report(2, {})
    sequences = _sequences(directory, manifest, wanted.calibration)
    reference = [_reference_score(model, tokens) for tokens in sequences]
    reporter.report(3, {})
    result = _validated(directory, manifest, sequences, reference, wanted)
    reporter.report(_STEPS, result.metrics)
    return result


def build(model: Any, wanted: ConvertParameters, directory: Path) -> Manifest:
    """Write the graph, the quantised weights and what goes with them."""
    for name in (TOKENIZER, *CONFIG_FILES):
        if (wanted.model / name).exists():
            shutil.copyfile(wanted.model / name, directory / name)
    _write_graph(model, directory)
    config = read_json(directory / "config.json")
    generation = read_json(directory / "generation_config.json")
    manifest = Manifest(
        precision="INT8_ASYM",
        device=wanted.device,
        context_length=config["max_position_embeddings"],
        vocabulary_size=config["vocab_size"],
        end_tokens=end_tokens(config, generation),
        source=digest_of(wanted.model),
        versions={tool: version(tool) for tool in _TOOLS},
        files={},
    )
    write_manifest(directory, manifest)
    return manifest


def _write_graph(model: Any, directory: Path) -> None:
    import nncf
    import openvino

    from reconciler.serving.export import export
    from reconciler.serving.stateful import canonical, make_stateful

    graph = export(model)
    make_stateful(graph)
    mode = nncf.CompressWeightsMode.INT8_ASYM
    graph = nncf.compress_weights(graph, mode=mode)
    canonical(graph)
    openvino.save_model(graph, directory / GRAPH, compress_to_fp16=False)


def _sequences(
    directory: Path, manifest: Manifest, calibration: Path | None
) -> list[tuple[int, ...]]:
    """Token sequences to compare on: the canary, then the texts."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(directory / TOKENIZER))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    try:
        found = [CANARY_TEXT, *texts(calibration)]
    except (OSError, ValueError) as error:
        msg = f"calibration: {error}"
        raise InvalidRequestError(msg) from error
    longest = manifest.context_length
    encoded = [tuple(tokenizer.encode(t).ids)[:longest] for t in found]
    return [tokens for tokens in encoded if len(tokens) > 1]


def _reference_score(model: Any, tokens: Sequence[int]) -> Score:
    """How the unquantised model reads a sequence."""
    import torch

    with torch.inference_mode():
        output = model(torch.tensor([tokens]))
    logits: NDArray[np.float32] = output.logits[0, :-1].numpy()
    following: NDArray[np.int64] = torch.tensor(tokens[1:]).numpy()
    losses = -log_likelihood(logits, following)
    top = logits.argmax(axis=-1)
    return Score(top=tuple(top.tolist()), losses=tuple(losses.tolist()))


def _sweep_text(
    sequences: Sequence[Sequence[int]], longest: int
) -> tuple[int, ...]:
    """One sequence as long as the context, strung from the texts."""
    joined = [token for sequence in sequences for token in sequence]
    copies = -(-longest // len(joined))
    return tuple((joined * copies)[: min(longest, 512)])


def _validated(
    directory: Path,
    manifest: Manifest,
    sequences: Sequence[tuple[int, ...]],
    reference: Sequence[Score],
    wanted: ConvertParameters,
) -> Result:
    """Try the bundle in a child process and judge it."""
    question = Question(
        directory=str(directory),
        device=wanted.device,
        sequences=tuple(sequences),
        sweep=_sweep_text(sequences, manifest.context_length),
    )
    report = asyncio.run(run_probe(question, PROBE_SECONDS))
    tolerance = Tolerance(
        wanted.min_top1_agreement, wanted.max_perplexity_change
    )
    problem, fidelity = check(reference, report, tolerance)
    facts = {} if fidelity is None else fidelity.facts()
    evidence: dict[str, Any] = {
        "fidelity": facts,
        "precision": manifest.precision,
        "precisionHint": manifest.precision_hint,
        "device": wanted.device,
        "source": manifest.source,
        "versions": manifest.versions,
    }
    metrics = {name: float(value) for name, value in facts.items()}
    if problem:
        message = f"The quantised model may not serve: {problem}."
        return Result(
            phase="Failed", message=message, metrics=metrics, facts=evidence
        )
    # Rounded, so that the last bits of a sum do not change the digest.
    canary = Canary(
        text=CANARY_TEXT,
        tokens=sequences[0],
        mean_loss=round(mean(report.scores[0].losses), 2),
    )
    final = manifest.model_copy(update={"canary": canary})
    write_manifest(directory, final)
    read_bundle(directory)
    return Result(
        phase="Succeeded",
        message=f"{manifest.precision} on {wanted.device}",
        outputs={"model": "output/ir"},
        metrics=metrics,
        facts=evidence,
    )
