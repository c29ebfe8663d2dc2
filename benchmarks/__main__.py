"""``make bench``: run every ``bench_*`` module and print its ratios.

A benchmark module has ``run() -> Iterable[Comparison]``, and may have
``notes() -> Iterable[str]`` on its data. It measures ours and the peer
interleaved in the same process, so that a busy machine slows both; what is
reported is the ratio of medians. No benchmark decides a test.
Numbers, table and picture of each stay in ``benchmarks/results/``.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Iterable
from pathlib import Path

import benchmarks
from benchmarks.comparison import Comparison, table
from benchmarks.report import write

RESULTS = Path(__file__).parent / "results"


def modules(wanted: Iterable[str] = ()) -> list[str]:
    """Names of the benchmark modules, all or those that contain a word."""
    words = list(wanted)
    names = [
        module.name
        for module in pkgutil.iter_modules(benchmarks.__path__)
        if module.name.startswith("bench_")
    ]
    if not words:
        return sorted(names)
    return sorted(n for n in names if any(word in n for word in words))


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument(
        "words", nargs="*", help="run only what contains these"
    )
    names = modules(parser.parse_args().words)
    if not names:
        print("no benchmark of that name; there are:", ", ".join(modules()))
        return 2
    for name in names:
        module = importlib.import_module(f"benchmarks.{name}")
        found: list[Comparison] = list(module.run())
        notes = list(module.notes()) if hasattr(module, "notes") else []
        short = name.removeprefix("bench_")
        print("\n".join(["", short, table(found), *notes]))
        write(RESULTS, short, found, notes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
