from __future__ import annotations

import os
import subprocess
import sys

import pytest

_native = pytest.importorskip(
    "reconciler._native", reason="installed without a C++ compiler"
)


def isa_of_a_process(level: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "from reconciler import _native; print(_native.isa())",
        ],
        env={**os.environ, "RECONCILER_ISA": level},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_portable_level_is_always_there() -> None:
    assert _native.isa_levels()[0] == "portable"
    assert _native.isa() in _native.isa_levels()


@pytest.mark.parametrize("level", _native.isa_levels())
def test_the_environment_forces_a_level(level) -> None:
    assert isa_of_a_process(level).stdout.strip() == level


def test_a_level_that_is_not_there_is_refused() -> None:
    process = isa_of_a_process("sse9")
    assert process.returncode != 0
    assert "RECONCILER_ISA=sse9" in process.stderr
    with pytest.raises(ValueError, match="sse9"):
        _native.use_isa("sse9")
