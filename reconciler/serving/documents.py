"""The files through which controllers and the serving process talk.

::

    STATE/serving/
      models/<name>.json     desired: written by the controller
      observed/<name>.json   observed: written by the serving process
      server.json            where the process listens
      server.lock            flock held as long as the process lives
      server.log, server.out

Every file is replaced atomically and has one writer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, ValidationError

from reconciler.engine.resource import NAME_PATTERN, Timestamp
from reconciler.runs.protocol import Document, write_atomically

State = Literal["Loading", "Serving", "Failed"]
D = TypeVar("D", bound=Document)

MAX_DOCUMENT_BYTES = 65536


class Desired(Document):
    """The version of a model that should answer."""

    model: str = Field(pattern=NAME_PATTERN, max_length=63)
    path: str = Field(pattern=r"^/", max_length=4096)
    """The generation's directory: absolute, links resolved."""

    generation: str = Field(min_length=1, max_length=63)
    digest: str = Field(max_length=128)
    device: str = Field(min_length=1, max_length=64)


class Served(Document):
    """A version that answers or is kept warm."""

    generation: str
    digest: str
    device: str
    path: str
    since: Timestamp


class Observed(Document):
    """What became of the desired version, and what answers meanwhile."""

    model: str
    generation: str
    """The version this is about: the desired one."""

    digest: str
    device: str
    state: State
    message: str = ""
    since: Timestamp
    """When `state` became what it is."""

    serving: Served | None = None
    """What answers requests now: the desired version if it is Serving."""

    previous: Served | None = None
    """Kept in memory: a switch back to it loads nothing."""


class ServerInfo(Document):
    """Contents of server.json."""

    pid: int
    start_ticks: int
    """Start of the process in clock ticks since boot (/proc/PID/stat)."""

    port: int
    url: str
    started_at: Timestamp


@dataclass(frozen=True)
class ServingState:
    """The directory STATE/serving."""

    root: Path

    @property
    def models(self) -> Path:
        """Directory of the desired files."""
        return self.root / "models"

    @property
    def lock(self) -> Path:
        """File whose flock proves that the serving process lives."""
        return self.root / "server.lock"

    def prepare(self) -> None:
        """Create the directories."""
        for name in ("models", "observed"):
            (self.root / name).mkdir(parents=True, exist_ok=True)

    def write_desired(self, desired: Desired) -> None:
        """Ask for a version; does nothing if it is asked for already."""
        if self.desired(desired.model) == desired:
            return
        self.prepare()
        path = self.models / f"{desired.model}.json"
        write_atomically(path, desired.to_json())

    def remove_desired(self, model: str) -> None:
        """Ask for the model not to be served any more."""
        self._desired_path(model).unlink(missing_ok=True)

    def desired(self, model: str) -> Desired | None:
        """What is asked for; None if nothing or nothing legible is."""
        found = read(self._desired_path(model), Desired)
        return found if found is not None and found.model == model else None

    def is_asked_for(self, model: str) -> bool:
        """Whether there is a desired file, legible or not."""
        return self._desired_path(model).exists()

    def desired_models(self) -> Iterator[str]:
        """Names of all models that are asked for, in order."""
        for path in sorted(self.models.glob("*.json")):
            if re.fullmatch(NAME_PATTERN, path.stem):
                yield path.stem

    def write_observed(self, observed: Observed) -> None:
        """Tell what became of a version, if that is news."""
        if self.observed(observed.model) == observed:
            return
        path = self._observed_path(observed.model)
        write_atomically(path, observed.to_json())

    def remove_observed(self, model: str) -> None:
        """Forget a model that is not served any more."""
        self._observed_path(model).unlink(missing_ok=True)

    def observed(self, model: str) -> Observed | None:
        """What the serving process last said of a model."""
        return read(self._observed_path(model), Observed)

    def observed_models(self) -> list[str]:
        """Names of all models that something was said of."""
        return sorted(p.stem for p in (self.root / "observed").glob("*.json"))

    def write_server(self, info: ServerInfo) -> None:
        """Tell where the process listens."""
        write_atomically(self.root / "server.json", info.to_json())

    def server(self) -> ServerInfo | None:
        """Where the process listens or, if it is dead, listened."""
        return read(self.root / "server.json", ServerInfo)

    def _desired_path(self, model: str) -> Path:
        return self.models / f"{_checked(model)}.json"

    def _observed_path(self, model: str) -> Path:
        return self.root / "observed" / f"{_checked(model)}.json"


def read(path: Path, kind: type[D]) -> D | None:
    """A document; None if it does not exist or is not valid.

    Writers replace files whole, so an invalid one is never half of a valid
    one: it was damaged or written by something else, and is not obeyed.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_DOCUMENT_BYTES + 1)
    except FileNotFoundError:
        return None
    if len(data) > MAX_DOCUMENT_BYTES:
        return None
    try:
        return kind.model_validate_json(data)
    except ValidationError:
        return None


def _checked(model: str) -> str:
    if not re.fullmatch(NAME_PATTERN, model):
        msg = f"{model!r} is not the name of a model"
        raise ValueError(msg)
    return model
