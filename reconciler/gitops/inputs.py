"""The Secrets and ConfigMaps that a ConfigRepository refers to.

They are read anew in every pass and kept in memory only. What is missing is
a problem of the source: nothing is read or applied without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.engine.controller import Client
from reconciler.gitops.credentials import (
    Credentials,
    CredentialsError,
    secret_data,
)
from reconciler.gitops.resource import ConfigRepository, ConfigRepositorySpec
from reconciler.gitops.resource_source import LocalReference
from reconciler.gitops.signature import WHERE as SIGNING
from reconciler.gitops.signature import SigningKey
from reconciler.gitops.signers import WHERE, Signers, SignersError
from reconciler.gitops.sops.keys import AgeKeys, IdentityError
from reconciler.gitops.sops.opener import Opener
from reconciler.gitops.variables import NAME, Variable, Variables
from reconciler.gitops.verification import Policy
from reconciler.gitops.webhook import Hook


class MissingInputError(CredentialsError):
    """A Secret or ConfigMap that the spec refers to does not exist."""


@dataclass(frozen=True)
class Inputs:
    """What was read."""

    credentials: Credentials | None = None
    policy: Policy | None = None
    """What has to be signed, and by whom."""

    hook: Hook | None = None
    """Who tells of pushes."""

    signing: SigningKey | None = None
    """What our commits are signed with."""

    signing_fault: str = ""
    """Why there is no such key, though the spec names one. It holds up
    commits and nothing else."""


@dataclass(frozen=True)
class Loader:
    """Reads them for one repository."""

    client: Client
    namespace: str
    name: str

    async def load(self, spec: ConfigRepositorySpec) -> Inputs:
        """All of them.

        Raises:
            CredentialsError: one is missing or lacks something.
            TransientError: the API server does not answer.
        """
        key, fault = await self._signing(spec)
        return Inputs(
            credentials=await self._credentials(spec),
            policy=await self._policy(spec),
            hook=await self._hook(spec),
            signing=key,
            signing_fault=fault,
        )

    async def _signing(
        self, spec: ConfigRepositorySpec
    ) -> tuple[SigningKey | None, str]:
        """The key of our commits, and why it cannot be had."""
        settings = spec.write_back
        reference = settings.signing_key_secret_ref
        if not settings.enabled or reference is None:
            return None, ""
        try:
            return SigningKey.of(await self.secret(SIGNING, reference)), ""
        except CredentialsError as error:
            return None, str(error)

    async def _hook(self, spec: ConfigRepositorySpec) -> Hook | None:
        if spec.git is None or spec.git.webhook is None:
            return None
        webhook = spec.git.webhook
        values = await self.secret("git.webhook.secretRef", webhook.secret_ref)
        return Hook.of(webhook.type, values, self.namespace, self.name)

    async def _policy(self, spec: ConfigRepositorySpec) -> Policy | None:
        """Who may sign; without the Secret nobody may."""
        if spec.git is None or spec.git.verify is None:
            return None
        verify = spec.git.verify
        try:
            values = await self.secret(WHERE, verify.secret_ref)
        except CredentialsError as error:
            raise SignersError(str(error)) from error
        return Policy(verify.mode, Signers.of(values))

    async def _credentials(
        self, spec: ConfigRepositorySpec
    ) -> Credentials | None:
        git = spec.git
        if git is None or not (git.secret_ref or git.proxy_secret_ref):
            return None
        values = await self.secret("git.secretRef", git.secret_ref)
        proxy = await self.secret("git.proxySecretRef", git.proxy_secret_ref)
        return Credentials(git.url, values, proxy)

    async def secret(
        self, what: str, reference: LocalReference | None
    ) -> dict[str, bytes]:
        """The values of a Secret; none without a reference.

        Raises:
            MissingInputError: it does not exist.
        """
        if reference is None:
            return {}
        return secret_data(await self.object(what, "Secret", reference.name))

    async def object(
        self, what: str, kind: str, name: str
    ) -> Mapping[str, Any]:
        """A Secret or ConfigMap in the repository's namespace."""
        found = await self.client.get("v1", kind, self.namespace, name)
        if found is None:
            msg = f"{what}: {kind} {self.namespace}/{name} does not exist"
            raise MissingInputError(msg)
        return found


async def load_variables(
    client: Client, desired: ConfigRepository
) -> Variables | None:
    """The variables of the files; None if there are none.

    Raises:
        CredentialsError: names what is missing.
        TransientError: the API server does not answer.
    """
    asked = desired.spec.post_build
    if asked is None:
        return None
    meta = desired.metadata
    loader = Loader(client, meta.namespace, meta.name)
    known: dict[str, Variable] = {}
    for index, reference in enumerate(asked.substitute_from):
        what = f"spec.postBuild.substituteFrom[{index}]"
        try:
            found = await loader.object(what, reference.kind, reference.name)
        except MissingInputError:
            if reference.optional:
                continue
            raise
        known |= _variables(what, reference.kind, found)
    for name, value in asked.substitute.items():
        if not NAME.fullmatch(name):
            msg = f"spec.postBuild.substitute: {name!r} is no variable's name"
            raise CredentialsError(msg)
        known[name] = Variable(value)
    return Variables.of(known, strict=asked.strict)


async def load_opener(client: Client, desired: ConfigRepository) -> Opener:
    """What opens the encrypted files.

    Raises:
        CredentialsError: the Secret is missing, or has no usable key.
        TransientError: the API server does not answer.
    """
    asked = desired.spec.decryption
    if asked is None:
        return Opener()
    meta = desired.metadata
    loader = Loader(client, meta.namespace, meta.name)
    what = "spec.decryption.secretRef"
    values = await loader.secret(what, asked.secret_ref)
    try:
        return Opener(AgeKeys.of(values))
    except IdentityError as error:
        msg = f"{what}: {error}"
        raise CredentialsError(msg) from error


def _variables(
    what: str, kind: str, found: Mapping[str, Any]
) -> dict[str, Variable]:
    if kind == "ConfigMap":
        data = found.get("data") or {}
        return {name: Variable(str(text)) for name, text in data.items()}
    try:
        return {
            name: Variable(value.decode(), secret=True)
            for name, value in secret_data(found).items()
        }
    except UnicodeDecodeError as error:
        msg = f"{what}: the Secret has a value that is not UTF-8"
        raise CredentialsError(msg) from error


async def load_inputs(client: Client, desired: ConfigRepository) -> Inputs:
    """Read what the spec refers to; see `Loader.load`."""
    meta = desired.metadata
    loader = Loader(client, meta.namespace, meta.name)
    return await loader.load(desired.spec)
