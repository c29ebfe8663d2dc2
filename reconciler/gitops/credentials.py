"""Who we are to a Git server: from a Secret to git's environment.

Nothing of it is ever on a command line or below the state directory: what
git and ssh need as files is in a private folder, in memory where the system
has one, for the time of one call.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import ipaddress
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from reconciler.gitops.private import private_file, private_folder
from reconciler.gitops.tree import SourceError

_SSH_OPTIONS = (
    "-F", "none",
    "-oBatchMode=yes",
    "-oStrictHostKeyChecking=yes",
    "-oGlobalKnownHostsFile=/dev/null",
    "-oUpdateHostKeys=no",
    "-oIdentitiesOnly=yes",
    "-oIdentityAgent=none",
    "-oConnectTimeout=10",
    "-oServerAliveInterval=10",
    "-oServerAliveCountMax=2",
)  # fmt: skip

PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")


class CredentialsError(SourceError):
    """A Secret lacks something, or may not be used with that URL."""


def secret_data(secret: Mapping[str, Any]) -> dict[str, bytes]:
    """The values of a Secret.

    Raises:
        CredentialsError: a value is not base64.
    """
    found = {}
    for key, value in (secret.get("data") or {}).items():
        try:
            found[key] = base64.b64decode(value or "", validate=True)
        except (binascii.Error, TypeError) as error:
            name = (secret.get("metadata") or {}).get("name")
            msg = f"Secret {name}: {key} is not base64"
            raise CredentialsError(msg) from error
    for key, value in (secret.get("stringData") or {}).items():
        found[key] = str(value).encode()
    return found


@dataclass(frozen=True)
class Credentials:
    """The content of `git.secretRef` and `git.proxySecretRef`."""

    url: str
    values: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    proxy: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        scheme = urlsplit(self.url).scheme
        if scheme == "ssh" and self.values:
            self._check_ssh()
        if scheme == "http" and self.values and not _here(self.url):
            msg = "git.secretRef: credentials are not sent over plain http"
            raise CredentialsError(msg)
        if self.proxy:
            _check_proxy(self.proxy.get("address", b""))

    def _check_ssh(self) -> None:
        for key in ("identity", "known_hosts"):
            if not self.values.get(key):
                msg = f"git.secretRef: the Secret has no {key}"
                raise CredentialsError(msg)

    @property
    def digest(self) -> str:
        """Changes with the content, tells nothing of it."""
        whole = hashlib.sha256(self.url.encode())
        for part in (self.values, self.proxy):
            for key, value in sorted(part.items()):
                whole.update(f"{key}:{len(value)}:".encode() + value)
        return whole.hexdigest()

    @contextlib.contextmanager
    def environment(self) -> Iterator[dict[str, str]]:
        """Variables for git while it talks to the remote.

        Raises:
            CredentialsError: the key cannot be read with its password.
        """
        with private_folder() as folder:
            found = self._proxy()
            if urlsplit(self.url).scheme == "ssh":
                found |= self._ssh(folder)
            else:
                found |= self._http(folder)
            yield found

    def _ssh(self, folder: Path) -> dict[str, str]:
        if not self.values:
            return {}
        identity = folder / "identity"
        private_file(identity, self._identity())
        hosts = folder / "known_hosts"
        private_file(hosts, self.values["known_hosts"])
        words = ["ssh", *_SSH_OPTIONS, f"-oUserKnownHostsFile={hosts}"]
        words += ["-i", str(identity)]
        return {"GIT_SSH_COMMAND": shlex.join(words)}

    def _identity(self) -> bytes:
        """The private key, without its password."""
        key, password = self.values["identity"], self.values.get("password")
        text = key if key.endswith(b"\n") else key + b"\n"
        return unlocked(text, password) if password else text

    def _http(self, folder: Path) -> dict[str, str]:
        found = {}
        for key, name in (
            ("ca.crt", "GIT_SSL_CAINFO"),
            ("tls.crt", "GIT_SSL_CERT"),
            ("tls.key", "GIT_SSL_KEY"),
        ):
            if value := self.values.get(key):
                private_file(folder / key, value)
                found[name] = str(folder / key)
        settings = {}
        header = self._authorization()
        if header:
            parts = urlsplit(self.url)
            origin = f"{parts.scheme}://{parts.netloc}/"
            settings[f"http.{origin}.extraHeader"] = f"Authorization: {header}"
        if header or "GIT_SSL_KEY" in found:
            # git would send the header to wherever the server redirects.
            settings["http.followRedirects"] = "false"
        return found | variables(settings)

    def _authorization(self) -> str | None:
        bearer = self.values.get("bearerToken")
        if bearer:
            return f"Bearer {_line(bearer)}"
        if "password" not in self.values:
            return None
        pair = (self.values.get("username", b""), self.values["password"])
        user, password = (_line(p).encode() for p in pair)
        return "Basic " + base64.b64encode(user + b":" + password).decode()

    def _proxy(self) -> dict[str, str]:
        if not self.proxy:
            return {}
        parts = urlsplit(_line(self.proxy["address"]))
        user = _line(self.proxy.get("username", b""))
        word = _line(self.proxy.get("password", b""))
        who = f"{quote(user, safe='')}:{quote(word, safe='')}@" if user else ""
        address = f"{parts.scheme}://{who}{parts.netloc}"
        names = ("http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY")
        return dict.fromkeys(names, address) | {"no_proxy": "", "NO_PROXY": ""}


def _check_proxy(address: bytes) -> None:
    """Refuse what git would read as something else.

    What stands before an @ is never repeated: it may be a password.

    Raises:
        CredentialsError: it is not the URL of a proxy.
    """
    text = _line(address)
    shown = text.rpartition("@")[2]
    if not text:
        fault = "the Secret has no address"
    elif "://" not in text:
        fault = f"address {shown} has no scheme; write http://{shown}"
    else:
        fault = _proxy_fault(text)
    if fault:
        msg = f"git.proxySecretRef: {fault}"
        raise CredentialsError(msg)


def _proxy_fault(text: str) -> str:
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "address is not a URL"
    if parts.scheme not in PROXY_SCHEMES:
        known = ", ".join(PROXY_SCHEMES)
        return f"address has the scheme {parts.scheme}; known are {known}"
    if not host:
        return "address names no host"
    if parts.username is not None or parts.password is not None:
        return "address has a user; the Secret has username and password"
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        return "address has more than a host and a port"
    return ""


def unlocked(key: bytes, password: bytes) -> bytes:
    """A private OpenSSH or PEM key without its password.

    Raises:
        CredentialsError: the password is wrong, or it is no key.
    """
    from cryptography.hazmat.primitives import serialization

    load = serialization.load_ssh_private_key
    if b"BEGIN OPENSSH" not in key:
        load = serialization.load_pem_private_key  # type: ignore[assignment]
    try:
        found = load(key, password)
    except (ValueError, TypeError) as error:
        msg = "the private key cannot be read with its password"
        raise CredentialsError(msg) from error
    return found.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )


def variables(settings: Mapping[str, str]) -> dict[str, str]:
    """Settings of git as variables of its environment."""
    found = {"GIT_CONFIG_COUNT": str(len(settings))} if settings else {}
    for number, (name, value) in enumerate(settings.items()):
        found[f"GIT_CONFIG_KEY_{number}"] = name
        found[f"GIT_CONFIG_VALUE_{number}"] = value
    return found


def _line(value: bytes) -> str:
    text = value.decode("utf-8", "replace").strip()
    if "\n" in text or "\r" in text or "\0" in text:
        msg = "a credential has more than one line"
        raise CredentialsError(msg)
    return text


def _here(url: str) -> bool:
    """Whether a URL is of this machine's loopback."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
