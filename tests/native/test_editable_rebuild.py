"""An editable install answers from the C++ sources as they are now."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

pytest.importorskip(
    "reconciler._native", reason="installed without a C++ compiler"
)
ROOT = Path(__file__).parents[2]
SOURCES = ("CMakeLists.txt", "LICENSE", "README.md", "pyproject.toml")


def run(*command, **environment) -> str:
    scripts = Path(sys.executable).parent
    done = subprocess.run(
        command,
        env={
            **os.environ,
            "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
            "PYTHONSAFEPATH": "1",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def checkout(tmp_path) -> Path:
    """The sources, without what was built of them."""
    place = tmp_path / "checkout"
    place.mkdir()
    for name in SOURCES:
        shutil.copy(ROOT / name, place)
    for name in ("native", "reconciler"):
        shutil.copytree(
            ROOT / name,
            place / name,
            ignore=shutil.ignore_patterns("__pycache__", "*.so"),
        )
    return place


@pytest.fixture
def python(tmp_path) -> str:
    """An interpreter that borrows every other package."""
    place = tmp_path / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", str(place))
    (site,) = place.glob("lib/python*/site-packages")
    # A .pth file in a borrowed directory is not read, so that the editable
    # install that runs this test stays out of sight.
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    return str(place / "bin" / "python")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_edited_source_is_built_at_the_next_import(
    checkout, python
) -> None:
    uv = shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is None:
        pytest.skip("uv is not beside the interpreter")
    run(
        *(uv, "pip", "install", "-q", "--offline", "--python", python),
        *("--no-deps", "--no-build-isolation", "-e", str(checkout)),
    )
    ask = "from reconciler import _native; print(_native.isa_levels()[0])"
    assert run(python, "-c", ask).strip() == "portable"
    source = checkout / "native/src/isa_portable.cpp"
    text = source.read_text()
    assert text.count('"portable"') == 1
    source.write_text(text.replace('"portable"', '"rebuilt"'))
    assert run(python, "-c", ask).strip() == "rebuilt"
