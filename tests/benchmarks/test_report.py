from __future__ import annotations

import json
import re
from pathlib import Path

from benchmarks import report
from benchmarks.__main__ import RESULTS, modules
from benchmarks.comparison import Comparison
from benchmarks.plot import png

SIGNATURE = b"\x89PNG\r\n\x1a\n"
FOUND = [
    Comparison("quick", 0.5, "snail", 2.0),
    Comparison("slow", 4.0, "hare", 1.0),
    Comparison("alone", 1.0, "nobody", None, "MiB"),
]


def test_a_run_leaves_numbers_a_table_and_a_picture(tmp_path: Path) -> None:
    report.write(tmp_path / "new", "race", FOUND)
    left = tmp_path / "new"
    assert sorted(path.name for path in left.iterdir()) == [
        "race.json",
        "race.md",
        "race.png",
    ]
    numbers = json.loads((left / "race.json").read_text())
    assert [each["ratio"] for each in numbers] == [4.0, 0.25, None]
    page = (left / "race.md").read_text()
    assert "| quick | 500.000 ms | snail | 2000.000 ms | 4.00x |" in page
    assert "| alone | 1.0 MiB | nobody |  |  |" in page
    assert "![race](race.png)" in page
    assert re.search(r"\d+ processors, Python 3\.\d+", page)


def test_where_nothing_has_a_peer_there_is_no_picture(tmp_path: Path) -> None:
    report.write(tmp_path, "race", FOUND)
    report.write(tmp_path, "race", FOUND[2:])
    assert not (tmp_path / "race.png").exists()
    assert "race.png" not in (tmp_path / "race.md").read_text()


def test_the_picture_shows_each_comparison() -> None:
    one, two = png("race", FOUND[:1]), png("race", FOUND[:2])
    assert one is not None
    assert two is not None
    assert one.startswith(SIGNATURE)
    height = slice(20, 24)
    assert int.from_bytes(two[height]) > int.from_bytes(one[height])
    assert one != png("race", [Comparison("quick", 0.5, "snail", 1.0)])


def test_committed_results_are_those_of_benchmarks_that_exist() -> None:
    known = {name.removeprefix("bench_") for name in modules()}
    kept = {path.stem for path in RESULTS.glob("*.json")}
    assert kept <= known
    for name in kept:
        assert (RESULTS / f"{name}.md").exists()
