"""Where a ConfigRepository reads: Git or a directory. Parts of its spec."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from reconciler.engine.resource import Part

GIT_URL = (
    r"^(https?://[^\s@/]+(/\S*)?"
    r"|ssh://([^\s@:/]+@)?[^\s@/]+/\S+|file:///\S+)$"
)
DIRECTORY = r"^[^/\x00-\x1f][^\x00-\x1f]*$"
REF_PATTERN = r"^[^-\s~^:?*\[\\][^\s~^:?*\[\\]*$"


Directory = Annotated[
    str, Field(min_length=1, max_length=1024, pattern=DIRECTORY)
]


class GitReference(Part):
    """Which commit of the repository.

    If several are given, the first of commit, name, semver, tag, branch
    counts.
    """

    branch: str = Field(
        default="main",
        min_length=1,
        max_length=255,
        pattern=REF_PATTERN,
        description="Branch to follow.",
    )
    tag: str | None = Field(
        default=None,
        max_length=255,
        pattern=REF_PATTERN,
        description="Tag to use.",
    )
    semver: str | None = Field(
        default=None,
        min_length=1,
        max_length=255,
        description="Range of versions; the newest tag in it is used.",
    )
    name: str | None = Field(
        default=None,
        max_length=255,
        pattern=r"^refs/[^\s~^:?*\[\\]+$",
        description="Full name of a reference, for example refs/pull/7/head.",
    )
    commit: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{40}$",
        description="SHA of a commit.",
    )


class LocalReference(Part):
    """A Secret or ConfigMap in the same namespace."""

    name: str = Field(
        min_length=1,
        max_length=253,
        pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        description="Name of the object.",
    )


VerificationMode = Literal["HEAD", "Tag", "TagAndHEAD"]


class Verify(Part):
    """Whose signatures a revision needs."""

    mode: VerificationMode = Field(
        default="HEAD",
        description="What has to be signed: the commit, the tag that names "
        "it, or both.",
    )
    secret_ref: LocalReference = Field(
        description="Secret with the public keys of those who may sign: "
        "OpenPGP keys (*.asc), SSH keys (*.pub), allowed_signers and "
        "revoked_keys as ssh-keygen reads them.",
    )


WebhookType = Literal["github", "gitlab", "gitea"]


class Webhook(Part):
    """Who tells of pushes, so that they are fetched at once."""

    type: WebhookType = Field(description="Whose deliveries they are.")
    secret_ref: LocalReference = Field(
        description="Secret with the token that the deliveries are signed "
        "with; at least 16 bytes.",
    )


class GitSource(Part):
    """A Git repository."""

    url: str = Field(
        min_length=1,
        max_length=2048,
        pattern=GIT_URL,
        description="https://, ssh:// or file:// URL, without a password.",
    )
    ref: GitReference = Field(
        default=GitReference(), description="What to check out."
    )
    secret_ref: LocalReference | None = Field(
        default=None,
        description="Secret with username and password, or bearerToken, and "
        "ca.crt, tls.crt, tls.key; for ssh with identity, known_hosts and "
        "the key's password.",
    )
    proxy_secret_ref: LocalReference | None = Field(
        default=None,
        description="Secret with the address, username and password of an "
        "HTTP proxy.",
    )
    ignore: str | None = Field(
        default=None,
        max_length=16384,
        description="Paths of the repository that are not read, in the "
        "notation of .gitignore.",
    )
    sparse_checkout: tuple[Directory, ...] = Field(
        default=(),
        max_length=64,
        description="Directories of the repository that are read; all if "
        "there are none. Files outside of them are not fetched from servers "
        "that allow it.",
    )
    recurse_submodules: bool = Field(
        default=False,
        description="Read submodules too.",
    )
    verify: Verify | None = Field(
        default=None,
        description="Apply only revisions that are signed by a known key.",
    )
    webhook: Webhook | None = Field(
        default=None,
        description="Fetch when the forge tells of a push.",
    )


class DirectorySource(Part):
    """A directory of the machine that runs the controller."""

    path: str = Field(
        max_length=4096,
        pattern=r"^/[^\x00-\x1f]*$",
        description="Absolute path; a save is applied at once.",
    )
    ignore: str | None = Field(
        default=None,
        max_length=16384,
        description="Paths below it that are not read, in the notation of "
        ".gitignore.",
    )
