"""What remains to be done until a version of a model answers. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from typing_extensions import override

from reconciler.engine.plan import Action, action_key
from reconciler.serving.documents import Desired, Observed

Progress = Literal["Pending", "Loading", "Serving", "Failed", "Absent"]


@dataclass(frozen=True)
class StartServer(Action):
    """Start the serving process."""

    @override
    def describe(self) -> str:
        """One line for people."""
        return "start the serving process"


@dataclass(frozen=True)
class Ask(Action):
    """Write the desired file."""

    desired: Desired

    @override
    def describe(self) -> str:
        """One line for people."""
        wanted = self.desired
        return f"serve {wanted.generation} of {wanted.model}"


@dataclass(frozen=True)
class Withdraw(Action):
    """Remove the desired file."""

    model: str

    @override
    def describe(self) -> str:
        """One line for people."""
        return f"stop serving {self.model}"


@dataclass(frozen=True)
class Seen:
    """What is there."""

    alive: bool
    """Whether the serving process lives."""

    asked: Desired | None = None
    """The desired file."""

    observed: Observed | None = None
    """What the process last said."""


@dataclass(frozen=True)
class DeploymentPlan:
    """Actions to carry out now, and how far the version is."""

    progress: Progress
    message: str = ""
    actions: tuple[Action, ...] = ()


def plan_deployment(
    model: str, wanted: Desired | None, seen: Seen
) -> DeploymentPlan:
    """Decide what remains.

    Without actions, Loading means: look again later. The other states are
    the end until something changes.

    Args:
        model: name of the model.
        wanted: the version that should answer; None: none should.
        seen: what is there.
    """
    if wanted is None:
        return _withdraw(model, seen)
    actions: list[Action] = []
    if not seen.alive:
        actions.append(StartServer(action_key(model, "server")))
    if seen.asked != wanted:
        key = action_key(model, wanted.generation, wanted.digest)
        actions.append(Ask(key, wanted))
    if actions:
        message = f"{wanted.generation} is about to be loaded"
        return DeploymentPlan("Pending", message, tuple(actions))
    found = seen.observed
    if found is None or not is_about(found, wanted):
        message = f"{wanted.generation} is being loaded"
        return DeploymentPlan("Loading", message)
    return DeploymentPlan(found.state, found.message)


def is_about(observed: Observed, wanted: Desired) -> bool:
    """Whether the process speaks of this version, not of an earlier one."""
    return (
        observed.generation == wanted.generation
        and observed.digest == wanted.digest
        and observed.device == wanted.device
    )


def _withdraw(model: str, seen: Seen) -> DeploymentPlan:
    if seen.asked is not None:
        key = action_key(model, "withdraw")
        return DeploymentPlan("Pending", actions=(Withdraw(key, model),))
    if seen.alive and seen.observed is not None:
        return DeploymentPlan("Loading", f"{model} is being unloaded")
    return DeploymentPlan("Absent")
