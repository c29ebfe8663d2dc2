"""The example of a fleet, as its README says: SSH, signatures, SOPS."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from operating import Up

from reconciler.cli.main import main
from reconciler.cli.session import Session
from reconciler.engine import conditions
from reconciler.engine.resource import ANNOTATIONS, Resource
from reconciler.evaluation.resource import EvaluationSuite
from reconciler.feedback.resource import FeedbackStore
from reconciler.generations.resource import Model, TrainingSchedule
from reconciler.gitops.resource import ConfigRepository
from reconciler.storage.resource import DatasetLayout
from tests.gitops.conftest import Remote
from tests.gitops.signing import SshPerson
from tests.gitops.ssh_server import SshThread

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        not (shutil.which("kustomize") or shutil.which("kubectl")),
        reason="neither kustomize nor kubectl is installed",
    ),
]
EXAMPLES = Path(__file__).parents[2] / "examples"
URL = "ssh://git@git.example.org/team/fleet.git"
REPOSITORIES = ("fleet", "platform", "staging", "production")
SECONDS = 240.0


class Fleet:
    """A person at a keyboard."""

    def __init__(
        self, up: Up, session: Session, remote: Remote, url: str
    ) -> None:
        self.up = up
        self.session = session
        self.remote = remote
        self.url = url

    def secret(self, name: str, **values: str) -> None:
        self.session.run(
            self.session.client.apply(
                {
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "metadata": {"name": name, "namespace": "default"},
                    "stringData": values,
                }
            )
        )

    def bootstrap(self, *words: str) -> int:
        state = str(self.up.state.root)
        return main(
            ["--state", state, "bootstrap", self.url, "--no-wait", *words]
        )

    def fill(self) -> None:
        """What the README has people copy and edit."""
        self.remote.git("pull", "-q", "--rebase", "origin", "main")
        work = self.remote.work
        shutil.copytree(EXAMPLES / "fleet", work, dirs_exist_ok=True)
        file = work / "clusters/fleet/environments.yaml"
        assert URL in file.read_text()
        file.write_text(file.read_text().replace(URL, self.url))

    def push(self, person: SshPerson | None, message: str) -> str:
        settings = person.settings if person else ()
        signed = ("-S",) if person else ()
        git = self.remote.git
        git("add", "-A")
        git(*settings, "commit", "-q", *signed, "-m", message)
        self.remote.publish()
        return self.remote.head

    def ask(self, token: str, *names: str) -> None:
        """`reconciler reconcile` of some repositories."""
        for name in names:
            self.session.annotate(
                "ConfigRepository",
                "default",
                name,
                **{ANNOTATIONS.requested_at: token},
            )

    def repository(self, name: str) -> ConfigRepository | None:
        found: ConfigRepository | None
        found = self.session.find(ConfigRepository, "default", name)
        return found

    def applied(self, name: str, head: str) -> bool:
        live = self.repository(name)
        return (
            live is not None
            and conditions.is_true(live.status.conditions, conditions.READY)
            and (live.status.last_applied_revision or "").endswith(head)
        )

    def ready(self, kind: type[Resource], namespace: str, name: str) -> bool:
        live = self.session.find(kind, namespace, name)
        return live is not None and conditions.is_true(
            live.status.conditions, conditions.READY
        )

    def refused(self, name: str) -> bool:
        live = self.repository(name)
        assert live is not None
        found = conditions.find(live.status.conditions, "SourceVerified")
        return found is not None and found.status == "False"


def test_the_fleet_arrives_in_order_and_only_if_signed(
    up: Up, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    remote = Remote(tmp_path / "remote", bare=True)
    ada = SshPerson(tmp_path, "ada")
    ssh = SshThread(tmp_path)
    up.start()
    try:
        with up.session() as session:
            fleet = Fleet(up, session, remote, ssh.url(remote.home))
            bot = SshPerson(tmp_path, "bot")
            fleet.secret("fleet-bot", identity=bot.key.read_text())
            people = {"ada.pub": ada.public, "bot.pub": bot.public}
            fleet.secret("signers", **people)
            key = (EXAMPLES / "fleet.agekey").read_text()
            fleet.secret("sops-age", **{"age.agekey": key})
            begin(fleet, ssh, capsys)
            fleet.fill()
            head = fleet.push(ada, "The fleet")
            fleet.ask("filled", "fleet")
            for name in REPOSITORIES:
                up.until(
                    lambda n=name: fleet.applied(n, head),
                    SECONDS,
                    f"{name} at {head}",
                )
            check_objects(up, fleet)
            check_unsigned(up, fleet, head)
    finally:
        up.stop()
        ssh.close()


def begin(fleet: Fleet, ssh: SshThread, capsys: Any) -> None:
    """Bootstrap, with a stop until the deploy key was added."""
    assert fleet.bootstrap("--host-key", ssh.fingerprint) == 1
    told = capsys.readouterr().err.splitlines()
    ssh.allow(next(x for x in told if "ssh-ed25519" in x).strip())
    assert fleet.bootstrap() == 0
    assert fleet.bootstrap("-o", "json") == 0
    assert '"changed": false' in capsys.readouterr().out


def check_objects(up: Up, fleet: Fleet) -> None:
    """All that needs no trained model is Ready."""
    for namespace in ("staging", "production"):
        for kind, name in (
            (DatasetLayout, "models"),
            (EvaluationSuite, "house-style"),
            (FeedbackStore, "opinions"),
            (TrainingSchedule, "docs-assistant"),
        ):
            up.until(
                lambda k=kind, n=name, s=namespace: fleet.ready(k, s, n),
                SECONDS,
                f"{namespace}/{name}",
            )
    modes = {
        namespace: fleet.session.find(
            Model, namespace, "docs-assistant"
        ).spec.promotion.mode
        for namespace in ("staging", "production")
    }
    assert modes == {"staging": "Automatic", "production": "Manual"}
    hook = fleet.session.run(
        fleet.session.client.get("v1", "Secret", "default", "fleet-hook")
    )
    assert hook is not None
    assert "ENC[" not in str(hook["data"])
    assert "sops" not in hook


def check_unsigned(up: Up, fleet: Fleet, head: str) -> None:
    """A commit that nobody signed changes nothing."""
    file = fleet.remote.work / "production" / "model.yaml"
    file.write_text(file.read_text().replace("Manual", "Automatic"))
    fleet.push(None, "Unsigned")
    names = ("platform", "staging", "production")
    fleet.ask("unsigned", *names)
    for name in names:
        up.until(
            lambda n=name: fleet.refused(n), SECONDS, f"refusal by {name}"
        )
        live = fleet.repository(name)
        assert live is not None
        assert (live.status.last_applied_revision or "").endswith(head)
    model = fleet.session.find(Model, "production", "docs-assistant")
    assert model.spec.promotion.mode == "Manual"
