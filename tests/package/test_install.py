"""An ordinary install: the wheel that a user builds, in a new place."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PRINT_PATH = """
import openvino, reconciler._native, reconciler.serving.server
print(reconciler._native.__file__)
"""
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the first step of the Containerfile."""
    place = tmp_path_factory.mktemp("dist") / "dist"
    make("wheel", f"DIST={place}")
    (found,) = place.glob("*.whl")
    return found


def make(*arguments: str) -> None:
    done = subprocess.run(
        ["make", "-C", str(ROOT), f"PYTHON={sys.executable}", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_wheel_has_the_kernels_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert any(n.startswith("reconciler/_native") for n in names)
    assert "reconciler/cli/main.py" in names
    outside = {n.split("/")[0] for n in names} - {"reconciler"}
    assert all(n.endswith(".dist-info") for n in outside), outside


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_image_of_the_node_role_runs_as_it_is_installed(
    wheel: Path, tmp_path: Path
) -> None:
    prefix = tmp_path / "opt"
    make("runtime", f"DIST={wheel.parent}", "ROLE=node", f"PREFIX={prefix}")
    done = subprocess.run(
        [prefix / "bin/python", "-c", PRINT_PATH],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
    )
    assert done.stdout.strip().startswith(str(prefix))
    said = subprocess.run(
        [prefix / "bin/reconciler", "operator", "--roles", "nodes"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
    )
    assert said.returncode == 2
    assert "known are controller and node" in said.stderr


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
