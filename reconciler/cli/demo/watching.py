"""Waiting for objects, with progress and a bound."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reconciler.cli.demo.operator import Operator
from reconciler.cli.demo.screen import Screen
from reconciler.cli.errors import CommandError
from reconciler.cli.session import Session
from reconciler.engine import conditions
from reconciler.engine.resource import Resource
from reconciler.generations import lineage
from reconciler.generations.resource import Model, ModelGeneration

POLL_SECONDS = 0.2
NAMESPACE = "default"


@dataclass
class Watching:
    """Polls the API server like a person with kubectl."""

    session: Session
    screen: Screen
    operator: Operator

    def until(
        self,
        what: str,
        done: Callable[[], Any],
        seconds: float,
        describe: Callable[[], str] | None = None,
    ) -> Any:
        """Wait for a truthy answer and return it.

        Raises:
            CommandError: it did not come in time, or the operator died.
        """
        deadline = time.monotonic() + seconds
        with self.screen.moving():
            while time.monotonic() < deadline:
                found = done()
                if found:
                    return found
                self.operator.check()
                self.screen.show(describe() if describe else what)
                time.sleep(POLL_SECONDS)
        msg = f"waited {seconds:.0f} s for {what}"
        raise CommandError(msg)

    def find(self, kind: type[Resource], name: str) -> Any:
        """An object, or None."""
        return self.session.find(kind, NAMESPACE, name)

    def ready(self, kind: type[Resource], name: str, seconds: float) -> Any:
        """Wait until an object is Ready about its newest generation."""

        def done() -> Any:
            live = self.find(kind, name)
            if live is not None and conditions.is_true(
                live.status.conditions,
                conditions.READY,
                live.metadata.generation,
            ):
                return live
            return None

        what = f"{kind.definition.kind} {name} to be Ready"
        return self.until(what, done, seconds)

    def finished(self, name: str, seconds: float) -> ModelGeneration:
        """Wait until a generation serves or was given up."""

        def done() -> ModelGeneration | None:
            live: ModelGeneration | None = self.find(ModelGeneration, name)
            if live is None or not lineage.finished(live):
                return None
            if lineage.passed(live) and live.status.promoted_at is None:
                return None
            return live

        def describe() -> str:
            live = self.find(ModelGeneration, name)
            return progress(live) if live else f"{name} is about to be created"

        found: ModelGeneration = self.until(
            f"{name} to finish", done, seconds, describe
        )
        return found

    def serving(
        self, name: str, seconds: float, model: str = "docs-assistant"
    ) -> Model:
        """Wait until a generation of a model is what serves."""

        def done() -> Model | None:
            live: Model | None = self.find(Model, model)
            if live is None or lineage.production_of(live) != name:
                return None
            ready = conditions.is_true(
                live.status.conditions,
                conditions.READY,
                live.metadata.generation,
            )
            return live if ready else None

        found: Model = self.until(f"{name} to serve", done, seconds)
        return found


def progress(generation: ModelGeneration) -> str:
    """One line: where a generation stands."""
    name = generation.metadata.name
    trainer = generation.status.trainer
    if trainer is None:
        return f"{name} {lineage.phase(generation)}"
    parts = [f"{name} {lineage.phase(generation)}"]
    if trainer.max_steps:
        parts.append(f"{trainer.progress_percentage:3d} %")
        parts.append(f"step {trainer.step}/{trainer.max_steps}")
    if trainer.estimated_remaining_seconds is not None:
        parts.append(f"{trainer.estimated_remaining_seconds} s left")
    parts += [f"{m.name} {m.value}" for m in trainer.metrics[:3]]
    return "  ".join(parts)
