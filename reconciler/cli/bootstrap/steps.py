"""The steps of bootstrap, in the order in which a crash costs least.

The key is in the cluster before the server is asked, so that a person can
add it there and run the same command again; the commit is pushed before the
ConfigRepository is applied, so that it never follows what is not there.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from reconciler.cli.bootstrap.following import follow
from reconciler.cli.bootstrap.identity import Identity, secret_body, wanted
from reconciler.cli.bootstrap.report import Action, Report
from reconciler.cli.errors import CommandError
from reconciler.cli.session import Session
from reconciler.gitops.bootstrap import remote as remotes
from reconciler.gitops.bootstrap.layout import (
    Layout,
    LayoutError,
    check_live,
    defined,
    secret_of,
)
from reconciler.gitops.bootstrap.remote import (
    Author,
    DeniedError,
    Remote,
    RemoteError,
)
from reconciler.gitops.credentials import (
    Credentials,
    CredentialsError,
    secret_data,
)
from reconciler.gitops.documents import BuildError
from reconciler.gitops.resource import ConfigRepository
from reconciler.gitops.tree import SourceError

ATTEMPTS = 5
"""Pushes that may lose against somebody else's."""

_URL = re.compile(r"^\w+://|^[^/\s]+@[^/\s]+:")


@dataclass
class Bootstrap:
    """One run of the command."""

    arguments: argparse.Namespace
    session: Session
    report: Report

    def play(self) -> None:
        """All of it.

        Raises:
            CommandError: something is in the way.
            LayoutError: what was asked for cannot be.
        """
        layout = self._layout()
        check_live(
            layout,
            self.session.find(ConfigRepository, layout.namespace, layout.name),
        )
        report, dry = self.report, self.arguments.dry_run
        report.facts |= {
            "url": layout.url,
            "branch": layout.branch,
            "path": layout.folder or ".",
        }
        empty = self._repository(layout)
        identity = self._identity(layout)
        if identity is None:
            layout = replace(layout, secret=None)
        if empty and dry:
            self._would_commit(layout)
            body = layout.body()
        else:
            body, head = self._committed(layout, identity)
            if head is not None:
                report.facts["revision"] = f"{layout.branch}@sha1:{head}"
        follow(self.session, layout, body, report, self.arguments)

    def _layout(self) -> Layout:
        given = self.arguments
        url = given.url
        if not _URL.match(url):
            url = Path(url).resolve().as_uri()
        needs = not url.startswith("file://")
        name = given.secret_name or f"{given.name}-git"
        return Layout(
            url=url,
            name=given.name,
            namespace=given.namespace,
            branch=given.branch,
            path=given.path,
            secret=name if needs else None,
            interval=given.interval,
            write_back=given.write_back,
        ).checked()

    def _repository(self, layout: Layout) -> bool:
        """Make a local repository if asked to; whether it is not there."""
        if not layout.url.startswith("file://"):
            if self.arguments.init:
                msg = "--init makes a repository of a folder on this machine"
                raise CommandError(msg, code=2)
            return False
        path = Path(unquote(layout.url.removeprefix("file://")))
        there = path.is_dir() and remotes.is_repository(path)
        if there:
            return False
        if not self.arguments.init:
            msg = f"{path} is no Git repository; --init makes a bare one there"
            raise CommandError(msg)
        if not self.arguments.dry_run:
            self._made(path, layout.branch)
        self.report.add("git init", "created", f"{path} (bare)")
        return True

    def _made(self, path: Path, branch: str) -> None:
        try:
            remotes.create_bare(path, branch, self.arguments.timeout)
        except RemoteError as error:
            raise CommandError(str(error)) from error

    def _identity(self, layout: Layout) -> Identity | None:
        """The credentials, and the Secret with them."""
        if layout.secret is None:
            return None
        where = f"{layout.namespace}/{layout.secret}"
        found = self.session.run(
            self.session.client.get(
                "v1", "Secret", layout.namespace, layout.secret
            )
        )
        live = None if found is None else self._content(found)
        identity = wanted(self.arguments, layout.url, live)
        if identity is None:
            return None
        self._credentials(layout, identity)
        if identity.key is not None:
            self._told(identity)
        action: Action = "unchanged"
        if live != identity.values:
            action = "configured" if found else "created"
            if not self.arguments.dry_run:
                self._apply(
                    secret_body(
                        layout.namespace, layout.secret, identity.values
                    )
                )
        names = ", ".join(sorted(identity.values))
        self.report.add("secret", action, f"{where}: {names}")
        return identity

    def _content(self, secret: dict[str, Any]) -> dict[str, bytes]:
        try:
            return secret_data(secret)
        except CredentialsError as error:
            raise CommandError(str(error)) from error

    def _credentials(
        self, layout: Layout, identity: Identity | None
    ) -> Credentials:
        """As the controller will use them."""
        values = identity.values if identity else {}
        try:
            return Credentials(layout.url, values)
        except CredentialsError as error:
            raise CommandError(str(error)) from error

    def _told(self, identity: Identity) -> None:
        key = identity.key
        if key is None:
            return
        action: Action = "created" if identity.made else "unchanged"
        detail = f"{key.fingerprint} in {identity.place}"
        self.report.add("deploy key", action, detail)
        self.report.facts["publicKey"] = key.public

    def _apply(self, body: dict[str, Any]) -> None:
        self.session.run(self.session.client.apply(body))

    def _committed(
        self, layout: Layout, identity: Identity | None
    ) -> tuple[dict[str, Any], str | None]:
        """The ConfigRepository as the repository says, and the commit."""
        if self.arguments.dry_run and identity and identity.made:
            self._would_commit(layout)
            return layout.body(), None
        try:
            with remotes.opened(
                layout.url,
                layout.branch,
                self._credentials(layout, identity),
                self.arguments.timeout,
            ) as remote:
                return self._in(remote, layout)
        except DeniedError as error:
            raise CommandError(_way_in(layout, identity, error)) from error
        except (RemoteError, SourceError, BuildError) as error:
            raise CommandError(str(error)) from error

    def _in(
        self, remote: Remote, layout: Layout
    ) -> tuple[dict[str, Any], str | None]:
        for _ in range(ATTEMPTS):
            head = remote.head()
            found, overlay = remote.objects(
                head, layout.folder, layout.namespace
            )
            old = defined(layout, found)
            if old is not None:
                detail = f"{layout.folder or '.'}: {old.origin}"
                self.report.add("commit", "unchanged", detail)
                return self._adopted(old.body), head
            if overlay is not None:
                _refuse_overlay(layout)
            if self.arguments.dry_run:
                self._would_commit(layout)
                return layout.body(), None
            commit = remote.commit(
                head, {layout.file: layout.text()}, _message(layout), Author()
            )
            if remote.push(head, commit):
                detail = f"{commit[:12]} on {layout.branch}: {layout.file}"
                self.report.add("commit", "pushed", detail)
                return layout.body(), commit
        msg = f"{ATTEMPTS} pushes in a row lost against other pushes"
        raise RemoteError(msg)

    def _adopted(self, body: dict[str, Any]) -> dict[str, Any]:
        """What is in Git counts, but for the Secret that we filled."""
        named = secret_of(body)
        ours = self.arguments.secret_name or f"{self.arguments.name}-git"
        if named is not None and named != ours:
            msg = (
                f"the repository names Secret {named}: say --secret-name "
                f"{named}, or edit it there"
            )
            raise LayoutError(msg)
        return body

    def _would_commit(self, layout: Layout) -> None:
        detail = f"{layout.file} on {layout.branch}"
        self.report.add("commit", "pushed", detail)


def _refuse_overlay(layout: Layout) -> None:
    folder = layout.folder or "."
    msg = (
        f"{folder} has a kustomization: choose another --path, or add the "
        "ConfigRepository to its resources yourself"
    )
    raise LayoutError(msg)


def _message(layout: Layout) -> str:
    return f"Follow {layout.folder or 'this repository'} as {layout.name}\n"


def _way_in(
    layout: Layout, identity: Identity | None, error: DeniedError
) -> str:
    """The refusal, and what to do about it."""
    if identity is not None and identity.key is not None:
        return (
            f"{error}\nAdd this deploy key to the repository, with the right "
            "to push, and run the same command again:\n\n"
            f"  {identity.key.public}\n"
        )
    if layout.url.startswith("http"):
        return (
            f"{error}\nGive a token that may push: --password-file FILE or "
            "$GIT_PASSWORD (and --username)"
        )
    return str(error)
