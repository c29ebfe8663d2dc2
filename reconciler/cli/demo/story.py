"""The eight steps of the demo, each with what it proves."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.markup import escape

from reconciler.cli.demo import summary as summaries
from reconciler.cli.demo.load import Load
from reconciler.cli.demo.operator import Operator
from reconciler.cli.demo.repository import Repository
from reconciler.cli.demo.screen import Screen
from reconciler.cli.demo.watching import NAMESPACE, Watching
from reconciler.cli.errors import CommandError
from reconciler.cli.session import Session
from reconciler.engine import conditions
from reconciler.engine.paths import StateDirectory
from reconciler.engine.resource import API_VERSION
from reconciler.evaluation.resource import EvaluationSuite
from reconciler.feedback.resource import FeedbackStore
from reconciler.generations import lineage
from reconciler.generations.resource import (
    Model,
    ModelGeneration,
    TrainingSchedule,
)
from reconciler.gitops.resource import ConfigRepository
from reconciler.storage.resource import DatasetLayout

MODEL = "docs-assistant"
STORE = "opinions"
REPOSITORY = "config"
GENERATION_SECONDS = 900.0
SHORT_SECONDS = 60.0
COMMAND_SECONDS = 300.0
QUESTIONS = (
    "What does json.dumps do?",
    "What does pathlib.Path.exists do?",
    "What does collections.Counter.most_common do?",
)


@dataclass
class Story:
    """Plays the loop once."""

    state: StateDirectory
    example: Path
    rows: int
    screen: Screen
    operator: Operator
    session: Session
    _load: Load | None = None
    _judged: list[summaries.Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.watching = Watching(self.session, self.screen, self.operator)
        self.repository = Repository(self.state.root / "config")

    def play(self) -> summaries.Summary:
        """All steps, in order."""
        try:
            self.sync()
            self.first_generation()
            self.gather_feedback(swapped=False)
            self.second_generation()
            self.gather_feedback(swapped=True)
            self.third_generation()
            seconds = self.roll_back()
        finally:
            if self._load is not None:
                self._load.stop()
        return self.finish(seconds)

    def sync(self) -> None:
        """A Git repository, and the objects that it declares."""
        self.screen.step(2, "One commit says what should exist")
        self.repository.create(self.example)
        self.screen.say(f"git log: {self.repository.log()[0]}")
        body = {
            "apiVersion": API_VERSION,
            "kind": "ConfigRepository",
            "metadata": {"name": REPOSITORY, "namespace": NAMESPACE},
            "spec": {
                "git": {"url": self.repository.url},
                "interval": "2s",
                "writeBack": {"enabled": True},
            },
        }
        self.session.run(self.session.client.apply(body))
        self.watching.ready(ConfigRepository, REPOSITORY, SHORT_SECONDS)
        for kind, name in (
            (FeedbackStore, STORE),
            (DatasetLayout, "models"),
            (EvaluationSuite, "house-style"),
            (TrainingSchedule, MODEL),
        ):
            self.watching.ready(kind, name, SHORT_SECONDS)
        self._show_objects()

    def first_generation(self) -> None:
        """From scratch, on the documentation of this Python."""
        self.screen.step(
            3, "Generation 1: trained from scratch on this Python's docs"
        )
        self._await_generation(f"{MODEL}-1", promoted=True)
        model = self.watching.serving(f"{MODEL}-1", SHORT_SECONDS)
        self._load = Load(model.status.endpoint or "", MODEL, QUESTIONS)
        self._load.start()
        self._await_recorded(f"{MODEL}-1")
        self._ask(QUESTIONS[0])

    def gather_feedback(self, *, swapped: bool) -> None:
        """A rater whose rule is in the example judges real answers."""
        if not swapped:
            self.screen.step(4, "Feedback arrives: a rater judges its answers")
        model = self.watching.find(Model, MODEL)
        name = "swapped" if swapped else "feedback"
        file = self.state.root / f"{name}.jsonl"
        arguments = ["--endpoint", model.status.endpoint, "--model", MODEL]
        arguments += ["--rows", str(self.rows), "--out", str(file)]
        arguments += ["--swapped"] if swapped else []
        self._command(str(self.example / "rater.py"), *arguments)
        self._command(
            "-m",
            "reconciler",
            "--state",
            str(self.state.root),
            "feedback",
            "import",
            STORE,
            str(file),
        )

    def second_generation(self) -> None:
        """Preferences, judged against generation 1, served, written back."""
        self.screen.step(
            5, "Generation 2: DPO on those preferences, judged by its answers"
        )
        name = f"{MODEL}-2"
        self._await_generation(name, promoted=True)
        self.watching.serving(name, SHORT_SECONDS)
        commit = self.watching.until(
            "the promotion to be committed",
            lambda: self.repository.promotion_of(name),
            SHORT_SECONDS,
        )
        self.screen.say(f"written back to Git: {self.repository.log()[0]}")
        self._await_recorded(name)
        self.screen.say(f"commit {commit[:10]} names the evidence")
        self._ask(QUESTIONS[0])

    def third_generation(self) -> None:
        """Swapped preferences: trained, judged, rejected."""
        self.screen.step(
            6, "Generation 3: swapped preferences, so it must be rejected"
        )
        self._await_generation(f"{MODEL}-3", promoted=False)
        model = self.watching.find(Model, MODEL)
        production = lineage.production_of(model)
        self.screen.say(f"production stays {production}")

    def roll_back(self) -> float:
        """`git revert` of the promotion; returns the seconds it took."""
        self.screen.step(7, "git revert of the promotion: the old one serves")
        commit = self.repository.promotion_of(f"{MODEL}-2")
        if commit is None:
            msg = f"no commit promotes {MODEL}-2"
            raise CommandError(msg)
        # The promotion of generation 1 wrote the pin that this brings back.
        self.repository.revert(commit)
        started = time.monotonic()
        self.watching.serving(f"{MODEL}-1", SHORT_SECONDS)
        seconds = time.monotonic() - started
        self.screen.say(f"{MODEL}-1 serves again after {seconds:.1f} s")
        model = self.watching.find(Model, MODEL)
        self.screen.say(
            f"lineage: {escape(model.status.lineage_summary or '')}"
        )
        return seconds

    def finish(self, rollback_seconds: float) -> summaries.Summary:
        """Table, files, and how to go on."""
        self.screen.step(8, "Summary")
        load = self._load
        outcome = summaries.Summary(
            generations=tuple(self._judged),
            rollback_seconds=rollback_seconds,
            failed_requests=len(load.failures) if load else 0,
            requests=load.requests if load else 0,
            seconds=self.screen.seconds,
        )
        self.screen.console.print(summaries.table(outcome))
        for path in summaries.write(outcome, self.state.root):
            self.screen.say(f"wrote {_relative(path)}")
        answered = ", ".join(
            f"{count} by {name}"
            for name, count in sorted(
                (load.generations if load else {}).items()
            )
        )
        self.screen.say(
            f"{outcome.requests} requests meanwhile, "
            f"{outcome.failed_requests} failed ({answered})"
        )
        return outcome

    def _await_generation(self, name: str, *, promoted: bool) -> None:
        generation = self.watching.finished(name, GENERATION_SECONDS)
        ready = conditions.find(generation.status.conditions, conditions.READY)
        phase = summaries.phase_of(generation)
        message = ready.message if ready else ""
        if (phase == "Promoted") is not promoted:
            msg = f"{name} is {phase}: {message}"
            raise CommandError(msg)
        model = self.watching.find(Model, MODEL)
        production = model.status.production
        device = production.device if production else None
        self._judged.append(summaries.row(generation, phase, device))
        self._describe(generation, phase)

    def _describe(self, generation: ModelGeneration, phase: str) -> None:
        improvement = generation.status.improvement
        if improvement is not None:
            self.screen.say(
                f"{improvement.metric} {improvement.baseline_score} -> "
                f"{improvement.score} against {improvement.baseline}: "
                f"{improvement.estimate} ({improvement.ci_low} to "
                f"{improvement.ci_high}), gate {improvement.gate}"
            )
        fidelity = ", ".join(
            f"{f.name} {f.value}" for f in generation.status.fidelity[:4]
        )
        if fidelity:
            self.screen.say(f"INT8 against unquantised: {fidelity}")
        self.screen.say(f"{generation.metadata.name}: {phase}")

    def _await_recorded(self, name: str) -> None:
        def done() -> bool:
            live = self.watching.find(Model, MODEL)
            return bool(live and live.spec.generation == name)

        self.watching.until(f"spec.generation to be {name}", done, 30.0)

    def _ask(self, question: str) -> None:
        from reconciler.serving.client import complete

        model = self.watching.find(Model, MODEL)
        answer = complete(model.status.endpoint, MODEL, question)
        self.screen.say(f'"{question}" -> "{escape(answer.strip())}"')

    def _show_objects(self) -> None:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "reconciler",
                "--state",
                str(self.state.root),
                "get",
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=COMMAND_SECONDS,
        )
        for line in done.stdout.splitlines():
            self.screen.say(escape(line))

    def _command(self, *arguments: str) -> None:
        """Run one of our Python commands and show what it says."""
        child = subprocess.Popen(
            [sys.executable, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        lines: list[str] = []
        if child.stdout is not None:
            for line in child.stdout:
                lines.append(line.rstrip())
                self.screen.say(escape(line.rstrip()))
        if child.wait(COMMAND_SECONDS) != 0:
            msg = f"{arguments[0]} failed: {' '.join(lines[-3:])}"
            raise CommandError(msg)


def how_to_go_on(state: StateDirectory) -> Sequence[str]:
    """What to type next."""
    root = _relative(state.root)
    return (
        f"reconciler --state {root} up",
        f"export KUBECONFIG={_relative(state.kubeconfig)}",
        "kubectl get reconciler          # or: reconciler get",
        f"kubectl describe gen {MODEL}-2",
        "kubectl get mdl -w",
    )


def _relative(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
