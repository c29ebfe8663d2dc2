"""Signatures of commits and tags: known keys or nothing. Fail closed.

git judges with gpg or ssh-keygen, which see a folder that was made for this
one look and holds the Secret's public keys and nothing else.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from reconciler.gitops.credentials import private_file, private_folder
from reconciler.gitops.git import Git, GitTimeoutError
from reconciler.gitops.reference import TAGS, Target
from reconciler.gitops.resource_source import VerificationMode
from reconciler.gitops.signers import Signers
from reconciler.gitops.tree import SourceError

_GPG_SETTINGS = (
    "batch", "no-tty", "no-auto-key-retrieve", "no-auto-key-locate",
    "disable-dirmngr", "no-autostart", "trust-model always",
    "weak-digest SHA1",
)  # fmt: skip
_IMPORT_SECONDS = 20.0
_PGP = re.compile(r"^\[GNUPG:\] VALIDSIG ([0-9A-F]{40,64})\b", re.MULTILINE)
_SSH = re.compile(
    r'^Good "git" signature for (.+) with \S+ key (SHA256:\S+)$', re.MULTILINE
)
_WHY = {
    "EXPKEYSIG": "the key has expired",
    "REVKEYSIG": "the key was revoked",
    "EXPSIG": "the signature has expired",
    "BADSIG": "it is over another content",
    "NO_PUBKEY": "the key is not one of git.verify.secretRef",
}


class VerificationError(SourceError):
    """A revision is not signed as it has to be; it must not be applied."""

    def __init__(self, revision: str, message: str) -> None:
        super().__init__(message)
        self.revision = revision


@dataclass(frozen=True)
class Policy:
    """What has to be signed, and by whom."""

    mode: VerificationMode
    signers: Signers

    def check(self, git: Git, target: Target) -> str:
        """Who signed what was fetched.

        Args:
            git: the mirror that holds it.
            target: what was fetched.

        Returns:
            One line that names objects and keys.

        Raises:
            VerificationError: a signature is missing, unknown or wrong.
            GitTimeoutError: it took too long.
            SignersError: the Secret's keys cannot be read.
        """
        found = []
        with _keys(self.signers, target) as environment:
            look = _Look(git, target, environment)
            if self.mode != "HEAD":
                found.append(look.tag())
            if self.mode != "Tag":
                found.append(look.commit())
        return "; ".join(found)


@dataclass(frozen=True)
class _Look:
    git: Git
    target: Target
    environment: Mapping[str, str]

    def commit(self) -> str:
        sha = self.target.commit
        what = f"commit {sha[:12]}"
        return f"{what} by {self._signer('verify-commit', sha, what)}"

    def tag(self) -> str:
        """Verify the tag that names the commit, under its own name.

        The ref is not signed, the name in the tag is: an old tag that is
        moved below a newer name has to be refused.
        """
        ref = self.target.name
        name = ref.removeprefix(TAGS)
        what = f"tag {name}"
        if name == ref:
            raise self._refused("git.verify wants a tag, and git.ref is none")
        sha = self.git.text("rev-parse", "--verify", ref)
        if fault := self._unlike(sha, name):
            msg = f"{what} {fault}"
            raise self._refused(msg)
        return f"{what} by {self._signer('verify-tag', sha, what)}"

    def _unlike(self, sha: str, name: str) -> str:
        """Why an object is not the tag of that name and commit."""
        if self.git.text("cat-file", "-t", sha) != "tag":
            return "is not annotated, so not signed"
        commit = self.git.text("rev-parse", "--verify", f"{sha}^{{commit}}")
        if commit != self.target.commit:
            return "is of another commit"
        head, _, _ = self.git.text("cat-file", "tag", sha).partition("\n\n")
        if f"tag {name}" not in head.split("\n"):
            return "was signed under another name"
        return ""

    def _signer(self, command: str, sha: str, what: str) -> str:
        done = self.git.finish(command, "--raw", sha, extra=self.environment)
        told = done.err.decode("utf-8", "replace")
        keys = [f"OpenPGP key {fpr}" for fpr in _PGP.findall(told)]
        keys += [f"{who} ({key})" for who, key in _SSH.findall(told)]
        if done.code != 0 or len(keys) != 1:
            msg = f"{what} {_fault(told)}"
            raise self._refused(msg)
        return keys[0]

    def _refused(self, message: str) -> VerificationError:
        return VerificationError(self.target.revision, message)


def _fault(told: str) -> str:
    """What git, gpg and ssh-keygen said, in few words."""
    if told.strip() in ("", "error: no signature found"):
        return "is not signed"
    words = re.findall(r"^\[GNUPG:\] (\w+)", told, re.MULTILINE)
    reason = next((_WHY[w] for w in _WHY if w in words), "")
    if reason:
        return f"has no valid signature: {reason}"
    if "No principal matched" in told:
        return f"has no valid signature: {_WHY['NO_PUBKEY']}"
    lines = [x for x in told.splitlines() if not x.startswith("[GNUPG:]")]
    return f"has no valid signature: {'; '.join(lines)[:300] or 'unknown'}"


@contextlib.contextmanager
def _keys(signers: Signers, target: Target) -> Iterator[dict[str, str]]:
    """Variables that make git see the signers and nobody else."""
    with private_folder() as folder:
        home = folder / "gnupg"
        home.mkdir(mode=0o700)
        if signers.openpgp:
            _import(home, signers, target)
        allowed, revoked = folder / "allowed_signers", folder / "revoked"
        lines = signers.allowed_at(datetime.now(UTC))
        private_file(allowed, lines.encode())
        private_file(revoked, signers.revoked)
        settings = {
            "gpg.program": "gpg",
            "gpg.openpgp.program": "gpg",
            "gpg.ssh.program": "ssh-keygen",
            "gpg.x509.program": "false",
            "gpg.minTrustLevel": "undefined",
            "gpg.ssh.allowedSignersFile": str(allowed),
            "gpg.ssh.revocationFile": str(revoked),
        }
        found = {"GNUPGHOME": str(home)}
        for number, (key, value) in enumerate(settings.items()):
            found[f"GIT_CONFIG_KEY_{number}"] = key
            found[f"GIT_CONFIG_VALUE_{number}"] = value
        yield found | {"GIT_CONFIG_COUNT": str(len(settings))}


def _import(home: Path, signers: Signers, target: Target) -> None:
    private_file(home / "gpg.conf", "\n".join(_GPG_SETTINGS).encode() + b"\n")
    program = shutil.which("gpg")
    if program is None:
        msg = "gpg is not installed where the controller runs"
        raise VerificationError(target.revision, msg)
    for key in signers.openpgp:
        code, told = _bounded([program, "--quiet", "--import"], home, key)
        if code != 0:
            msg = f"git.verify.secretRef: gpg does not take a key: {told}"
            raise VerificationError(target.revision, msg)


def _bounded(command: list[str], home: Path, stdin: bytes) -> tuple[int, str]:
    environment = {
        "GNUPGHOME": str(home),
        "HOME": str(home),
        "LC_ALL": "C",
        "PATH": os.environ.get("PATH", os.defpath),
    }
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    try:
        _, err = process.communicate(stdin, timeout=_IMPORT_SECONDS)
    except subprocess.TimeoutExpired as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        msg = f"gpg --import took more than {_IMPORT_SECONDS:g}s"
        raise GitTimeoutError(msg) from error
    told = err.decode("utf-8", "replace").splitlines()
    return process.returncode, "; ".join(told)[:300]
