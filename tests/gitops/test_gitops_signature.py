"""Commits of ours that are signed, judged by git and by `git.verify`."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.gitops.promotion import Promotion
from reconciler.gitops.signature import SigningKey, SigningKeyError
from tests.gitops.signing import PgpPerson, SshPerson, pgp, run, sign_commit

MODEL = """\
apiVersion: reconciler.dev/v1alpha1
kind: Model
metadata: {name: docs}
spec:
  suiteRef: {name: suite}
"""
SECOND = Promotion("default", "docs", "docs-2")
PASSWORD = "correct horse"


@pytest.fixture
def ada(tmp_path: Path) -> SshPerson:
    return SshPerson(tmp_path, "ada")


@pytest.fixture
def bot(tmp_path: Path) -> SshPerson:
    return SshPerson(tmp_path, "bot")


@pytest.fixture
def robot(tmp_path: Path) -> Iterator[PgpPerson]:
    with pgp(tmp_path, "robot") as person:
        yield person


def private(person: PgpPerson) -> str:
    return run(
        "gpg", "--batch", "--pinentry-mode", "loopback", "--passphrase", "",
        "--armor", "--export-secret-keys", home=person.home,
    )  # fmt: skip


class Fleet:
    """A bare repository, a person with a key, and a repository of ours."""

    def __init__(
        self, make_engine: Any, remote: Any, ada: SshPerson, **signers: str
    ) -> None:
        self.remote, self.ada = remote, ada
        self.engine = make_engine(
            {
                "git": {
                    "url": remote.url,
                    "verify": {"secretRef": {"name": "signers"}},
                },
                "writeBack": {
                    "enabled": True,
                    "authorName": "bot",
                    "authorEmail": "bot@example.org",
                    "signingKeySecretRef": {"name": "bot"},
                },
            }
        )
        self.secret("signers", **{"ada.pub": ada.public, **signers})
        self.open = [SECOND]
        self.engine.promotions = self._pending

    def _pending(self, *_: Any) -> list[Promotion]:
        return [p for p in self.open if p.generation != self.pin]

    @property
    def pin(self) -> Any:
        live = self.engine.cluster.objects.get(("Model", "default", "docs"))
        return live and live["spec"].get("generation")

    def secret(self, name: str, **values: str) -> None:
        self.engine.cluster.objects["Secret", "default", name] = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": "default"},
            "data": {
                key.replace("_asc", ".asc").replace("_pub", ".pub"): (
                    base64.b64encode(value.encode()).decode()
                )
                for key, value in values.items()
            },
        }

    def told(self) -> tuple[str, str]:
        found = self.engine.condition("WrittenBack")
        return found["reason"], found["message"]


@pytest.fixture
def fleet(make_engine: Any, make_remote: Any, tmp_path: Path, ada: Any) -> Any:
    remote = make_remote(tmp_path / "r", bare=True)

    def make(**signers: str) -> Fleet:
        return Fleet(make_engine, remote, ada, **signers)

    return make


async def test_a_commit_signed_with_ssh_is_verified_and_applied(
    fleet: Any, ada: SshPerson, bot: SshPerson, tmp_path: Path
) -> None:
    it = fleet(bot_pub=bot.public)
    it.secret("bot", identity=bot.key.read_text())
    sign_commit(it.remote, ada, {"docs.yaml": MODEL})
    await it.engine.settle()
    assert it.pin == "docs-2"
    verified = it.engine.condition("SourceVerified")
    assert f"{it.remote.head[:12]} by bot (SHA256:" in verified["message"]
    allowed = tmp_path / "allowed"
    allowed.write_text(f"bot {bot.public}")
    settings = ("-c", f"gpg.ssh.allowedSignersFile={allowed}")
    it.remote.ask(*settings, "verify-commit", it.remote.head)


async def test_a_commit_signed_with_openpgp_is_verified_and_applied(
    fleet: Any, ada: SshPerson, robot: PgpPerson
) -> None:
    it = fleet(robot_asc=robot.public)
    it.secret("bot", git_asc=private(robot))
    sign_commit(it.remote, ada, {"docs.yaml": MODEL})
    await it.engine.settle()
    assert it.pin == "docs-2"
    said = it.engine.condition("SourceVerified")["message"]
    assert said.endswith(f"by OpenPGP key {robot.fingerprint}")
    it.remote.ask(*robot.settings, "verify-commit", it.remote.head)


async def test_keys_with_passwords(
    fleet: Any, ada: SshPerson, bot: SshPerson, tmp_path: Path
) -> None:
    locked = tmp_path / "locked"
    locked.write_text(bot.key.read_text())
    locked.chmod(0o600)
    run("ssh-keygen", "-q", "-p", "-P", "", "-N", PASSWORD, "-f", str(locked))
    it = fleet(bot_pub=bot.public)
    it.secret("bot", identity=locked.read_text(), password="wrong")
    sign_commit(it.remote, ada, {"docs.yaml": MODEL})
    await it.engine.settle()
    reason, message = it.told()
    assert reason == "SigningKeyInvalid"
    assert "cannot be read with its password" in message
    assert it.pin is None
    it.secret("bot", identity=locked.read_text(), password=f"{PASSWORD}\n")
    it.engine.wait(16)
    await it.engine.settle()
    assert it.pin == "docs-2"


def test_openpgp_keys_with_passphrases(remote: Any, robot: PgpPerson) -> None:
    (robot.home / "gpg-agent.conf").write_text("s2k-count 65536\n")
    run("gpgconf", "--kill", "gpg-agent", home=robot.home)
    run(
        "gpg", "--batch", "--pinentry-mode", "loopback", "--passphrase",
        PASSWORD, "--quick-gen-key", "locked", "ed25519", "sign", "never",
        home=robot.home,
    )  # fmt: skip
    text = run(
        "gpg", "--batch", "--pinentry-mode", "loopback", "--passphrase",
        PASSWORD, "--armor", "--export-secret-keys", "locked",
        home=robot.home,
    )  # fmt: skip
    remote.commit({"a.yaml": "1"})
    tree = remote.git("rev-parse", "HEAD^{tree}")

    def sign(password: str) -> subprocess.CompletedProcess[bytes]:
        values = {"git.asc": text.encode(), "passphrase": password.encode()}
        with SigningKey.of(values).environment() as environment:
            return subprocess.run(
                ["git", "commit-tree", tree, "-S", "-m", "x"],
                cwd=remote.work,
                env={
                    "PATH": "/usr/bin:/bin",
                    "GIT_AUTHOR_NAME": "b",
                    "GIT_AUTHOR_EMAIL": "b",
                    "GIT_COMMITTER_NAME": "b",
                    "GIT_COMMITTER_EMAIL": "b",
                    **environment,
                },
                capture_output=True,
                check=False,
                timeout=60,
            )

    assert sign("wrong").returncode != 0
    done = sign(PASSWORD)
    assert done.returncode == 0, done.stderr
    made = done.stdout.decode().strip()
    assert "BEGIN PGP SIGNATURE" in remote.git("cat-file", "commit", made)


async def test_what_verify_would_refuse_is_not_pushed(
    fleet: Any, ada: SshPerson, bot: SshPerson
) -> None:
    """The public key of the bot is not among those who may sign."""
    it = fleet()
    it.secret("bot", identity=bot.key.read_text())
    head = sign_commit(it.remote, ada, {"docs.yaml": MODEL})
    await it.engine.settle()
    reason, message = it.told()
    assert reason == "SignatureRefused"
    assert "add the public key of writeBack.signingKeySecretRef" in message
    assert it.remote.head == head
    assert it.engine.condition()["status"] == "True"
    it.secret("signers", **{"ada.pub": ada.public, "bot.pub": bot.public})
    it.engine.wait(16)
    await it.engine.settle()
    assert it.pin == "docs-2"


async def test_we_do_not_vouch_for_what_nobody_signed(
    fleet: Any, ada: SshPerson, bot: SshPerson, monkeypatch: Any
) -> None:
    """A push without a signature comes in between our look and our push."""
    from reconciler.gitops.commits import Committer

    it = fleet(bot_pub=bot.public)
    it.secret("bot", identity=bot.key.read_text())
    sign_commit(it.remote, ada, {"docs.yaml": MODEL})
    push, theirs = Committer.push, []

    def slow(self: Committer, *moved: str) -> bool:
        if not theirs:
            theirs.append(it.remote.commit({"evil.yaml": "a: 1\n"}))
        return push(self, *moved)

    monkeypatch.setattr(Committer, "push", slow)
    await it.engine.settle()
    assert it.remote.head == theirs[0]
    assert it.engine.condition("SourceVerified")["status"] == "False"
    assert "PromotionCommitted" not in it.engine.events.reasons()
    assert it.pin is None


async def test_proposals_are_signed_and_vouch_for_nobody_else(
    fleet: Any, ada: SshPerson, bot: SshPerson
) -> None:
    it = fleet(bot_pub=bot.public)
    it.engine.raw["spec"]["writeBack"]["push"] = {"branch": "next"}
    it.secret("bot", identity=bot.key.read_text())
    sign_commit(it.remote, ada, {"docs.yaml": MODEL})
    await it.engine.settle()
    assert it.told()[0] == "Proposed"
    signed = it.remote.ask("cat-file", "commit", "next")
    assert "BEGIN SSH SIGNATURE" in signed
    it.remote.git("fetch", "-q", "origin")
    it.remote.git("checkout", "-q", "-B", "theirs", "origin/next")
    it.remote.git("commit", "-q", "--allow-empty", "-m", "unsigned")
    it.remote.git("push", "-q", "origin", "theirs:next")
    head = it.remote.ask("rev-parse", "next")
    it.open = [SECOND, Promotion("default", "docs", "docs-3")]
    it.engine.wait()
    await it.engine.settle()
    assert it.told()[0] == "VerificationError"
    assert it.remote.ask("rev-parse", "next") == head
    assert it.engine.condition()["status"] == "True"


async def test_a_missing_key_holds_up_commits_and_nothing_else(
    fleet: Any, ada: SshPerson, make_config_map: Any
) -> None:
    it = fleet()
    sign_commit(
        it.remote, ada, {"docs.yaml": MODEL, "a.yaml": make_config_map("a")}
    )
    await it.engine.settle()
    assert it.told()[0] == "SigningKeyInvalid"
    assert "Secret default/bot does not exist" in it.told()[1]
    assert it.engine.condition()["status"] == "True"
    assert ("ConfigMap", "default", "a") in it.engine.cluster.objects


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, "needs either git.asc"),
        ({"git.asc": b"x", "identity": b"x"}, "needs either git.asc"),
        ({"identity": b"ssh-ed25519 AAAA"}, "identity is not a private key"),
        ({"git.asc": b"-----BEGIN PGP PUBLIC"}, "is not a private key"),
    ],
)
def test_secrets_that_are_no_key(values: Any, told: str) -> None:
    with pytest.raises(SigningKeyError, match=told):
        SigningKey.of(values)


def test_what_gpg_does_not_take_is_told() -> None:
    block = b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nAAAA\n"
    key = SigningKey.of({"git.asc": block})
    with (
        pytest.raises(SigningKeyError, match="gpg does not take a key"),
        key.environment(),
    ):
        pytest.fail("it is no key")


def test_a_key_does_not_show_in_a_repr(bot: SshPerson) -> None:
    values = {"identity": bot.key.read_bytes(), "password": b"hush"}
    shown = repr(SigningKey.of(values))
    assert "hush" not in shown
    assert "PRIVATE" not in shown
