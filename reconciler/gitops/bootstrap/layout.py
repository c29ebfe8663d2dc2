"""What bootstrap puts into a repository, and what it finds there. Pure.

The ConfigRepository is itself a file of the folder that it follows, so that
its interval, its signers or its write-back are changed by a commit.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML

from reconciler.engine.resource import API_VERSION, GROUP
from reconciler.gitops.manifest import DesiredObject, ObjectId
from reconciler.gitops.resource import (
    ConfigRepository,
    ConfigRepositorySpec,
    Dependency,
)
from reconciler.gitops.tree import SourceError, clean_folder, is_hidden

FILE = "repository.yaml"
HEADER = """\
# Written once by `reconciler bootstrap`; from now on this file is yours. What
# it says is followed, this file included.
"""
_SCP = re.compile(r"^(?:[^\s@/:]+@)?[^\s@/:]+:(?!//)\S+$")


class LayoutError(Exception):
    """What was asked for cannot be, or the repository says otherwise."""


@dataclass(frozen=True)
class Layout:
    """What is to be followed, and under which name."""

    url: str
    name: str = "fleet"
    namespace: str = "default"
    branch: str = "main"
    path: str = ""
    """Folder of the repository; empty: ``clusters/NAME``."""

    secret: str | None = None
    """Secret with the credentials; none for a file:// URL."""

    interval: str = "1m"
    write_back: bool = False

    @property
    def folder(self) -> str:
        """The folder that is followed."""
        return clean_folder(self.path or f"clusters/{self.name}")

    @property
    def file(self) -> str:
        """Where the ConfigRepository is written."""
        return f"{self.folder}/{FILE}" if self.folder else FILE

    @property
    def id(self) -> ObjectId:
        """The ConfigRepository."""
        return ObjectId(self.namespace, self.name, GROUP, "ConfigRepository")

    def body(self) -> dict[str, Any]:
        """The ConfigRepository as it is written."""
        git: dict[str, Any] = {"url": self.url, "ref": {"branch": self.branch}}
        if self.secret:
            git["secretRef"] = {"name": self.secret}
        spec: dict[str, Any] = {
            "git": git,
            "path": self.folder or ".",
            "interval": self.interval,
        }
        if self.write_back:
            spec["writeBack"] = {"enabled": True}
        return {
            "apiVersion": API_VERSION,
            "kind": "ConfigRepository",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": spec,
        }

    def text(self) -> bytes:
        """The file."""
        out = io.StringIO()
        YAML().dump(self.body(), out)
        return (HEADER + out.getvalue()).encode()

    def checked(self) -> Layout:
        """The same, if it can be.

        Raises:
            LayoutError: a field is not valid; says which and the way out.
        """
        if "://" not in self.url and _SCP.match(self.url):
            host, _, path = self.url.partition(":")
            msg = f"{self.url}: write ssh://{host}/{path.lstrip('/')}"
            raise LayoutError(msg)
        try:
            hidden = is_hidden(self.folder)
            ConfigRepository.parse(self.body())
            # What a reference to it may be called is what it may be called.
            Dependency(name=self.name, namespace=self.namespace)
        except SourceError as error:
            msg = f"--path: {error}"
            raise LayoutError(msg) from error
        except ValidationError as error:
            raise LayoutError(_first(error)) from error
        if hidden:
            msg = f"--path {self.path}: nothing below a dot folder is read"
            raise LayoutError(msg)
        return self


def _first(error: ValidationError) -> str:
    """The first thing that is wrong, with its field."""
    found = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in found["loc"])
    return f"{where}: {found['msg']} (it is {found['input']!r})"


def defined(
    layout: Layout, objects: Iterable[DesiredObject]
) -> DesiredObject | None:
    """The ConfigRepository that the folder defines already, if any.

    Raises:
        LayoutError: it follows something else than was asked for.
    """
    found = next((o for o in objects if o.id == layout.id), None)
    if found is None:
        return None
    other = _difference(layout, ConfigRepository.parse(found.body).spec)
    if other is not None:
        field, there, wanted = other
        msg = (
            f"{found.origin}: {layout.id} is defined with {field} "
            f"{there!r}, and {wanted!r} was asked for; edit that file, "
            "or choose another --name and --path"
        )
        raise LayoutError(msg)
    return found


def check_live(layout: Layout, live: ConfigRepository | None) -> None:
    """Refuse the name of a ConfigRepository that follows something else.

    It would follow the new repository then, and prune what it owns.

    Raises:
        LayoutError: says what it follows.
    """
    other = _difference(layout, live.spec) if live is not None else None
    if other is not None:
        field, there, wanted = other
        msg = (
            f"{layout.id} is here with {field} {there!r}, and {wanted!r} was "
            "asked for: its objects would be pruned; choose another --name, "
            "or edit or delete that ConfigRepository first"
        )
        raise LayoutError(msg)


def _difference(
    layout: Layout, spec: ConfigRepositorySpec
) -> tuple[str, str | None, str] | None:
    """The first field that follows something else: as it is, as wanted."""
    git = spec.git
    asked = {
        "git.url": (git.url if git else None, layout.url),
        "git.ref.branch": (git.ref.branch if git else None, layout.branch),
        "path": (clean_folder(spec.path), layout.folder),
    }
    for field, (there, wanted) in asked.items():
        if there != wanted:
            return field, there, wanted
    return None


def secret_of(body: dict[str, Any]) -> str | None:
    """The Secret that a ConfigRepository reads its repository with."""
    git = ConfigRepository.parse(body).spec.git
    reference = git.secret_ref if git else None
    return reference.name if reference else None
