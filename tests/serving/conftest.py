"""Tiny models, converted once per session, and bundles broken on purpose."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.serving.bundle import read_manifest, write_manifest
from reconciler.serving.documents import Desired, Observed
from reconciler.serving.process import ServerProcess

REPOSITORY = Path(__file__).parents[2]


def run_python(*arguments: str, **environment: str) -> str:
    """Run Python bounded in time; output on failure."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *arguments],
        env={
            **os.environ,
            "PYTHONPATH": str(REPOSITORY),
            "OMP_NUM_THREADS": "1",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory that make_models.py filled."""
    root = tmp_path_factory.mktemp("tiny")
    script = Path(__file__).with_name("make_models.py")
    run_python(str(script), str(root), PYTHONHASHSEED="1")
    return root


@pytest.fixture(scope="session")
def first(tiny: Path) -> Path:
    """A good bundle."""
    return tiny / "first/output/ir"


@pytest.fixture(scope="session")
def second(tiny: Path) -> Path:
    """A good bundle of other weights."""
    return tiny / "second/output/ir"


def sign_again(directory: Path) -> None:
    """Make the manifest fit whatever the files are now."""
    write_manifest(directory, read_manifest(directory))


def truncate_weights(bundle: Path) -> None:
    weights = bundle / "openvino_model.bin"
    os.truncate(weights, weights.stat().st_size // 2)


def truncate_weights_signed(bundle: Path) -> None:
    truncate_weights(bundle)
    sign_again(bundle)


def garbage_graph(bundle: Path) -> None:
    (bundle / "openvino_model.xml").write_text("<net><unclosed")
    sign_again(bundle)


def nan_weights(bundle: Path) -> None:
    """Make all scales of the quantised weights NaN."""
    overwrite_constants(bundle, "f16", b"\xff")


def zeroed_weights(bundle: Path) -> None:
    """Lose the quantised weights, and keep a graph that computes."""
    overwrite_constants(bundle, "u8", b"\x00")


def overwrite_constants(bundle: Path, kind: str, value: bytes) -> None:
    weights = bundle / "openvino_model.bin"
    data = bytearray(weights.read_bytes())
    graph = (bundle / "openvino_model.xml").read_text()
    constant = rf'element_type="{kind}" [^>]*offset="(\d+)" size="(\d+)"'
    for offset, size in re.findall(constant, graph):
        start, end = int(offset), int(offset) + int(size)
        data[start:end] = value * (end - start)
    weights.write_bytes(data)
    sign_again(bundle)


def other_tokenizer(bundle: Path) -> None:
    path = bundle / "tokenizer.json"
    data = json.loads(path.read_text())
    data["model"]["merges"] = data["model"]["merges"][:5]
    path.write_text(json.dumps(data))
    sign_again(bundle)


def no_manifest(bundle: Path) -> None:
    (bundle / "serving.json").unlink()


BREAKAGES: dict[Callable[[Path], None], str] = {
    truncate_weights: "openvino_model.bin is not the file that was validated",
    truncate_weights_signed: "CPU: ",
    garbage_graph: "CPU: ",
    nan_weights: "NaN",
    other_tokenizer: "belongs to another model",
    zeroed_weights: "loss on the canary text",
    no_manifest: "serving.json: No such file",
}
"""How to break a bundle -> what has to be said about it."""


@pytest.fixture
def broken(
    first: Path, tmp_path: Path
) -> Callable[[Callable[[Path], None]], Path]:
    """Makes a broken copy of a good bundle."""

    def make(breakage: Callable[[Path], None]) -> Path:
        copy = tmp_path / breakage.__name__
        shutil.copytree(first, copy)
        breakage(copy)
        return copy

    return make


class Served:
    """A serving process and short words for what tests do with it."""

    def __init__(self, process: ServerProcess) -> None:
        self.process = process
        self.url = process.ensure().url

    def ask(self, path: Path, generation: str, model: str = "tiny") -> None:
        self.process.files.write_desired(
            Desired(
                model=model,
                path=str(path),
                generation=generation,
                digest=f"sha256:{generation}",
                device="CPU",
            )
        )

    def outcome(
        self, generation: str, model: str = "tiny", seconds: float = 30
    ) -> Observed:
        """What became of a generation, once that is settled."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            seen = self.process.files.observed(model)
            about = seen is not None and seen.generation == generation
            if seen is not None and about and seen.state != "Loading":
                return seen
            time.sleep(0.005)
        message = f"{generation} is not settled: {seen}"
        raise AssertionError(message)

    def deploy(
        self, path: Path, generation: str, model: str = "tiny"
    ) -> Observed:
        self.ask(path, generation, model)
        return self.outcome(generation, model)


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    """A serving process for the tests of one file."""
    process = ServerProcess(tmp_path_factory.mktemp("serving"))
    try:
        yield Served(process)
    finally:
        process.stop()
