"""The git binary behind one adapter.

Every call is bounded in time, asks nobody anything, runs no hook, reads no
configuration of the user or the system and follows no submodule by itself.
Blocking: call it from a thread.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from reconciler.gitops import program
from reconciler.gitops.credentials import Credentials
from reconciler.gitops.program import (
    EndlessError,
    Finished,
    HaltedError,
    LateError,
)
from reconciler.gitops.tree import SourceError

_SETTINGS: Mapping[str, str] = {
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
    "-oServerAliveInterval=10 -oServerAliveCountMax=2 "
    "-oControlMaster=no -oControlPath=none"
)


_HINT = re.compile(
    r"^(fatal: Could not read from remote|Please make sure|"
    r"and the repository exists|Warning:|@+$|$)"
)
_REDIRECTED = re.compile(r"requested URL returned error: 30[12378]")
_REMOTE = frozenset({"fetch", "ls-remote", "push"})


class GitError(SourceError):
    """git refused or failed; the message is its own, shortened."""


class GitTimeoutError(GitError):
    """git was killed: it did not end in time, or we end."""


class GitOutputError(SourceError):
    """git printed more than it may and was killed."""


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
    credentials: Credentials | None = None
    """Given to the calls that talk to the remote, and to no other."""

    halt: threading.Event | None = field(default=None, compare=False)
    """Ends all calls when it is set."""

    def run(
        self,
        *arguments: str,
        stdin: bytes = b"",
        extra: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
        limit: int = program.MOST,
    ) -> bytes:
        """Run one command and return what it printed.

        Args:
            arguments: the command and what follows it.
            stdin: what it reads.
            extra: more variables of its environment.
            settings: more of its configuration.
            limit: bytes that it may print.

        Raises:
            GitTimeoutError: it took too long.
            GitOutputError: it printed too much.
            GitError: it failed.
        """
        with self._access(arguments[0]) as access:
            given = access | dict(extra or {})
            done = self._finish(arguments, stdin, given, settings or {}, limit)
        if done.code != 0:
            raise GitError(_message(arguments[0], done.err))
        return done.out

    def finish(
        self, *arguments: str, extra: Mapping[str, str] | None = None
    ) -> Finished:
        """Run one local command; its exit status is an answer.

        Raises:
            GitTimeoutError: it took too long.
            GitError: git does not run.
        """
        return self._finish(arguments, b"", extra or {}, {})

    @contextlib.contextmanager
    def _access(self, name: str) -> Iterator[dict[str, str]]:
        if self.credentials is None or name not in _REMOTE:
            yield {}
            return
        with self.credentials.environment() as environment:
            yield environment

    def _finish(
        self,
        arguments: tuple[str, ...],
        stdin: bytes,
        extra: Mapping[str, str],
        settings: Mapping[str, str],
        limit: int = program.MOST,
    ) -> Finished:
        command = ["git", *_options({**_SETTINGS, **settings}), *arguments]
        name = arguments[0]
        try:
            return program.run(
                command,
                seconds=self._seconds,
                environment=self._environment(name) | dict(extra),
                directory=self.directory,
                stdin=stdin,
                limit=limit,
                halt=self.halt,
            )
        except OSError as error:
            msg = f"cannot run git: {error}"
            raise GitError(msg) from error
        except LateError as error:
            msg = f"git {name} took more than {self.timeout:g}s"
            raise GitTimeoutError(msg) from error
        except HaltedError as error:
            msg = f"git {name} was broken off: this process ends"
            raise GitTimeoutError(msg) from error
        except EndlessError as error:
            msg = f"git {name} printed more than {limit // 2**20} MiB"
            raise GitOutputError(msg) from error

    @property
    def _seconds(self) -> float:
        """Until the deadline."""
        if self.until is None:
            return self.timeout
        return max(self.until - time.monotonic(), 0.05)

    def text(self, *arguments: str) -> str:
        """Like `run`, as stripped text."""
        return self.run(*arguments).decode("utf-8", "replace").strip()

    def _environment(self, name: str) -> dict[str, str]:
        kept = {k: os.environ[k] for k in _KEPT if k in os.environ}
        return kept | {
            "HOME": str(self.directory.parent),
            "LC_ALL": "C",
            "GIT_CEILING_DIRECTORIES": str(self.directory.parent),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": self._trust(name),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "false",
            "SSH_ASKPASS": "false",
            "GIT_SSH_COMMAND": _SSH,
            "GIT_LFS_SKIP_SMUDGE": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            **self.environment,
        }

    def _trust(self, name: str) -> str:
        """A configuration that trusts the local remote to be read.

        git refuses a repository of another owner. The remote was named by
        whoever may write a ConfigRepository; only that one is trusted, and
        the child process that serves it reads nothing but this file. A push
        is something else: it runs the other's hooks with our rights.
        """
        if name == "push":
            return os.devnull
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
        return str(target)


def _options(settings: Mapping[str, str]) -> list[str]:
    pairs = (f"{key}={value}" for key, value in settings.items())
    return [word for pair in pairs for word in ("-c", pair)]


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
    if any("Could not read from remote" in line for line in important):
        important = [line for line in told if not _HINT.match(line)]  # ssh's
    text = "; ".join(important or told)[:1000] or "no message"
    if _REDIRECTED.search(text):
        text += (
            "; credentials are not sent to where a server redirects: put the "
            "final URL into git.url (often it ends in .git)"
        )
    return f"git {name}: {text}"
