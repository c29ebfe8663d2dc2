"""The directory that is served: graph, weights, tokenizer, and a manifest.

``serving.json`` is the manifest: the sha256 of every other file, how the
graph must be compiled (precision hint, device it was validated on), where it
came from, and the answer that it gave when it was validated. A bundle is read
once, into memory, and hashed there: what was verified is what is loaded, so a
directory that changes under a reader can neither mix versions nor take a
mapped page away.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from reconciler.runs.protocol import Document, write_atomically

GRAPH = "openvino_model.xml"
WEIGHTS = "openvino_model.bin"
TOKENIZER = "tokenizer.json"
MANIFEST = "serving.json"
CONFIG_FILES = ("config.json", "generation_config.json")
MAX_BYTES = 8 * 2**30
"""Largest file that is read into memory."""


class BundleError(Exception):
    """The directory is not a complete, untouched bundle."""


class Canary(Document):
    """What the bundle answered when it was validated."""

    text: str
    tokens: tuple[int, ...] = Field(min_length=2)
    """The text as the tokenizer split it."""

    mean_loss: float
    """Mean negative log-likelihood of each next token, in nats."""


class Manifest(Document):
    """Contents of serving.json."""

    format: Literal["openvino-stateful"] = "openvino-stateful"
    precision: str
    """Weight precision, for example INT8_ASYM."""

    precision_hint: str = "f32"
    """INFERENCE_PRECISION_HINT that every loader must set."""

    device: str
    """OpenVINO device on which it was validated."""

    context_length: int = Field(ge=2)
    vocabulary_size: int = Field(ge=1)
    end_tokens: tuple[int, ...]
    source: str
    """Digest of the unquantised model's directory."""

    versions: dict[str, str] = Field(default_factory=dict)
    files: dict[str, str]
    """File name -> ``sha256:<hex>``."""

    canary: Canary | None = None


@dataclass(frozen=True)
class Bundle:
    """A verified bundle, in memory."""

    directory: Path
    manifest: Manifest
    graph: bytes
    weights: bytes
    tokenizer: str


def sha256(data: bytes) -> str:
    """``sha256:<hex>`` of some bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def read_bundle(path: Path) -> Bundle:
    """Read and verify a bundle. Symbolic links are resolved once.

    Raises:
        BundleError: a file is missing, too large, or not what the manifest
            says (torn copy, changed in place, wrong tokenizer).
    """
    try:
        directory = path.resolve(strict=True)
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise BundleError(msg) from error
    manifest = read_manifest(directory)
    missing = {GRAPH, WEIGHTS, TOKENIZER} - set(manifest.files)
    if missing:
        msg = f"{MANIFEST} lists no {', '.join(sorted(missing))}"
        raise BundleError(msg)
    contents = {
        name: _verified(directory, name, digest)
        for name, digest in sorted(manifest.files.items())
    }
    return Bundle(
        directory=directory,
        manifest=manifest,
        graph=contents[GRAPH],
        weights=contents[WEIGHTS],
        tokenizer=contents[TOKENIZER].decode(),
    )


def read_manifest(directory: Path) -> Manifest:
    """The manifest of a bundle.

    Raises:
        BundleError: there is none, or it is not valid.
    """
    text = _read(directory, MANIFEST)
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        message = f"{MANIFEST} is not valid: {where}: {first['msg']}"
        raise BundleError(message) from error


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write serving.json with the hashes of the files that are there."""
    files = {
        entry.name: sha256(entry.read_bytes())
        for entry in sorted(directory.iterdir())
        if entry.is_file() and entry.name != MANIFEST
    }
    complete = manifest.model_copy(update={"files": files})
    write_atomically(directory / MANIFEST, complete.to_json())


def end_tokens(
    config: Mapping[str, Any], generation: Mapping[str, Any]
) -> tuple[int, ...]:
    """Tokens that end an answer; generation_config.json wins."""
    found = generation.get("eos_token_id", config.get("eos_token_id"))
    if found is None:
        return ()
    return tuple(found) if isinstance(found, list) else (int(found),)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object, or an empty one if the file does not exist."""
    try:
        data = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    if not isinstance(data, dict):
        msg = f"{path.name} is not a JSON object"
        raise BundleError(msg)
    return data


def _verified(directory: Path, name: str, digest: str) -> bytes:
    data = _read(directory, name)
    if sha256(data) != digest:
        msg = (
            f"{name} is not the file that was validated: {MANIFEST} says "
            f"{digest[:19]}, found {sha256(data)[:19]} ({len(data)} bytes)"
        )
        raise BundleError(msg)
    return data


def _read(directory: Path, name: str) -> bytes:
    if Path(name).name != name:
        msg = f"{name!r} is not a plain file name"
        raise BundleError(msg)
    try:
        with (directory / name).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        msg = f"{name}: {error.strerror}"
        raise BundleError(msg) from error
    if len(data) > MAX_BYTES:
        msg = f"{name} is larger than {MAX_BYTES} bytes"
        raise BundleError(msg)
    return data
