"""Receivers, and what each of them is sent. Pure.

The bodies are those that the receivers publish: Flux's events for generic
webhooks, Slack's incoming webhooks, and the status APIs of GitHub, GitLab
and Gitea.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from reconciler.notifications.commit_status import (
    CommitStatus,
    State,
    path_of,
)
from reconciler.notifications.message import Message
from reconciler.notifications.resource import FORGES, Provider

WHERE = "spec.provider"
_COLOURS = {"info": "good", "error": "danger"}
_GITLAB: Mapping[State, str] = {
    "pending": "running",
    "success": "success",
    "failure": "failed",
}
_OWNER_AND_NAME = 2


class ReceiverError(ValueError):
    """The spec and the Secret do not make a receiver."""


@dataclass(frozen=True)
class Request:
    """One POST of JSON."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Receiver:
    """A provider with what its Secret says."""

    provider: Provider
    address: str = field(repr=False)
    """It may be a secret: whoever knows it can post there."""

    token: str = field(default="", repr=False)
    authority: bytes = field(default=b"", repr=False)
    """Certificates (PEM) of the authority to trust; the system's if empty."""

    metadata: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        provider: Provider,
        values: Mapping[str, bytes],
        metadata: Mapping[str, str],
    ) -> Receiver:
        """Join the spec and the Secret.

        Raises:
            ReceiverError: something is missing, or would be sent in clear.
        """
        address = _line(values, "address") or provider.address or ""
        token = _line(values, "token")
        made = cls(
            provider, address, token, values.get("ca.crt", b""), metadata
        )
        made._check()
        return made

    def _check(self) -> None:
        kind, parts = self.provider.type, _split(self.address)
        if kind in FORGES | {"generic-hmac"} and not self.token:
            msg = f"{WHERE}.secretRef: the Secret has no token"
            raise ReceiverError(msg)
        # An address or a token is worth as much as a password; the one of
        # generic-hmac signs, and is never sent.
        secret = kind not in {"generic", "generic-hmac"} or (
            kind == "generic" and bool(self.token)
        )
        if parts.scheme == "http" and secret and not _here(self.host):
            msg = f"{WHERE}: nothing secret is sent over plain http"
            raise ReceiverError(msg)
        if kind in FORGES and len(self._path()) < _OWNER_AND_NAME:
            msg = f"{WHERE}.address: is not the URL of a repository"
            raise ReceiverError(msg)

    @property
    def host(self) -> str:
        """Host of the address: all of it that may be shown."""
        return urlsplit(self.address).hostname or ""

    @property
    def identity(self) -> str:
        """Who it is, whatever it is told and whoever we say that we are."""
        return f"{self.provider.type} {self.address}"

    @property
    def path(self) -> str:
        """``owner/name`` of the repository at a forge."""
        return path_of(self.address)

    def _path(self) -> list[str]:
        return [part for part in self.path.split("/") if part]

    def event(self, message: Message) -> Request:
        """What tells of an event."""
        if self.provider.type == "slack":
            return self._slack(message)
        data = _json(_flux(message, self.metadata))
        headers = {}
        if self.provider.type == "generic-hmac":
            mac = hmac.new(self.token.encode(), data, hashlib.sha256)
            headers["X-Signature"] = f"sha256={mac.hexdigest()}"
        elif self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        return self._request(self.address, data, headers)

    def _slack(self, message: Message) -> Request:
        fields = _facts(message, self.metadata)
        body: dict[str, Any] = {
            "username": "reconciler",
            "attachments": [
                {
                    "color": _COLOURS[message.severity],
                    "author_name": f"{message.about}.{message.namespace}",
                    "text": _escaped(f"{message.reason}: {message.text}"),
                    "fallback": _escaped(f"{message.about} {message.reason}"),
                    "mrkdwn_in": ["text"],
                    "fields": [
                        {"title": k, "value": _escaped(v), "short": False}
                        for k, v in fields.items()
                    ],
                }
            ],
        }
        if self.provider.channel:
            body["channel"] = self.provider.channel
        headers = (
            {"Authorization": f"Bearer {self.token}"} if self.token else {}
        )
        return self._request(self.address, _json(body), headers)

    def status(self, status: CommitStatus) -> Request:
        """What sets the status of a commit."""
        parts = urlsplit(self.address)
        base, path = f"{parts.scheme}://{parts.netloc}", self._path()
        if self.provider.type == "gitlab":
            project = quote("/".join(path), safe="")
            url = f"{base}/api/v4/projects/{project}/statuses/{status.commit}"
            body = {
                "state": _GITLAB[status.state],
                "name": status.context,
                "description": status.description,
            }
            headers = {"PRIVATE-TOKEN": self.token}
            return self._request(url, _json(body), headers)
        *prefix, owner, name = path
        tail = f"repos/{quote(owner)}/{quote(name)}/statuses/{status.commit}"
        body = {
            "state": status.state,
            "context": status.context,
            "description": status.description,
        }
        if self.provider.type == "gitea":
            root = "/".join([base, *prefix])
            headers = {"Authorization": f"token {self.token}"}
            return self._request(f"{root}/api/v1/{tail}", _json(body), headers)
        api = f"{base}/api/v3"
        if self.host == "github.com":
            api = "https://api.github.com"
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        return self._request(f"{api}/{tail}", _json(body), headers)

    def _request(
        self, url: str, body: bytes, headers: Mapping[str, str]
    ) -> Request:
        return Request(
            url, {"Content-Type": "application/json", **headers}, body
        )


def _flux(message: Message, metadata: Mapping[str, str]) -> dict[str, Any]:
    """An event as Flux's notification-controller posts it."""
    more = {"revision": message.revision} if message.revision else {}
    return {
        "involvedObject": {
            "apiVersion": message.api_version,
            "kind": message.kind,
            "namespace": message.namespace,
            "name": message.name,
            "uid": message.uid,
        },
        "severity": message.severity,
        "timestamp": message.at,
        "reason": message.reason,
        "message": message.text,
        "metadata": {**metadata, **more},
        "reportingController": message.controller,
        "reportingInstance": message.instance,
    }


def _facts(message: Message, metadata: Mapping[str, str]) -> dict[str, str]:
    revision = {"revision": message.revision} if message.revision else {}
    return {**metadata, **revision}


def _escaped(text: str) -> str:
    """Text that Slack takes as it is: no links, no mentions."""
    for char, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(char, entity)
    return text


def _json(value: Mapping[str, Any]) -> bytes:
    # Escaped: half of a character in an event's text cannot be encoded.
    return json.dumps(value).encode()


def _line(values: Mapping[str, bytes], key: str) -> str:
    text = values.get(key, b"").decode("utf-8", "replace").strip()
    if any(c.isspace() or not c.isprintable() for c in text):
        msg = f"{WHERE}.secretRef: {key} is not one word"
        raise ReceiverError(msg)
    return text


def _split(address: str) -> Any:
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        msg = f"{WHERE}: the address is not a URL"
        raise ReceiverError(msg) from error
    if parts.scheme not in {"http", "https"} or not host:
        msg = f"{WHERE}: the address is not an http:// or https:// URL"
        raise ReceiverError(msg)
    if parts.username is not None or parts.password is not None:
        msg = f"{WHERE}: the address has a user; put a token into the Secret"
        raise ReceiverError(msg)
    return parts


def _here(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
