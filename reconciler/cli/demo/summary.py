"""What the demo leaves behind: summary.json, lineage.png, lineage.html."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from reconciler.engine import conditions
from reconciler.generations import lineage
from reconciler.generations.resource import ModelGeneration
from reconciler.runs.protocol import write_atomically

DIGEST_LENGTH = 8


@dataclass(frozen=True)
class Row:
    """One generation in the summary."""

    name: str
    phase: str
    algorithm: str
    score: float | None
    improvement: float | None
    ciLow: float | None  # noqa: N815 - the name in the JSON file
    ciHigh: float | None  # noqa: N815
    baseline: str | None
    gate: str | None
    device: str | None
    dataDigest: str | None  # noqa: N815
    artifactDigest: str | None  # noqa: N815
    trainSeconds: float | None  # noqa: N815


@dataclass(frozen=True)
class Summary:
    """The demo in numbers."""

    generations: tuple[Row, ...]
    rollback_seconds: float
    failed_requests: int
    requests: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "generations": [asdict(row) for row in self.generations],
            "rollbackSeconds": round(self.rollback_seconds, 2),
            "failedRequests": self.failed_requests,
            "requests": self.requests,
            "seconds": round(self.seconds, 1),
        }


def row(generation: ModelGeneration, phase: str, device: str | None) -> Row:
    """The row of a generation whose best phase was `phase`."""
    status, improvement = generation.status, generation.status.improvement
    served = status.promoted_at is not None
    return Row(
        name=generation.metadata.name,
        phase=phase,
        algorithm=generation.spec.algorithm,
        score=_number(improvement.score if improvement else None),
        improvement=_number(improvement.estimate if improvement else None),
        ciLow=_number(improvement.ci_low if improvement else None),
        ciHigh=_number(improvement.ci_high if improvement else None),
        baseline=improvement.baseline if improvement else None,
        gate=improvement.gate if improvement else None,
        device=device if served else None,
        dataDigest=status.data_digest,
        artifactDigest=status.artifact_digest,
        trainSeconds=_number(status.train_seconds),
    )


def phase_of(generation: ModelGeneration) -> str:
    """Promoted if it ever served, else the reason of Ready."""
    if generation.status.promoted_at is not None and conditions.is_true(
        generation.status.conditions, conditions.READY
    ):
        return "Promoted"
    return lineage.phase(generation)


def table(summary: Summary) -> Table:
    """The summary for a terminal."""
    shown = Table(title="Generations", title_justify="left")
    for name in (
        "Generation",
        "Algorithm",
        "Data",
        "Improvement (99 % interval)",
        "Gate",
        "Phase",
        "Device",
        "Train s",
    ):
        shown.add_column(name)
    for item in summary.generations:
        shown.add_row(
            item.name,
            item.algorithm,
            _short(item.dataDigest),
            _interval(item),
            item.gate or "",
            item.phase,
            item.device or "-",
            f"{item.trainSeconds or 0:.0f}",
        )
    return shown


def write(summary: Summary, directory: Path) -> Sequence[Path]:
    """Write the three files; returns their paths."""
    figure = _plot(summary)
    paths = [
        directory / "summary.json",
        directory / "lineage.png",
        directory / "lineage.html",
    ]
    text = json.dumps(summary.to_dict(), indent=2) + "\n"
    write_atomically(paths[0], text)
    paths[1].write_bytes(figure)
    write_atomically(paths[2], _page(summary, figure))
    return paths


def _short(digest: str | None) -> str:
    return (digest or "").removeprefix("sha256:")[:DIGEST_LENGTH]


def _interval(item: Row) -> str:
    if item.improvement is None or item.ciLow is None or item.ciHigh is None:
        return ""
    return f"{item.improvement:+.3f} ({item.ciLow:+.3f}, {item.ciHigh:+.3f})"


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)


def _plot(summary: Summary) -> bytes:
    from matplotlib.figure import Figure

    rows = [r for r in summary.generations if r.score is not None]
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.subplots()
    colours = {"Passed": "#2a7f62", "Failed": "#b3382c"}
    for index, item in enumerate(rows):
        _point(axes, index, item, colours.get(item.gate or "", "#777777"))
    axes.set_xticks(range(len(rows)), [f"{r.name}\n{r.phase}" for r in rows])
    axes.set_ylim(0, 1)
    axes.set_ylabel("house-style score, held-out questions")
    axes.set_title(
        "Generations: score, and the 99 % interval of the improvement\n"
        "over the baseline measured in the same run",
        fontsize=10,
    )
    axes.grid(visible=True, axis="y", alpha=0.3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()


def _point(axes: Any, index: int, item: Row, colour: str) -> None:
    score = item.score or 0.0
    baseline = score - (item.improvement or 0.0)
    low = baseline + (item.ciLow or 0.0)
    high = baseline + (item.ciHigh or 0.0)
    axes.plot([index - 0.2, index + 0.2], [baseline] * 2, ":", color="#777777")
    axes.errorbar(
        [index],
        [score],
        yerr=[[max(score - low, 0)], [max(high - score, 0)]],
        fmt="o",
        color=colour,
        capsize=5,
    )
    axes.annotate(
        f"{item.algorithm} {item.improvement or 0:+.3f}",
        (index, score),
        xytext=(10, 4),
        textcoords="offset points",
        fontsize=8,
    )


def _page(summary: Summary, figure: bytes) -> str:
    cells = "".join(
        "<tr>"
        + "".join(
            f"<td>{html.escape(value)}</td>"
            for value in (
                r.name,
                r.algorithm,
                _interval(r),
                r.gate or "",
                r.phase,
                r.dataDigest or "",
                r.artifactDigest or "",
            )
        )
        + "</tr>"
        for r in summary.generations
    )
    image = base64.b64encode(figure).decode()
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Lineage</title>
<style>body{{font:15px system-ui;margin:2em auto;max-width:70em}}
td,th{{padding:.3em .8em;text-align:left;border-bottom:1px solid #ddd}}
td{{overflow-wrap:anywhere}}img{{max-width:100%}}</style>
<h1>Lineage of docs-assistant</h1>
<p>The score is a stated rule over generated answers to held-out questions:
the share of five checks of form that an answer keeps. It says nothing about
truth. Dotted lines are baselines measured in the same run.</p>
<img alt="Scores by generation" src="data:image/png;base64,{image}">
<table><tr><th>Generation<th>Algorithm<th>Improvement (99 % interval)<th>Gate
<th>Phase<th>Data<th>Artifact</tr>{cells}</table>
<p>Rollback by <code>git revert</code>: {summary.rollback_seconds:.1f} s.
Requests during all of it: {summary.requests}, failed:
{summary.failed_requests}.</p>
</html>
"""
