from __future__ import annotations

from benchmarks.__main__ import modules
from benchmarks.comparison import Comparison, compare, table


def test_benchmarks_are_found_by_name() -> None:
    assert "bench_advantages" in modules()
    assert modules(["advan"]) == ["bench_advantages"]
    assert modules(["nothing-of-that-name"]) == []


def test_both_sides_run_equally_often_and_interleaved() -> None:
    calls: list[str] = []
    found = compare(
        "x", lambda: calls.append("a"), "p", lambda: calls.append("b"), 3
    )
    assert calls == ["a", "b"] * 4
    assert found.peer == "p"


def test_the_ratio_is_how_many_times_as_fast_we_are() -> None:
    found = Comparison("x", 0.5, "p", 2.0)
    assert found.ratio == 4.0
    assert "4.00x" in table([found])
