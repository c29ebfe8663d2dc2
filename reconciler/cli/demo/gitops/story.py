"""The steps of the demo: each is done with git and seen in the API."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler.cli.demo.gitops.clone import Clone
from reconciler.cli.demo.gitops.lines import Lines
from reconciler.cli.demo.operator import Operator
from reconciler.cli.demo.watching import NAMESPACE, Watching
from reconciler.cli.errors import CommandError
from reconciler.cli.session import Session
from reconciler.engine import conditions
from reconciler.engine.paths import StateDirectory
from reconciler.engine.resource import ANNOTATIONS, API_VERSION
from reconciler.generations import lineage
from reconciler.generations.resource import Model, ModelGeneration
from reconciler.gitops.resource import ConfigRepository
from reconciler.storage.resource import DatasetLayout

NAME = "demo"
MODEL = "tiny"
FIRST, SECOND = f"{MODEL}-1", f"{MODEL}-2"
FOLDER = f"clusters/{NAME}"
ARCHIVE = "archive"
FILES = ("model", "evaluation", "storage", ARCHIVE, f"generations/{FIRST}")
SHORT_SECONDS = 60.0
GENERATION_SECONDS = 600.0
COMMAND_SECONDS = 120.0
BROKEN = ('minTop1Agreement: "0.5"', "minTop1Agreement: high")
EXTRA = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: extra
"""


@dataclass
class Story:
    """Plays it once."""

    state: StateDirectory
    example: Path
    lines: Lines
    operator: Operator
    session: Session

    def __post_init__(self) -> None:
        screen = self.lines.screen
        self.watching = Watching(self.session, screen, self.operator)
        self.remote = self.state.root / "fleet.git"
        self.clone = Clone(self.state.root / "clone")

    def play(self) -> None:
        """All steps, in order.

        Raises:
            CommandError: one was not observed in time.
        """
        for name, step in (
            ("bootstrap", self.bootstrap),
            ("commit", self.commit),
            ("drift", self.drift),
            ("refused", self.bad_commit),
            ("prune", self.prune),
            ("promotion", self.promotion),
            ("promotion", self.second_promotion),
            ("revert", self.revert),
        ):
            with self.lines.step(name):
                step()

    def bootstrap(self) -> None:
        """An empty repository becomes one that is followed."""
        done = subprocess.run(
            [
                sys.executable, "-m", "reconciler",
                "--state", str(self.state.root), "bootstrap",
                str(self.remote), "--init", "--name", NAME,
                "--interval", "2s", "--write-back", "-o", "json",
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )  # fmt: skip
        if done.returncode != 0:
            msg = f"bootstrap failed: {done.stderr.strip()}"
            raise CommandError(msg)
        revision = json.loads(done.stdout)["revision"]
        self.clone.create(self.remote)
        self.lines.tell(
            f"fleet.git made, {_short(revision)} pushed, followed and Ready"
        )

    def commit(self) -> None:
        """Files become objects."""
        files = {self._path(f): self._text(f) for f in FILES}
        head = self.clone.commit("A tiny model", files)
        found = self._applied(head)
        count = len(found.status.inventory)
        self.lines.tell(
            f"{_short(head)}: {count} objects applied, {FIRST} is in training"
        )

    def drift(self) -> None:
        """Somebody's edit is taken back."""
        patch = {"spec": {"promotion": {"mode": "Manual"}}}
        edited = self.session.run(
            self.session.client.merge_patch(
                API_VERSION, "Model", NAMESPACE, MODEL, patch
            )
        )
        if edited["spec"]["promotion"]["mode"] != "Manual":
            msg = "the edit was not made"
            raise CommandError(msg)
        self.watching.until(
            "the edit to be undone",
            lambda: self._model().spec.promotion.mode == "Automatic",
            SHORT_SECONDS,
        )
        self.lines.tell("somebody sets spec.promotion.mode: Manual; undone")

    def bad_commit(self) -> None:
        """What is wrong is refused whole; what was good stays."""
        good = self._repository().status.last_applied_revision
        text = self._text("model").replace(*BROKEN)
        bad = self.clone.commit(
            "A typo", {self._path("model"): text, self._path("extra"): EXTRA}
        )
        found = self.watching.until(
            "the commit to be refused",
            lambda: self._refused(bad),
            SHORT_SECONDS,
        )
        if (
            found.status.last_applied_revision != good
            or self._object("v1", "ConfigMap", "extra")
            or self._model().spec.serving.min_top1_agreement != "0.5"
        ):
            msg = f"something of {bad} was applied"
            raise CommandError(msg)
        fixed = self.clone.revert(bad)
        self._applied(fixed)
        self.lines.tell(f"{_short(bad)} has a typo; nothing of it is applied:")
        self.lines.tell(_fault(found))
        self.lines.tell(
            f"{_short(good)} stayed in force; reverted by {_short(fixed)}"
        )

    def prune(self) -> None:
        """What holds data is deleted once a person agrees."""
        head = self.clone.commit(
            "No archive any more", {self._path(ARCHIVE): None}
        )
        pending = self.watching.until(
            "the prune to wait for approval",
            lambda: self._repository().status.pending_prune,
            SHORT_SECONDS,
        )
        if self.watching.find(DatasetLayout, ARCHIVE) is None:
            msg = f"{ARCHIVE} was deleted without approval"
            raise CommandError(msg)
        self.session.annotate(
            "ConfigRepository",
            NAMESPACE,
            NAME,
            **{ANNOTATIONS.approved: pending.token},
        )
        self.watching.until(
            "the approved prune",
            lambda: self.watching.find(DatasetLayout, ARCHIVE) is None,
            SHORT_SECONDS,
        )
        self._applied(head)
        self.lines.tell(f"{_short(head)} deletes {', '.join(pending.objects)}")
        self.lines.tell("holds data: waited for approval, kept until then")
        self.lines.tell(f"approved={pending.token}: deleted")

    def promotion(self) -> None:
        """The first generation passes its gate and is committed."""
        self.watching.until(
            f"{FIRST} to be judged",
            lambda: self._judged(FIRST),
            GENERATION_SECONDS,
        )
        # Trained while the first is converted, so that there is one to roll
        # back from. It has more before it: the first is promoted first.
        name = f"generations/{SECOND}"
        head = self.clone.commit(
            "Learn on", {self._path(name): self._text(name)}
        )
        self._applied(head)
        self._promoted(FIRST)

    def second_promotion(self) -> None:
        """A newer one takes over."""
        self._promoted(SECOND)

    def revert(self) -> None:
        """`git revert` of a promotion is a rollback."""
        commit = self.clone.promotion_of(SECOND)
        if commit is None:
            msg = f"no commit promotes {SECOND}"
            raise CommandError(msg)
        head = self.clone.revert(commit)
        self.watching.serving(FIRST, SHORT_SECONDS, MODEL)
        self._applied(head)
        if self.clone.promotion_of(SECOND) != commit:
            msg = f"{SECOND} was promoted again against the revert"
            raise CommandError(msg)
        self.lines.tell(f"git revert {_short(commit)}: {FIRST} serves again")

    def _promoted(self, name: str) -> None:
        self.watching.until(
            f"{name} to pass its gate",
            lambda: lineage.passed(self._generation(name)),
            GENERATION_SECONDS,
        )
        self.watching.serving(name, SHORT_SECONDS, MODEL)
        commit = self.watching.until(
            f"the promotion of {name} to be committed",
            lambda: self.clone.promotion_of(name),
            SHORT_SECONDS,
        )
        self._applied(commit)
        found = self._generation(name).status.improvement
        if found is not None:
            self.lines.tell(
                f"{name} {found.metric} {found.score} against "
                f"{found.baseline_score}: gate {found.gate}, serves"
            )
        self.lines.tell(
            f"written back as {_short(commit)}: {self.clone.changed(commit)}"
        )

    def _judged(self, name: str) -> bool:
        stages = self._generation(name).status.stages
        return any(stage.name == "evaluate" for stage in stages)

    def _generation(self, name: str) -> ModelGeneration:
        """A generation that may still become production.

        Raises:
            CommandError: it was given up, or is not there.
        """
        live: ModelGeneration | None
        live = self.watching.find(ModelGeneration, name)
        if live is None or conditions.is_true(
            live.status.conditions, conditions.STALLED
        ):
            why = _message(live) if live else "it is not there"
            msg = f"{name} will not be promoted: {why}"
            raise CommandError(msg)
        return live

    def _applied(self, head: str) -> ConfigRepository:
        """Wait until a commit is applied whole."""

        def done() -> ConfigRepository | None:
            live = self._repository()
            ready = conditions.is_true(
                live.status.conditions, conditions.READY
            )
            revision = live.status.last_applied_revision or ""
            return live if ready and revision.endswith(head) else None

        found: ConfigRepository = self.watching.until(
            f"{_short(head)} to be applied", done, SHORT_SECONDS
        )
        return found

    def _refused(self, head: str) -> ConfigRepository | None:
        live = self._repository()
        ready = conditions.find(live.status.conditions, conditions.READY)
        attempted = live.status.last_attempted_revision or ""
        refused = ready is not None and ready.reason in (
            "ReconciliationFailed",
            "BuildFailed",
        )
        return live if refused and attempted.endswith(head) else None

    def _repository(self) -> ConfigRepository:
        found: ConfigRepository = self.watching.find(ConfigRepository, NAME)
        return found

    def _model(self) -> Model:
        found: Model = self.watching.find(Model, MODEL)
        return found

    def _object(self, version: str, kind: str, name: str) -> Any:
        return self.session.run(
            self.session.client.get(version, kind, NAMESPACE, name)
        )

    def _path(self, name: str) -> str:
        return f"{FOLDER}/{name}.yaml"

    def _text(self, name: str) -> str:
        return (self.example / f"{name}.yaml").read_text()


def _short(revision: str | None) -> str:
    """Seven digits of a commit or of ``main@sha1:<commit>``."""
    return (revision or "").rpartition(":")[2][:7]


def _fault(live: ConfigRepository) -> str:
    """File, line and field of a refusal."""
    where, _, why = _message(live).partition(": ")
    return f"{where}: {why.rpartition('is invalid: ')[2]}"


def _message(live: ConfigRepository | ModelGeneration) -> str:
    ready = conditions.find(live.status.conditions, conditions.READY)
    return ready.message if ready else ""
