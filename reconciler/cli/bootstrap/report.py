"""What bootstrap did, as text for people or as data for programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from reconciler.cli.errors import CommandError
from reconciler.cli.get import align
from reconciler.cli.output import failure, render

Action = Literal["created", "configured", "unchanged", "pushed", "ready"]


@dataclass(frozen=True)
class Step:
    """One thing that was looked at, and what became of it."""

    step: str
    action: Action
    detail: str


@dataclass
class Report:
    """The steps so far; complete ones also if a later one failed."""

    dry_run: bool = False
    steps: list[Step] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    """What a program may want: url, branch, path, revision, publicKey."""

    error: CommandError | None = None
    """What was in the way."""

    def add(self, step: str, action: Action, detail: str) -> None:
        """Note a step."""
        self.steps.append(Step(step, action, detail))

    @property
    def changed(self) -> bool:
        """Whether anything was, or would be, written."""
        return any(s.action not in ("unchanged", "ready") for s in self.steps)

    def rendered(self, output: str) -> str:
        """The whole report; empty without a step."""
        if output == "text":
            rows = [(s.step, self._word(s), s.detail) for s in self.steps]
            return align(rows) if rows else ""
        whole = {
            **self.facts,
            "dryRun": self.dry_run,
            "changed": self.changed,
            "steps": [asdict(s) for s in self.steps],
        }
        if self.error is not None:
            whole |= failure(str(self.error), self.error.code)
        return render(whole, output).rstrip("\n")

    def _word(self, step: Step) -> str:
        written = step.action not in ("unchanged", "ready")
        note = " (dry run)" if self.dry_run and written else ""
        return step.action + note
