"""A picture of ratios: how many times as fast we are as each peer."""

from __future__ import annotations

import io
from collections.abc import Sequence

from benchmarks.comparison import Comparison

FASTER, SLOWER = "#2a7f62", "#b3382c"


def png(title: str, found: Sequence[Comparison]) -> bytes | None:
    """Bars on a logarithmic scale, the line at 1 where both are equal.

    Args:
        title: stands above the bars.
        found: those without a peer are left out.

    Returns:
        A PNG file; None if nothing has a peer.
    """
    from matplotlib.figure import Figure

    compared = [c for c in found if c.ratio is not None]
    if not compared:
        return None
    ratios = [c.ratio or 0.0 for c in compared]
    figure = Figure(
        figsize=(9, 1.3 + 0.42 * len(compared)), layout="constrained"
    )
    axes = figure.subplots()
    bars = axes.barh(
        range(len(compared)),
        [ratio - 1 for ratio in ratios],
        left=1,
        color=[FASTER if ratio >= 1 else SLOWER for ratio in ratios],
    )
    axes.bar_label(bars, [f" {ratio:.2f}x " for ratio in ratios], fontsize=8)
    axes.set_xscale("log")
    axes.set_xlim(min(0.5, *ratios) / 1.5, max(2.0, *ratios) * 2)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(
        range(len(compared)),
        [f"{c.what}\nagainst {c.peer}" for c in compared],
        fontsize=8,
    )
    axes.invert_yaxis()
    axes.set_xlabel("the peer's by ours; above 1 we need less")
    axes.set_title(title, fontsize=10)
    axes.grid(visible=True, axis="x", alpha=0.3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90, metadata={"Software": None})
    return buffer.getvalue()
