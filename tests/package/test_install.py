"""An ordinary install: the wheel that a user builds, in a new place."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PRINT_PATH = """
import sys
sys.path.insert(0, sys.argv[1])
import reconciler._native
print(reconciler._native.__file__)
"""
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_wheel_has_the_kernels_and_nothing_else(tmp_path: Path) -> None:
    subprocess.run(
        [
            sys.executable,
            "-m",
            "uv",
            "build",
            "--wheel",
            "--no-build-isolation",
            "--offline",
            f"--config-setting=build-dir={tmp_path / 'build'}",
            "-q",
            "-o",
            str(tmp_path),
            str(ROOT),
        ],
        check=True,
        timeout=240,
        cwd=tmp_path,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert any(n.startswith("reconciler/_native") for n in names)
    assert "reconciler/cli/main.py" in names
    outside = {n.split("/")[0] for n in names} - {"reconciler"}
    assert all(n.endswith(".dist-info") for n in outside), outside
    target = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    done = subprocess.run(
        [
            sys.executable,
            "-S",
            "-c",
            PRINT_PATH,
            str(target),
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.strip().startswith(str(target))


def test_the_operator_does_not_need_the_heavy_packages() -> None:
    """A controller starts where torch, openvino and numpy are missing."""
    code = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {
            "torch", "openvino", "nncf", "transformers", "trl", "numpy",
            "peft", "datasets", "sacrebleu", "matplotlib",
        }:
            raise ModuleNotFoundError(name)
        return None

sys.meta_path.insert(0, Refuse())
import reconciler.cli.up, reconciler.cli.wiring, reconciler.engine.shell
import reconciler.cli.main as main
main.parser()
"""
    subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=60, cwd="/"
    )
