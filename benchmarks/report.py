"""What a run leaves in benchmarks/results: numbers, a table, a picture."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path

from benchmarks.comparison import Comparison, cells
from benchmarks.plot import png


def write(
    directory: Path,
    name: str,
    found: Sequence[Comparison],
    notes: Sequence[str] = (),
) -> None:
    """Write NAME.json, NAME.md and, where there were peers, NAME.png."""
    directory.mkdir(parents=True, exist_ok=True)
    data = [comparison.to_dict() for comparison in found]
    path = directory / f"{name}.json"
    path.write_text(json.dumps(data, indent=2) + "\n")
    picture = png(f"{name}, ours against peers", found)
    image = directory / f"{name}.png"
    if picture is None:
        image.unlink(missing_ok=True)
    else:
        image.write_bytes(picture)
    text = markdown(name, found, conditions(), picture=picture is not None)
    more = "".join(f"\n{note}\n" for note in notes)
    (directory / f"{name}.md").write_text(text + more)


def markdown(
    name: str, found: Sequence[Comparison], where: str, *, picture: bool
) -> str:
    """The table as a page, with the picture below it."""
    header, *rows = cells(found)
    lines = [header, ("---",) * len(header), *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    image = f"\n![{name}]({name}.png)\n" if picture else ""
    return (
        f"# {name}\n\nWritten by `make bench`: {where}. How it was measured "
        f"stands in\n[bench_{name}.py](../bench_{name}.py). The ratio is the "
        f"peer's by ours.\n\n{table}\n{image}"
    )


def conditions() -> str:
    """The machine, and how busy it is."""
    return (
        f"{_processor()}, {os.cpu_count()} processors, Python "
        f"{platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    )


def _processor() -> str:
    """The processor's name on Linux, its architecture elsewhere."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.machine()
