"""Submodules: where they are, whether they may be read, and what they hold.

A submodule is named by the commit above it, so the revision stands for what
it holds too. Where it is comes from a file of the repository, so that is
not trusted: no other way to it than the repository's own or a safer one, and
credentials for the same host only.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from urllib.parse import SplitResult, urlsplit

from reconciler.gitops.contents import MODULE, Entry, listed, read
from reconciler.gitops.credentials import Credentials
from reconciler.gitops.git import Git, GitTimeoutError, redact
from reconciler.gitops.mirror import Mirror
from reconciler.gitops.reference import Reference
from reconciler.gitops.resource_source import GIT_URL, GitReference
from reconciler.gitops.tree import SourceError

MAX_DEPTH = 4
MAX_MODULES = 32
"""Submodules of one repository, all levels together."""

_SCP = re.compile(r"^(?:(?P<user>[^@/:]+)@)?(?P<host>[^@/:]+):(?P<path>[^:]+)")
_SAFER = {
    "file": frozenset({"file", "https"}),
    "http": frozenset({"http", "https"}),
    "https": frozenset({"https"}),
    "ssh": frozenset({"ssh", "https"}),
}
"""Schemes that a submodule may have, by that of its repository."""


def located(url: str, parent: str) -> str:
    """The whole URL of a submodule.

    Args:
        url: as in ``.gitmodules``: absolute, relative or ``host:path``.
        parent: of the repository that it is in.

    Raises:
        SourceError: it may not be read.
    """
    if url.startswith(("./", "../")):
        return _joined(url, parent)
    scp = _SCP.match(url)
    if "://" not in url and scp:
        user = f"{scp['user']}@" if scp["user"] else ""
        url = f"ssh://{user}{scp['host']}/{scp['path'].lstrip('/')}"
    if not re.fullmatch(GIT_URL, url):
        msg = f"{redact(url)!r} is no https://, ssh:// or file:// URL"
        raise SourceError(msg)
    own, other = urlsplit(parent), urlsplit(url)
    if other.scheme not in _SAFER.get(own.scheme, frozenset()):
        msg = f"{other.scheme}:// is not followed from {own.scheme}://"
        raise SourceError(msg)
    if other.scheme == "ssh" and _host(own) != _host(other):
        msg = (
            f"credentials are for {own.hostname} only, so that "
            f"ssh://{other.hostname} cannot be read; use https://"
        )
        raise SourceError(msg)
    return url


def _joined(url: str, parent: str) -> str:
    parts = urlsplit(parent)
    path = PurePosixPath(parts.path)
    for step in PurePosixPath(url).parts:
        if step != "..":
            path /= step
        elif path == path.parent:
            msg = f"{url!r} leads out of {redact(parent)}"
            raise SourceError(msg)
        else:
            path = path.parent
    return parts._replace(path=str(path)).geturl()


def _host(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port


def credentials_for(url: str, given: Credentials | None) -> Credentials | None:
    """What a submodule is read with: nothing secret on another host."""
    if given is None:
        return None
    same = _host(urlsplit(url)) == _host(urlsplit(given.url))
    return Credentials(url, given.values if same else {}, given.proxy)


@dataclass
class Submodules:
    """Brings the submodules of one revision of one repository."""

    git: Git
    """Of the repository itself: its bounds and credentials hold here too."""

    folder: Path
    """Where the mirrors of submodules are kept."""

    _used: set[str] = field(default_factory=set)

    def expanded(
        self,
        remote: str,
        entries: Sequence[Entry],
        wanted: Callable[[str], bool],
    ) -> list[Entry]:
        """The entries, and those of wanted submodules in their place.

        Raises:
            SourceError: a submodule may not be read, or cannot be.
        """
        return self._expanded(remote, entries, wanted, ())

    def _expanded(
        self,
        remote: str,
        entries: Sequence[Entry],
        wanted: Callable[[str], bool],
        above: tuple[str, ...],
    ) -> list[Entry]:
        asked = [e for e in entries if e.mode == MODULE]
        prefix = "".join(f"{part}/" for part in above)
        asked = [e for e in asked if wanted(prefix + e.path)]
        found = [e for e in entries if e not in asked]
        if not asked:
            return found
        urls = self._urls(entries)
        for entry in asked:
            where = prefix + entry.path
            try:
                inner = self._inside(
                    remote, entry, urls, wanted, (*above, entry.path)
                )
            except GitTimeoutError:
                raise
            except SourceError as error:
                if str(error).startswith("submodule "):
                    raise
                msg = f"submodule {where}: {error}"
                raise SourceError(msg) from error
            found += [e.below(entry.path) for e in inner]
        return found

    def _inside(
        self,
        remote: str,
        entry: Entry,
        urls: dict[str, str],
        wanted: Callable[[str], bool],
        above: tuple[str, ...],
    ) -> list[Entry]:
        url = urls.get(entry.path)
        if url is None:
            msg = ".gitmodules has no url for it"
            raise SourceError(msg)
        if len(above) > MAX_DEPTH:
            msg = f"is nested more than {MAX_DEPTH} deep"
            raise SourceError(msg)
        whole = located(url, remote)
        mirror = self._mirror(whole, entry.sha)
        if len(self._used) > MAX_MODULES:
            msg = f"there are more than {MAX_MODULES} submodules"
            raise SourceError(msg)
        mirror.bring()
        inner = listed(mirror.git, entry.sha, mirror)
        return self._expanded(whole, inner, wanted, above)

    def _mirror(self, url: str, commit: str) -> Mirror:
        name = hashlib.sha256(f"{url} {commit}".encode()).hexdigest()[:32]
        self._used.add(name)
        git = replace(
            self.git,
            directory=self.folder / name / "mirror.git",
            remote=url,
            credentials=credentials_for(url, self.git.credentials),
        )
        git.directory.parent.mkdir(parents=True, exist_ok=True)
        return Mirror(git, Reference(GitReference(commit=commit)))

    def _urls(self, entries: Sequence[Entry]) -> dict[str, str]:
        """URL by path, as ``.gitmodules`` says it."""
        files = [e for e in entries if e.path == ".gitmodules" and e.plain]
        if not files:
            return {}
        data = read(files, "")[".gitmodules"]
        out = self.git.run(
            "config", "--file", "-", "--null", "--list", stdin=data
        )
        named: dict[str, dict[str, str]] = {}
        for line in out.decode("utf-8", "surrogateescape").split("\0"):
            key, _, value = line.partition("\n")
            section, _, rest = key.partition(".")
            name, _, what = rest.rpartition(".")
            if section == "submodule" and what in ("path", "url"):
                named.setdefault(name, {})[what] = value
        return {
            m["path"]: m["url"]
            for m in named.values()
            if "path" in m and "url" in m
        }

    def tidy(self) -> None:
        """Drop the mirrors that the revision had no use for."""
        if not self.folder.is_dir():
            return
        for found in self.folder.iterdir():
            if found.name not in self._used:
                shutil.rmtree(found, ignore_errors=True)
