"""What a promotion says for itself in Git."""

from __future__ import annotations

from reconciler.cli.wiring import evidence
from reconciler.generations.resource import (
    ModelGeneration,
    ModelGenerationStatus,
)

STATUS = {
    "improvement": {
        "metric": "house-style",
        "baseline": "docs-1",
        "baselineScore": "0.62",
        "score": "0.81",
        "estimate": "0.19",
        "ciLow": "0.15",
        "ciHigh": "0.23",
        "samples": 400,
        "gate": "Passed",
        "guardrails": [{"name": "chrf", "value": "0.01"}],
        "reportDigest": "sha256:report",
    },
    "dataDigest": "sha256:data",
}


def test_the_evidence_is_numbers_and_digests() -> None:
    spec = {
        "algorithm": "SFT",
        "data": {"corpus": {"name": "python-docstrings"}},
        "modelRef": {"name": "docs"},
        "suiteRef": {"name": "suite"},
        "number": 1,
        "architecture": {},
    }
    meta = {"name": "docs-2", "namespace": "default"}
    found = ModelGeneration.parse(
        {"metadata": meta, "spec": spec, "status": STATUS}
    )
    judged, *rest = evidence(found)
    assert judged == (
        "house-style: 0.81 against 0.62 of docs-1, improvement 0.19 "
        "(0.15 to 0.23), 400 questions, gate Passed"
    )
    assert rest == [
        "guardrail chrf: 0.01",
        "report: sha256:report",
        "data: sha256:data",
    ]
    unjudged = found.model_copy(update={"status": ModelGenerationStatus()})
    assert evidence(unjudged) == ()
