"""The git binary behind one adapter: a bare mirror per repository.

Every call is bounded in time, asks nobody anything, runs no hook, reads no
configuration of the user or the system and follows no submodule. Blocking:
call it from a thread.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from reconciler.gitops.tree import (
    Limits,
    SourceError,
    Tree,
    clean_folder,
    is_configuration,
    is_hidden,
    refuse_link,
)

SHA = re.compile(r"^[0-9a-f]{40}$")

_SETTINGS = {
    "core.hooksPath": os.devnull,
    "core.askPass": "",
    "core.fsmonitor": "false",
    "credential.helper": "",
    "fetch.fsckObjects": "true",
    "fetch.recurseSubmodules": "false",
    "submodule.recurse": "false",
    "filter.lfs.smudge": "",
    "filter.lfs.process": "",
    "gc.autoDetach": "false",
    "maintenance.autoDetach": "false",
    "protocol.allow": "never",
    "protocol.file.allow": "always",
    "protocol.http.allow": "always",
    "protocol.https.allow": "always",
    "protocol.ssh.allow": "always",
    "http.lowSpeedLimit": "1",
    "http.lowSpeedTime": "30",
    "commit.gpgSign": "false",
    "push.gpgSign": "false",
}
_KEPT = (
    "PATH",
    "LD_LIBRARY_PATH",
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
)
_SSH = (
    "ssh -oBatchMode=yes -oStrictHostKeyChecking=yes -oConnectTimeout=10 "
    "-oServerAliveInterval=10 -oServerAliveCountMax=2"
)


class GitError(SourceError):
    """git refused or failed; the message is its own, shortened."""


class GitTimeoutError(GitError):
    """git did not end in time and was killed."""


def redact(text: str) -> str:
    """The text without user:password@ of any URL in it."""
    return re.sub(r"(\w+://)[^/\s@]+@", r"\1", text)


@dataclass(frozen=True)
class Git:
    """Runs git in one directory with a scrubbed environment."""

    directory: Path
    """Bare repository."""

    timeout: float = 60.0
    """Seconds until the deadline: of one call, or of all if `until` is set."""

    remote: str = ""
    """URL; a file:// one is trusted whoever owns its files."""

    until: float | None = None
    """Deadline of all calls together, in monotonic seconds."""

    environment: Mapping[str, str] = field(default_factory=dict)

    def run(
        self,
        *arguments: str,
        stdin: bytes = b"",
        extra: Mapping[str, str] | None = None,
    ) -> bytes:
        """Run one command and return what it printed.

        Raises:
            GitTimeoutError: it took too long.
            GitError: it failed.
        """
        command = ["git", *self._settings(), *arguments]
        environment = self._environment() | dict(extra or {})
        try:
            process = subprocess.Popen(
                command,
                cwd=self.directory,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            msg = f"cannot run git: {error}"
            raise GitError(msg) from error
        out, err = self._wait(process, arguments[0], stdin)
        if process.returncode != 0:
            raise GitError(_message(arguments[0], err))
        return out

    def _wait(
        self, process: subprocess.Popen[bytes], name: str, stdin: bytes
    ) -> tuple[bytes, bytes]:
        left = self.timeout
        if self.until is not None:
            left = max(self.until - time.monotonic(), 0.05)
        try:
            return process.communicate(stdin, timeout=left)
        except subprocess.TimeoutExpired as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            msg = f"git {name} took more than {self.timeout:g}s"
            raise GitTimeoutError(msg) from error

    def text(self, *arguments: str) -> str:
        """Like `run`, as stripped text."""
        return self.run(*arguments).decode("utf-8", "replace").strip()

    def _settings(self) -> list[str]:
        pairs = (f"{key}={value}" for key, value in _SETTINGS.items())
        return [word for pair in pairs for word in ("-c", pair)]

    def _environment(self) -> dict[str, str]:
        kept = {k: os.environ[k] for k in _KEPT if k in os.environ}
        return kept | {
            "HOME": str(self.directory.parent),
            "LC_ALL": "C",
            "GIT_CEILING_DIRECTORIES": str(self.directory.parent),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": str(self._trust()),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "false",
            "SSH_ASKPASS": "false",
            "GIT_SSH_COMMAND": _SSH,
            "GIT_LFS_SKIP_SMUDGE": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            **self.environment,
        }

    def _trust(self) -> Path:
        """A configuration that trusts the local remote.

        git refuses a repository of another owner. The remote was named by
        whoever may write a ConfigRepository; only that one is trusted, and
        the child process that serves it reads nothing but this file.
        """
        paths = []
        parts = urlsplit(self.remote)
        if parts.scheme == "file":
            local = unquote(parts.path).rstrip("/")
            paths = [local, f"{local}/.git"]
        lines = ["[safe]", *(f'\tdirectory = "{_quoted(p)}"' for p in paths)]
        text = "\n".join(lines) + "\n"
        target = self.directory.parent / "trusted.gitconfig"
        if not target.is_file() or target.read_text() != text:
            target.write_text(text)
        return target


def _quoted(path: str) -> str:
    return path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "")


def _message(name: str, err: bytes) -> str:
    lines = redact(err.decode("utf-8", "replace")).splitlines()
    told = [line.strip() for line in lines if line.strip()]
    important = [
        line
        for line in told
        if line.startswith(("fatal:", "error:", "remote:", "!"))
    ]
    text = "; ".join(important or told)[:1000] or "no message"
    return f"git {name}: {text}"


@dataclass(frozen=True)
class Mirror:
    """A bare clone that holds one branch of a remote repository."""

    git: Git
    branch: str

    @property
    def ref(self) -> str:
        """Full name of the branch, the same here and there."""
        return f"refs/heads/{self.branch}"

    def fetch(self) -> str:
        """Bring the branch here and return its commit.

        A mirror that is damaged, or was left locked by a killed process, is
        cloned again. Force-pushed history is followed.

        Raises:
            GitError: the remote cannot be read or has no such branch.
        """
        if not (self.git.directory / "HEAD").is_file():
            self._create()
        try:
            return self._fetch()
        except GitTimeoutError:
            raise
        except GitError:
            self.remote_head()
        # The remote answers, so the fault is here.
        self._create()
        return self._fetch()

    def remote_head(self) -> str:
        """The commit of the branch at the remote; nothing is fetched.

        Raises:
            GitError: the remote cannot be read or has no such branch.
        """
        outside = self.git.directory.parent / "outside"
        outside.mkdir(parents=True, exist_ok=True)
        healthy = replace(self.git, directory=outside)
        found = healthy.text("ls-remote", self.git.remote, self.ref)
        for line in found.splitlines():
            commit, _, name = line.partition("\t")
            if name == self.ref:
                return commit
        where = redact(self.git.remote)
        msg = f"branch {self.branch} does not exist in {where}"
        raise GitError(msg)

    def _fetch(self) -> str:
        refspec = f"+{self.ref}:{self.ref}"
        self.git.run(
            "fetch", "--no-tags", "--no-write-fetch-head",
            "--no-recurse-submodules", "--force", "--quiet",
            self.git.remote, refspec,
        )  # fmt: skip
        head = self.head()
        if head is None:
            msg = f"branch {self.branch} was not fetched: bad object"
            raise GitError(msg)
        # A damaged object shows now and not while the tree is read.
        self.git.run("ls-tree", "-r", "-l", "-z", head)
        return head

    def _create(self) -> None:
        """An empty repository in place of whatever is there."""
        directory = self.git.directory
        directory.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix="clone-", dir=directory.parent))
        Git(fresh, self.git.timeout).run(
            "init", "--bare", "--quiet", "--template=", "."
        )
        shutil.rmtree(directory, ignore_errors=True)
        fresh.rename(directory)

    def head(self) -> str | None:
        """The commit that was fetched last."""
        try:
            name = f"{self.ref}^{{commit}}"
            found = self.git.text("rev-parse", "--verify", "--quiet", name)
        except GitError:
            return None
        return found if SHA.match(found) else None

    def is_ancestor(self, old: str, new: str) -> bool:
        """Whether `old` is in the history of `new`."""
        try:
            self.git.run("merge-base", "--is-ancestor", old, new)
        except GitTimeoutError:
            raise
        except GitError:
            return False
        return True

    def export(self, commit: str, folder: str) -> Tree:
        """The configuration files below a folder of a commit.

        Raises:
            SourceError: no such folder, too large, or unreadable.
            UnsafePathError: a link or a path leads out of the tree.
        """
        below = clean_folder(folder)
        entries = self._entries(commit, below)
        wanted = _select(entries)
        files = self._blobs([(path, e.sha) for path, e in wanted.items()])
        return Tree(f"{self.branch}@sha1:{commit}", files)

    def _entries(self, commit: str, below: str) -> list[_Entry]:
        treeish = f"{commit}:{below}" if below else commit
        if below and self._kind(treeish) != "tree":
            msg = f"folder {below} does not exist at {commit[:12]}"
            raise SourceError(msg)
        out = self.git.run("ls-tree", "-r", "-l", "-z", treeish)
        return [_entry(line) for line in out.split(b"\0") if line]

    def _kind(self, treeish: str) -> str:
        try:
            return self.git.text("cat-file", "-t", treeish)
        except GitTimeoutError:
            raise
        except GitError:
            return ""

    def _blobs(self, wanted: Sequence[tuple[str, str]]) -> dict[str, bytes]:
        asked = "".join(f"{sha}\n" for _, sha in wanted).encode()
        out = self.git.run("cat-file", "--batch", stdin=asked)
        files, at = {}, 0
        for path, sha in wanted:
            end = out.index(b"\n", at)
            name, kind, size = (*out[at:end].split(b" "), b"", b"")[:3]
            if name.decode() != sha or kind != b"blob":
                msg = f"git cat-file: {path}: bad object {sha}"
                raise GitError(msg)
            start = end + 1
            files[path] = out[start : start + int(size)]
            at = start + int(size) + 1
        return files


@dataclass(frozen=True)
class _Entry:
    mode: str
    sha: str
    size: int
    path: str


def _entry(line: bytes) -> _Entry:
    """One line of ``ls-tree -r -l -z``."""
    head, _, path = line.partition(b"\t")
    mode, _, sha, size = head.decode().split()
    name = path.decode("utf-8", "surrogateescape")
    return _Entry(mode, sha, 0 if size == "-" else int(size), name)


def _select(entries: Sequence[_Entry]) -> dict[str, _Entry]:
    limits = Limits()
    chosen = {}
    for entry in entries:
        if entry.mode == "120000" and not is_hidden(entry.path):
            raise refuse_link(entry.path)
        if not entry.mode.startswith("100"):
            continue
        if is_configuration(entry.path):
            limits.add(entry.path, entry.size)
            chosen[entry.path] = entry
    return chosen
