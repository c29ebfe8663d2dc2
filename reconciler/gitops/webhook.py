"""Who may tell us of a push: what GitHub, GitLab and Gitea send. Pure.

A delivery says nothing but "look now": its content is never read, only its
signature, so that a forged or repeated one costs a look at the source at
most.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.gitops.credentials import CredentialsError
from reconciler.gitops.resource_source import WebhookType

WHERE = "git.webhook.secretRef"
PREFIX = "/hook/"
MIN_TOKEN = 16
"""Bytes; a shorter secret can be guessed."""

PAUSE = 1.0
"""Seconds between two looks that pushes ask for."""

REPEAT_PAUSE = 15.0
"""The same for a delivery that was seen before."""

SEEN = 256

_EVENTS: Mapping[WebhookType, tuple[str, frozenset[str]]] = {
    "github": ("X-GitHub-Event", frozenset({"push", "create", "delete"})),
    "gitlab": ("X-Gitlab-Event", frozenset({"Push Hook", "Tag Push Hook"})),
    "gitea": ("X-Gitea-Event", frozenset({"push", "create", "delete"})),
}


@dataclass(frozen=True)
class Hook:
    """What one repository expects."""

    type: WebhookType
    token: bytes = field(repr=False)
    path: str = field(repr=False)

    @classmethod
    def of(
        cls,
        kind: WebhookType,
        values: Mapping[str, bytes],
        namespace: str,
        name: str,
    ) -> Hook:
        """Read a Secret.

        The path cannot be guessed by who does not know the token.

        Raises:
            CredentialsError: it has no token, or one that can be guessed.
        """
        token = values.get("token", b"").strip()
        if len(token) < MIN_TOKEN:
            msg = f"{WHERE}: token needs at least {MIN_TOKEN} bytes"
            raise CredentialsError(msg)
        about = f"{namespace}/{name}".encode()
        digest = hmac.digest(token, b"path\0" + about, "sha256").hex()
        return cls(kind, token, PREFIX + digest)

    def mac(self) -> hmac.HMAC:
        """What the body is fed to."""
        return hmac.new(self.token, digestmod=hashlib.sha256)

    def authentic(self, headers: Mapping[str, str], digest: str) -> bool:
        """Whether the sender knows the token; in constant time.

        Args:
            headers: of the request, found in any case.
            digest: hexadecimal `mac` of the body.
        """
        match self.type:
            case "github":
                given = headers.get("X-Hub-Signature-256", "")
                wanted = f"sha256={digest}".encode()
            case "gitea":
                given = headers.get("X-Gitea-Signature", "")
                wanted = digest.encode()
            case "gitlab":
                given = headers.get("X-Gitlab-Token", "")
                wanted = self.token
        raw = given.encode("utf-8", "surrogateescape")
        return hmac.compare_digest(raw, wanted)

    def pushes(self, headers: Mapping[str, str]) -> bool:
        """Whether it tells of a push, and not of an issue or of nothing."""
        name, events = _EVENTS[self.type]
        return headers.get(name, "") in events


@dataclass
class Pace:
    """How often deliveries may make us look; none is lost, some wait.

    Repeated ones have a pace of their own, so that who replays what was
    overheard does not hold up what is new.
    """

    looks: dict[bool, float] = field(default_factory=dict)
    """When the last look because of a new, or repeated, delivery is due."""

    seen: OrderedDict[str, None] = field(default_factory=OrderedDict)

    def due(self, digest: str, now: float) -> float | None:
        """When to look because of a delivery; None if a look is to come.

        Args:
            digest: of the delivery.
            now: monotonic seconds.
        """
        repeated = digest in self.seen
        self._see(digest)
        last = self.looks.get(repeated, float("-inf"))
        if last > now:
            return None
        pause = REPEAT_PAUSE if repeated else PAUSE
        self.looks[repeated] = at = max(now, last + pause)
        return at

    def _see(self, digest: str) -> None:
        self.seen[digest] = None
        self.seen.move_to_end(digest)
        while len(self.seen) > SEEN:
            self.seen.popitem(last=False)
