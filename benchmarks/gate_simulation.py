"""Print how often the gate promotes, beside the plain 5 % rule.

    python benchmarks/gate_simulation.py [pairs]

The table in docs/evaluationsuite.md is this output.
"""

from __future__ import annotations

import sys
import time

from reconciler.evaluation.simulation import Cell, Scores, simulate

QUESTIONS = (50, 100, 200, 400, 800)
LIFTS = (0.0, 0.025, 0.05, 0.10)
SCORES: tuple[Scores, ...] = ("continuous", "fifths", "binary")


def main(pairs: int) -> None:
    """Print one table per kind of score."""
    began = time.process_time()
    for scores in SCORES:
        print(f"\n{scores} scores, {pairs} pairs per cell, in %:\n")
        lifts = " | ".join(f"{lift:.1%}" for lift in LIFTS)
        print(f"| questions | rule | {lifts} |")
        print("|---" * (2 + len(LIFTS)) + "|")
        for n in QUESTIONS:
            rates = [simulate(Cell(scores, n, lift), pairs) for lift in LIFTS]
            gate = " | ".join(f"{100 * r.gate:.1f}" for r in rates)
            plain = " | ".join(f"{100 * r.plain:.1f}" for r in rates)
            print(f"| {n} | gate | {gate} |")
            print(f"| {n} | 5 % better | {plain} |")
    print(f"\n{time.process_time() - began:.0f} CPU seconds")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4000)
