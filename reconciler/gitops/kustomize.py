"""Builds an overlay with kustomize, in a copy of the source and nothing else.

The program is the one of kustomize or of kubectl. It gets the files of the
revision in a folder of their own, no network, no plugins, no configuration
of the user, and a bounded time and size.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.gitops import program
from reconciler.gitops.documents import BuildError
from reconciler.gitops.kustomization import check, kustomization_of
from reconciler.gitops.program import EndlessError, HaltedError, LateError
from reconciler.gitops.tree import Tree

TIMEOUT = 60.0
MAX_OUTPUT = 64 * 1024 * 1024
MAX_MESSAGE = 1000

_PROGRAMS = {"kustomize": "build", "kubectl": "kustomize"}
_SEPARATOR = re.compile(rb"^---[ \t]*\n", re.MULTILINE)
_NOWHERE = "http://127.0.0.1:1"
"""A proxy that is not there: what slips through the check gets no answer."""


@dataclass(frozen=True)
class Kustomize:
    """How kustomize is run.

    Attributes:
        path: where the programs are looked for; None: on ``PATH``.
        timeout: seconds of one build.
        limit: bytes that a build may print.
        halt: ends a build when it is set.
    """

    path: str | None = None
    timeout: float = TIMEOUT
    limit: int = MAX_OUTPUT
    halt: threading.Event | None = field(default=None, compare=False)

    def files(self, tree: Tree) -> Mapping[str, bytes]:
        """The files to build objects from: rendered if it is an overlay.

        Raises:
            BuildError: the overlay is wrong, or there is no program for it.
        """
        if tree.overlay is None:
            return tree.files
        check(tree.files, tree.overlay)
        name = kustomization_of(tree.files, tree.overlay) or tree.overlay
        command = self._command(name)
        with _written(tree.files, name) as folder:
            out = self._run(command, folder, tree.overlay, name)
        found = (p for p in _SEPARATOR.split(out) if p.strip())
        return {f"{name}[{i:05}]": part for i, part in enumerate(found)}

    def _command(self, name: str) -> list[str]:
        for known, verb in _PROGRAMS.items():
            found = shutil.which(known, path=self.path)
            if found is not None:
                return [found, verb]
        reason = (
            "is a kustomization, and neither kustomize nor kubectl is on the "
            "controller's PATH; install one of them, or commit plain YAML"
        )
        raise BuildError(name, 1, reason)

    def _run(
        self, command: list[str], folder: Path, overlay: str, name: str
    ) -> bytes:
        home = folder / "home"
        home.mkdir()
        source = folder / "source"
        try:
            done = program.run(
                [*command, str(source / overlay)],
                seconds=self.timeout,
                environment=_environment(home),
                directory=source,
                limit=self.limit,
                halt=self.halt,
            )
        except OSError as error:
            reason = f"cannot run {command[0]}: {error}"
            raise BuildError(name, 1, reason) from error
        except LateError as error:
            reason = f"kustomize took more than {self.timeout:g}s"
            raise BuildError(name, 1, reason) from error
        except HaltedError as error:
            reason = "kustomize was broken off: this process ends"
            raise BuildError(name, 1, reason) from error
        except EndlessError as error:
            reason = f"kustomize printed more than {self.limit} bytes"
            raise BuildError(name, 1, reason) from error
        if done.code != 0:
            told = done.err.decode("utf-8", "replace")
            raise BuildError(name, 1, _message(told, source))
        return done.out


def _environment(home: Path) -> dict[str, str]:
    return {
        "PATH": "",
        "HOME": str(home),
        "TMPDIR": str(home),
        "XDG_CONFIG_HOME": str(home),
        "XDG_CACHE_HOME": str(home),
        "KUBECONFIG": os.devnull,
        "HTTP_PROXY": _NOWHERE,
        "HTTPS_PROXY": _NOWHERE,
        "NO_PROXY": "",
        "LC_ALL": "C",
    }


@contextlib.contextmanager
def _written(files: Mapping[str, bytes], name: str) -> Iterator[Path]:
    """The files in a folder that is gone afterwards."""
    try:
        with tempfile.TemporaryDirectory(prefix="kustomize-") as made:
            folder = Path(made).resolve()
            for path, data in files.items():
                target = folder / "source" / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
            yield folder
    except OSError as error:
        reason = f"cannot hand the files to kustomize: {error.strerror}"
        raise BuildError(name, 1, reason) from error


def _message(told: str, source: Path) -> str:
    """Its last words, with paths as they are in the source."""
    text = told.strip().replace(f"{source}/", "").replace(str(source), ".")
    lines = [line for line in text.splitlines() if line.strip()]
    shown = (lines[-1] if lines else "no message")[:MAX_MESSAGE]
    return f"kustomize: {shown}"
