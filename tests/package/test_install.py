"""An ordinary install: what a user builds from the sdist, in a new place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

PRINT_PATH = """
import openvino, reconciler._native, reconciler.serving.server
print(reconciler._native.__file__)
"""
ROOT = Path(__file__).resolve().parents[2]


ANSWERS = """
import json
import sys
import numpy as np
from reconciler import kernels
from reconciler.feedback.reward_table import RewardTable
from reconciler.retrieval import ExactIndex, hashed_features
from reconciler.training import gae

rng = np.random.default_rng(0)
rows = rng.standard_normal((300, 64), np.float32)
index = ExactIndex(64, "cosine")
index.add(np.arange(300), rows)
ids, scores = index.search(rows[:9] + rows[9:18], 5)
steps = rows[:2, :20]
gained, _ = gae(steps[0], steps[1], [0, 7, 20], 0.9, 0.8)
rewards = RewardTable().of_rows([("rating", "4"), ("thumbs", "false")])
json.dump({
    "where": kernels.__file__,
    "ids": ids.tolist(),
    "numbers": [
        *scores.ravel().tolist(), *gained.tolist(), *rewards,
        *hashed_features(["pure Python is slow"], 32).ravel().tolist(),
    ],
}, sys.stdout)
"""


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked sdist, built in an environment of its own."""
    place = tmp_path_factory.mktemp("sdist")
    uv = Path(sys.executable).parent / "uv"
    run([uv, "build", "-q", "--sdist", "-o", place, ROOT])
    (archive,) = place.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        files.extractall(place, filter="data")
    return place / archive.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def wheel(sdist: Path) -> Path:
    """The wheel of the first step of the Containerfile."""
    return built(sdist, sdist.parent / "dist")


@pytest.fixture(scope="module")
def pure_wheel(sdist: Path) -> Path:
    """The wheel that comes of it on a machine without a C++ compiler."""
    return built(sdist, sdist.parent / "pure", CXX="/nonexistent/c++")


def built(source: Path, place: Path, **environment: str) -> Path:
    make(
        "wheel",
        f"DIST={place}",
        at=source,
        environment={**os.environ, **environment},
    )
    (found,) = place.glob("*.whl")
    return found


def make(
    *arguments: str,
    at: Path = ROOT,
    environment: dict[str, str] | None = None,
) -> None:
    command = ["make", "-C", at, f"PYTHON={sys.executable}", *arguments]
    run(command, environment=environment)


def run(
    command: list[str | Path],
    environment: dict[str, str] | None = None,
    at: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=280,
        env=environment,
        cwd=at,
    )
    assert done.returncode == 0, done.stderr
    return done


def installed(wheel: Path, place: Path) -> Path:
    """Python of a new environment with the wheel, and its needs from ours."""
    run([sys.executable, "-m", "venv", "--without-pip", place])
    python = place / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", python, "install"]
    run([*command, "-q", "--no-deps", wheel])
    (site,) = place.glob("lib/python*/site-packages")
    ours = sysconfig.get_path("purelib")
    (site / "borrowed.pth").write_text(f"{ours}\n")
    return python


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_wheel_has_the_kernels_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "-cp311-abi3-" in wheel.name
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


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_without_a_compiler_a_pure_wheel_answers_the_same_and_says_so(
    wheel: Path, pure_wheel: Path, tmp_path: Path
) -> None:
    assert pure_wheel.name.endswith("-py3-none-any.whl")
    assert not any(
        "_native" in n for n in zipfile.ZipFile(pure_wheel).namelist()
    )
    said = {}
    for name, built_wheel in (("native", wheel), ("pure", pure_wheel)):
        python = installed(built_wheel, tmp_path / name)
        said[name] = run([python, "-c", ANSWERS], at=tmp_path)
        version = run([python, "-m", "reconciler", "--version"], at=tmp_path)
        assert ("without C++ kernels" in version.stdout) == (name == "pure")
    native, pure = (json.loads(each.stdout) for each in said.values())
    assert native["where"].startswith(str(tmp_path / "native"))
    assert pure["where"].startswith(str(tmp_path / "pure"))
    assert native["ids"] == pure["ids"]
    assert native["numbers"] == pytest.approx(pure["numbers"], abs=1e-5)
    assert "installed without its C++ kernels" in said["pure"].stderr
    assert "C++ kernels" not in said["native"].stderr


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
