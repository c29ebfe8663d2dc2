"""Signatures of commits and tags: known keys or nothing. Fail closed.

git judges with gpg or ssh-keygen, which see a folder that was made for this
one look and holds the Secret's public keys and nothing else.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from reconciler.engine.clock import utc_now
from reconciler.gitops.credentials import variables
from reconciler.gitops.git import Git
from reconciler.gitops.gnupg import GnuPG, GnuPGError
from reconciler.gitops.private import private_file, private_folder
from reconciler.gitops.reference import TAGS, Target
from reconciler.gitops.resource_source import VerificationMode
from reconciler.gitops.signers import Signers
from reconciler.gitops.tree import SourceError

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
class Verified:
    """What was found good."""

    by: str
    """One line that names objects and keys."""

    until: datetime | None = None
    """When a key's time begins or ends, so that it has to be judged anew."""


@dataclass(frozen=True)
class Policy:
    """What has to be signed, and by whom."""

    mode: VerificationMode
    signers: Signers

    def check(
        self, git: Git, target: Target, now: datetime | None = None
    ) -> Verified:
        """Who signed what was fetched.

        Args:
            git: the mirror that holds it.
            target: what was fetched.
            now: the time that SSH keys are judged at; the present one
                without it. gpg always takes the present one.

        Raises:
            VerificationError: a signature is missing, unknown or wrong.
            GitTimeoutError: it took too long.
            SignersError: the Secret's keys cannot be read.
        """
        found = []
        with _keys(self.signers, target, now or utc_now()) as keys:
            look = _Look(git, target, keys.environment)
            if self.mode != "HEAD":
                found.append(look.tag())
            if self.mode != "Tag":
                found.append(look.commit())
        return Verified("; ".join(found), keys.until)


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


@dataclass(frozen=True)
class _Keys:
    environment: Mapping[str, str]
    until: datetime | None


@contextlib.contextmanager
def _keys(signers: Signers, target: Target, now: datetime) -> Iterator[_Keys]:
    """Variables that make git see the signers and nobody else."""
    with private_folder() as folder:
        try:
            gpg = GnuPG.create(folder / "gnupg", "no-autostart")
            for key in signers.openpgp:
                gpg.add(key)
            changes = gpg.expirations() if signers.openpgp else []
        except GnuPGError as error:
            msg = f"git.verify.secretRef: {error}"
            raise VerificationError(target.revision, msg) from error
        allowed, revoked = folder / "allowed_signers", folder / "revoked"
        private_file(allowed, signers.allowed_at(now).encode())
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
        found = {"GNUPGHOME": str(gpg.home), **variables(settings)}
        later = [at for at in (*changes, *signers.bounds()) if at > now]
        yield _Keys(found, min(later, default=None))
