"""Which commit of a repository is followed. Pure.

The precedence is Flux's: commit, name, semver, tag, branch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.gitops.resource_source import GitReference
from reconciler.gitops.semver import newest
from reconciler.gitops.tree import SourceError

HEADS, TAGS = "refs/heads/", "refs/tags/"
PEELED = "^{}"


@dataclass(frozen=True)
class Target:
    """A reference that was resolved."""

    label: str
    """What stands before ``@sha1:`` in a revision."""

    name: str
    """Full name of the ref; the commit itself if it was asked for."""

    commit: str
    tag: str | None = None
    """The annotated tag's own object, if there is one."""

    @property
    def revision(self) -> str:
        """``main@sha1:<commit>``."""
        return f"{self.label}@sha1:{self.commit}"


@dataclass(frozen=True)
class Reference:
    """What a ConfigRepository asks for."""

    wanted: GitReference

    @property
    def fixed(self) -> bool:
        """Whether it is anything but the head of a branch."""
        ref = self.wanted
        return bool(ref.commit or ref.name or ref.semver or ref.tag)

    @property
    def patterns(self) -> tuple[str, ...]:
        """What to ask the remote for; nothing for a commit."""
        ref = self.wanted
        if ref.commit:
            return ()
        if ref.name:
            return (ref.name, ref.name + PEELED)
        if ref.semver:
            return (TAGS + "*",)
        if ref.tag:
            return (TAGS + ref.tag, TAGS + ref.tag + PEELED)
        return (HEADS + ref.branch,)

    def choose(self, refs: Mapping[str, str], remote: str) -> Target:
        """The commit to use.

        Args:
            refs: name to object of what the remote advertises.
            remote: its URL without a password, for the message.

        Raises:
            SourceError: the remote has nothing of that name.
        """
        ref = self.wanted
        if ref.commit:
            return Target(ref.branch, ref.commit, ref.commit)
        if ref.semver and not ref.name:
            return self._newest(ref.semver, refs, remote)
        name, what = self._named()
        return _target(name, what, refs, remote)

    def _named(self) -> tuple[str, str]:
        ref = self.wanted
        if ref.name:
            return ref.name, f"reference {ref.name}"
        if ref.tag:
            return TAGS + ref.tag, f"tag {ref.tag}"
        return HEADS + ref.branch, f"branch {ref.branch}"

    def _newest(
        self, text: str, refs: Mapping[str, str], remote: str
    ) -> Target:
        tags = [
            name.removeprefix(TAGS)
            for name in refs
            if name.startswith(TAGS) and not name.endswith(PEELED)
        ]
        try:
            chosen = newest(tags, text)
        except ValueError as error:
            msg = f"git.ref.semver: {error}"
            raise SourceError(msg) from error
        what = f"a tag in the range {text!r}"
        return _target(f"{TAGS}{chosen}", what, refs, remote)


def _target(
    name: str, what: str, refs: Mapping[str, str], remote: str
) -> Target:
    found = refs.get(name)
    if found is None:
        msg = f"{what} does not exist in {remote}"
        raise SourceError(msg)
    label = name.removeprefix(HEADS).removeprefix(TAGS)
    commit = refs.get(name + PEELED)
    if commit is None:
        return Target(label, name, found)
    return Target(label, name, commit, found)
