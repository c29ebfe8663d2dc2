"""The evaluate run: candidate and baseline answer the same questions.

Both are asked in the same process, one after the other, so that nothing but
the networks differs. The run keeps no checkpoints: it is a minute of work,
gives the same bytes each time, and may be started again at any moment.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from reconciler.corpus import Example, python_docstrings
from reconciler.evaluation import questions, report
from reconciler.evaluation.answers import Answers, Contestant, table
from reconciler.evaluation.gate import Judgement, judge
from reconciler.evaluation.generate import DecodingSettings
from reconciler.evaluation.metrics import metric
from reconciler.evaluation.network_config import NetworkError
from reconciler.evaluation.plan import problems
from reconciler.evaluation.report import Questions, Report
from reconciler.evaluation.resource import EvaluationSuiteSpec
from reconciler.runs.progress import Reporter
from reconciler.runs.protocol import (
    Request,
    Result,
    RunDirectory,
    write_atomically,
)
from reconciler.runs.worker import InvalidRequestError, parameters

SOFTWARE = ("reconciler", "torch", "numpy", "tokenizers", "sacrebleu")


class Parameters(BaseModel):
    """Parameters of an evaluate request."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
    )

    candidate: Path
    """Directory of the model to judge."""

    candidate_name: str
    baseline: Path | None
    """Directory of the model to beat; None: the untrained candidate."""

    baseline_name: str
    suite: EvaluationSuiteSpec
    seed: int


def evaluate(run: RunDirectory, request: Request) -> Result:
    """Judge a candidate; the worker of ``reconciler.evaluation``.

    A candidate that fails its gate is a run that succeeded.

    Raises:
        InvalidRequestError: the request can never be carried out.
    """
    import torch

    wanted = parameters(request, Parameters)
    wrong = problems(wanted.suite)
    if wrong:
        raise InvalidRequestError("; ".join(wrong))
    torch.set_num_threads(request.threads)
    asked = questions.sample(python_docstrings(), wanted.suite.data.samples)
    try:
        baseline, candidate = _ask_both(run, wanted, asked)
    except NetworkError as error:
        return Result(phase="Failed", message=str(error))
    return _conclude(run, wanted, asked, baseline, candidate)


def _ask_both(
    run: RunDirectory, wanted: Parameters, asked: Sequence[Example]
) -> tuple[Answers, Answers]:
    new = Contestant.load(wanted.candidate_name, wanted.candidate)
    old = (
        Contestant.load(wanted.baseline_name, wanted.baseline)
        if wanted.baseline
        else new.untrained(wanted.baseline_name, wanted.seed)
    )
    reporter = Reporter(run, max_steps=2 * len(asked))
    settings, done = _settings(wanted), 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        reporter.report(done, {})

    return (
        old.answer(asked, settings, advance),
        new.answer(asked, settings, advance),
    )


def _settings(wanted: Parameters) -> DecodingSettings:
    decoding = wanted.suite.decoding
    return DecodingSettings(
        max_new_tokens=decoding.max_new_tokens,
        temperature=float(decoding.temperature),
        seed=wanted.seed,
    )


def _conclude(
    run: RunDirectory,
    wanted: Parameters,
    asked: Sequence[Example],
    baseline: Answers,
    candidate: Answers,
) -> Result:
    suite = wanted.suite
    rails = [rail.name for rail in suite.guardrails]
    names = list(dict.fromkeys([suite.primary.name, *rails]))
    old = baseline.scores(asked, names)
    new = candidate.scores(asked, names)
    digest = questions.digest_of(asked)
    identity = "\x1f".join(
        [digest, wanted.candidate_name, wanted.baseline_name, str(wanted.seed)]
    )
    judgement = judge(suite, old, new, identity)
    trouble = [a.trouble for a in (baseline, candidate) if a.trouble]
    found = _report(wanted, judgement, names, digest, trouble)
    run.output.mkdir(exist_ok=True)
    text = table(asked, (baseline, old), (candidate, new))
    write_atomically(run.output / "answers.jsonl", text)
    write_atomically(run.output / "report.md", found.to_markdown())
    data = found.to_json()
    write_atomically(run.output / "report.json", data)
    return Result(
        phase="Succeeded",
        message=f"{found.gate}: {found.message}",
        outputs={
            "report": "output/report.json",
            "summary": "output/report.md",
            "answers": "output/answers.jsonl",
        },
        metrics=_metrics(found),
        facts={
            "report": found.model_dump(mode="json", by_alias=True),
            "reportDigest": f"sha256:{sha256(data.encode()).hexdigest()}",
        },
    )


def _report(
    wanted: Parameters,
    judgement: Judgement,
    names: Sequence[str],
    digest: str,
    trouble: Sequence[str],
) -> Report:
    suite, gate = wanted.suite, wanted.suite.gate
    primary = judgement.primary
    numbers: dict[str, Any] = report.compared(primary) if primary else {}
    return Report(
        primary=suite.primary.name,
        candidate=wanted.candidate_name,
        baseline=wanted.baseline_name,
        samples=judgement.samples,
        gate=judgement.verdict,
        message="; ".join([*trouble, judgement.message]),
        guardrails=report.guardrails(judgement),
        alpha=float(gate.alpha),
        min_improvement=float(gate.min_improvement),
        min_samples=gate.min_samples,
        resamples=gate.resamples,
        meaning=metric(suite.primary.name).description,
        method=report.method(float(gate.alpha), gate.resamples),
        decoding=_settings(wanted).describe(),
        questions=Questions(
            corpus=suite.data.corpus,
            split="heldout",
            samples=judgement.samples,
            digest=digest,
        ),
        seed=wanted.seed,
        versions=_versions(names),
        **numbers,
        **report.effects(primary),
    )


def _versions(names: Sequence[str]) -> dict[str, str]:
    metrics = {name: metric(name).version() for name in names}
    software = {name: _version(name) for name in SOFTWARE}
    return metrics | software | {"python": platform.python_version()}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"  # run from a source tree


def _metrics(found: Report) -> dict[str, float]:
    """The report's headline numbers, for status and progress displays."""
    numbers = {
        "score": found.score,
        "baselineScore": found.baseline_score,
        "estimate": found.estimate,
        "ciLow": found.ci_low,
        "ciHigh": found.ci_high,
        "samples": found.samples,
    }
    return {k: float(v) for k, v in numbers.items() if v is not None}
