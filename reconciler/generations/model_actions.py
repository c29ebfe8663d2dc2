"""What a Model's controller does: one class per effect. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from typing_extensions import override

from reconciler.engine.plan import Action


def slot(generation: str, digest: str) -> str:
    """Name under which a dataset keeps a generation.

    With a piece of the digest, so that a model that was deleted and made
    again does not collide with what it stored before.
    """
    return f"{generation}-{digest.removeprefix('sha256:')[:8]}"


@dataclass(frozen=True)
class StoreGeneration(Action):
    """Put the generation's artifact into the dataset, immutable."""

    generation: str
    digest: str

    @override
    def describe(self) -> str:
        """One line for people."""
        return f"store {self.generation} ({self.digest[:19]})"


@dataclass(frozen=True)
class EnsureServer(Action):
    """Start the serving process if it does not run."""

    @override
    def describe(self) -> str:
        """One line for people."""
        return "start the serving process"


@dataclass(frozen=True)
class Deploy(Action):
    """Ask the serving process to load a generation beside the old one."""

    generation: str
    digest: str
    device: str

    @override
    def describe(self) -> str:
        """One line for people."""
        return f"deploy {self.generation} on {self.device}"


@dataclass(frozen=True)
class Activate(Action):
    """Move the dataset's pointer to the generation that now answers."""

    slot: str

    @override
    def describe(self) -> str:
        """One line for people."""
        return f"point the dataset at {self.slot}"


@dataclass(frozen=True)
class Hold(Action):
    """Snapshot: keep the generation whatever retention says."""

    slot: str

    @override
    def describe(self) -> str:
        """One line for people."""
        return f"snapshot {self.slot}"


@dataclass(frozen=True)
class Release(Action):
    """Let retention remove a generation that no rollback needs."""

    slot: str

    @override
    def describe(self) -> str:
        """One line for people."""
        return f"release {self.slot}"


@dataclass(frozen=True)
class Undeploy(Action):
    """Stop serving the model."""

    @override
    def describe(self) -> str:
        """One line for people."""
        return "stop serving"
