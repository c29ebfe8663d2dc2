"""How promotions get into the repository. A part of a ConfigRepository."""

from __future__ import annotations

from pydantic import Field

from reconciler.engine.resource import Part
from reconciler.gitops.resource_source import REF_PATTERN, LocalReference


class Push(Part):
    """Where commits go."""

    branch: str = Field(
        min_length=1,
        max_length=255,
        pattern=REF_PATTERN,
        description="Branch to push to. Another one than git.ref.branch "
        "proposes the commits: a person merges them. It is made from "
        "git.ref.branch and belongs to us; what people push to it is kept.",
    )


class WriteBack(Part):
    """Commit promotions to the repository."""

    enabled: bool = Field(
        default=False,
        description="Commit the promoted generation to spec.generation of "
        "the Model's YAML, comments and order kept.",
    )
    author_name: str = Field(
        default="reconciler", max_length=100, description="Author of commits."
    )
    author_email: str = Field(
        default="reconciler@localhost",
        max_length=254,
        description="E-mail address of the author.",
    )
    signing_key_secret_ref: LocalReference | None = Field(
        default=None,
        description="Secret with the private key that commits are signed "
        "with: an OpenPGP key (git.asc) and its passphrase, or an SSH key "
        "(identity) and its password.",
    )
    push: Push | None = Field(
        default=None,
        description="Where commits go; to git.ref.branch without it.",
    )

    def proposes_to(self, tracked: str) -> str | None:
        """The branch of proposals, if it is not the tracked one."""
        if self.push is None or self.push.branch == tracked:
            return None
        return self.push.branch
