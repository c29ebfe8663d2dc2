"""The run protocol: one directory is one piece of long work.

::

    run/
      request.json      everything the work needs, with digests; written once
      status.json       phase, attempt, heartbeat; replaced atomically
      progress.jsonl    append-only: step, metrics, ETA
      checkpoints/      resumable state; without its marker it does not exist
      result.json       written last, by atomic rename; its presence is the end
      log               stdout and stderr; for people, never parsed
      lock              flock held by the supervisor as long as it lives
      output/           what the work produced; named by result.json

Whoever starts, polls or fetches a run reads only these files. Exit codes are
a convenience for shells and Kubernetes: 0 done, 75 preempted with a
checkpoint, 2 invalid request (never retry), 1 failed.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_INVALID = 2
EXIT_PREEMPTED = 75

Phase = Literal[
    "Pending", "Running", "Succeeded", "Preempted", "Failed", "Invalid"
]
TERMINAL: frozenset[Phase] = frozenset({"Succeeded", "Failed", "Invalid"})


class Document(BaseModel):
    """A JSON document of the protocol: camelCase, immutable."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
    )

    def to_json(self) -> str:
        """Canonical text: sorted keys, two spaces, newline at the end."""
        data = self.model_dump(mode="json", by_alias=True)
        return json.dumps(data, indent=2, sort_keys=True) + "\n"


class Request(Document):
    """What to do. `work` names the module that does it."""

    work: str = Field(pattern=r"^reconciler\.[a-z_.]+$")
    """Python module run as ``python -m <work> <run directory>``."""

    name: str
    """For people: which generation and stage this is."""

    key: str
    """Idempotency key: the same key is the same run."""

    parameters: dict[str, Any]
    """Resolved inputs; the module validates them with its own model."""

    threads: int = Field(default=1, ge=1)
    deadline_seconds: int | None = Field(default=None, ge=1)


class RunStatus(Document):
    """The current state in one read."""

    phase: Phase
    attempt: int = 1
    failures: int = 0
    """Attempts that crashed so far, this one included."""

    fruitless: int = 0
    """Attempts in a row before this one that reported no further step."""

    first_step: int = 0
    """Newest step that was reported when this attempt began."""

    step: int = 0
    max_steps: int | None = None
    eta_seconds: float | None = None
    metrics: dict[str, float] = Field(default_factory=dict)
    checkpoint: str | None = None
    heartbeat: float = 0.0
    """Unix time of the last sign of life."""

    pid: int | None = None
    message: str = ""


class Result(Document):
    """How the run ended. Written once, last."""

    phase: Literal["Succeeded", "Failed", "Invalid"]
    message: str = ""
    outputs: dict[str, str] = Field(default_factory=dict)
    """Name of an output -> path relative to the run directory."""

    metrics: dict[str, float] = Field(default_factory=dict)
    facts: dict[str, Any] = Field(default_factory=dict)
    """Anything else worth recording: versions, digests, seeds, reports."""

    seconds: float = 0.0


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace a file so that readers see the old or the new content, whole.

    The content is on disk (fsync of file and directory) when this returns.
    Text is UTF-8; a new file is readable by its owner only.
    """
    data = content.encode() if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make renames inside a directory durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@dataclass(frozen=True)
class RunDirectory:
    """Reads and writes the files of one run."""

    path: Path

    @property
    def lock(self) -> Path:
        """The file whose flock proves that a supervisor lives."""
        return self.path / "lock"

    @property
    def log(self) -> Path:
        """Output of the work, for people."""
        return self.path / "log"

    @property
    def output(self) -> Path:
        """Where the work puts what it produces."""
        return self.path / "output"

    @property
    def checkpoints(self) -> Path:
        """Where resumable state lives."""
        return self.path / "checkpoints"

    def write_request(self, request: Request) -> None:
        """Create the directory and write the request, once.

        Raises:
            FileExistsError: another request with a different key is there.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        existing = self.request()
        if existing is not None:
            if existing.key != request.key:
                msg = f"{self.path} already holds run {existing.key}"
                raise FileExistsError(msg)
            return
        write_atomically(self.path / "request.json", request.to_json())

    def renew_request(self, request: Request) -> None:
        """Replace the request of a run that rests by one of the same key.

        The state directory may have been moved meanwhile, and the paths in
        the request with it.
        """
        if self.request() != request:
            write_atomically(self.path / "request.json", request.to_json())

    def request(self) -> Request | None:
        """The request, or None before it is written."""
        text = _read(self.path / "request.json")
        return None if text is None else Request.model_validate_json(text)

    def write_status(self, status: RunStatus) -> None:
        """Replace status.json."""
        write_atomically(self.path / "status.json", status.to_json())

    def status(self) -> RunStatus | None:
        """The current state, or None before the first start."""
        text = _read(self.path / "status.json")
        return None if text is None else RunStatus.model_validate_json(text)

    def write_result(self, result: Result) -> None:
        """Write result.json: the end of the run."""
        write_atomically(self.path / "result.json", result.to_json())

    def result(self) -> Result | None:
        """The result, or None while the run has not ended."""
        text = _read(self.path / "result.json")
        return None if text is None else Result.model_validate_json(text)

    def append_progress(
        self, step: int, metrics: Mapping[str, float], **more: Any
    ) -> None:
        """Append one line to progress.jsonl."""
        line = json.dumps({"step": step, "metrics": dict(metrics), **more})
        with (self.path / "progress.jsonl").open("a") as file:
            file.write(line + "\n")

    def progress(self) -> Iterator[dict[str, Any]]:
        """All complete lines of progress.jsonl (a torn last one is left)."""
        text = _read(self.path / "progress.jsonl") or ""
        for line in text.splitlines(keepends=True):
            if line.endswith("\n"):
                yield json.loads(line)


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None
