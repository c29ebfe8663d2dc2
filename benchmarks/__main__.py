"""``make bench``: run every ``bench_*`` module and print its ratios.

A benchmark module has ``run() -> Iterable[Comparison]``. It measures ours and
the peer interleaved in the same process, so that a busy machine slows both;
what is reported is the ratio of medians. No benchmark decides a test.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
from collections.abc import Iterable
from pathlib import Path

import benchmarks
from benchmarks.comparison import Comparison, table

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
    RESULTS.mkdir(exist_ok=True)
    for name in names:
        found: list[Comparison] = list(
            importlib.import_module(f"benchmarks.{name}").run()
        )
        print(f"\n{name.removeprefix('bench_')}\n{table(found)}")
        data = [comparison.to_dict() for comparison in found]
        path = RESULTS / f"{name.removeprefix('bench_')}.json"
        path.write_text(json.dumps(data, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
