"""Clients for a control plane under test, and a CRD to play with."""

import asyncio
import base64
import contextlib
import copy
import datetime as dt
import ipaddress
import json
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

GROUP = "example.dev"
WIDGETS = f"/apis/{GROUP}/v1/namespaces/default/widgets"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"

CONDITION = {
    "type": "object",
    "required": ["type", "status"],
    "properties": {
        "type": {"type": "string"},
        "status": {"type": "string"},
        "observedGeneration": {"type": "integer"},
    },
}
SCHEMA = {
    "type": "object",
    "description": "A widget.",
    "required": ["spec"],
    "properties": {
        "spec": {
            "type": "object",
            "description": "What is wanted.",
            "required": ["size"],
            "properties": {
                "size": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 100,
                    "description": "How big it is.",
                },
                "color": {
                    "type": "string",
                    "enum": ["red", "green"],
                    "default": "red",
                },
                "replicas": {"type": "integer"},
                "tags": {
                    "type": "array",
                    "items": {"type": "string"},
                    "x-kubernetes-list-type": "set",
                },
            },
        },
        "status": {
            "type": "object",
            "default": {"observedGeneration": -1},
            "properties": {
                "observedGeneration": {"type": "integer"},
                "replicas": {"type": "integer"},
                "phase": {"type": "string"},
                "conditions": {
                    "type": "array",
                    "items": CONDITION,
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["type"],
                },
            },
        },
    },
}
READY = '.status.conditions[?(@.type=="Ready")].status'


@dataclass(frozen=True)
class Names:
    """Under which names a kind of widgets is served."""

    group: str = GROUP
    plural: str = "widgets"
    singular: str = "widget"
    short: str = "wg"
    category: str = "gadgets"

    @classmethod
    def unique(cls, suffix):
        """Names that nothing else on a shared server has."""
        return cls(
            f"g{suffix}.example.dev",
            f"widgets{suffix}",
            f"widget{suffix}",
            f"wg{suffix}",
            f"gadgets{suffix}",
        )

    @property
    def qualified(self):
        return f"{self.plural}.{self.group}"

    def path(self, namespace, version="v1"):
        """Where the widgets of a namespace are."""
        root = f"/apis/{self.group}/{version}"
        return f"{root}/namespaces/{namespace}/{self.plural}"


EXAMPLE = Names()


def widget_crd(names=EXAMPLE, **version):
    """The CRD of widgets; keywords change its version."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": names.qualified},
        "spec": {
            "group": names.group,
            "scope": "Namespaced",
            "names": {
                "plural": names.plural,
                "singular": names.singular,
                "kind": "Widget",
                "shortNames": [names.short],
                "categories": [names.category],
            },
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "subresources": {
                        "status": {},
                        "scale": {
                            "specReplicasPath": ".spec.replicas",
                            "statusReplicasPath": ".status.replicas",
                        },
                    },
                    "additionalPrinterColumns": [
                        {
                            "name": "Size",
                            "type": "integer",
                            "jsonPath": ".spec.size",
                        },
                        {"name": "Ready", "type": "string", "jsonPath": READY},
                        {
                            "name": "Color",
                            "type": "string",
                            "jsonPath": ".spec.color",
                            "priority": 1,
                        },
                    ],
                    "selectableFields": [{"jsonPath": ".spec.color"}],
                    "schema": {"openAPIV3Schema": copy.deepcopy(SCHEMA)},
                    **version,
                }
            ],
        },
    }


def widget(name="a", size=1, names=EXAMPLE, **metadata):
    """A widget."""
    return {
        "apiVersion": f"{names.group}/v1",
        "kind": "Widget",
        "metadata": {"name": name, **metadata},
        "spec": {"size": size},
    }


def config_map(name="a", **metadata):
    """A ConfigMap with one value."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, **metadata},
        "data": {"key": "value"},
    }


@dataclass(frozen=True)
class Connection:
    """How a kubeconfig's current context is reached."""

    url: str
    headers: dict[str, str]
    tls: ssl.SSLContext


def connection_of(kubeconfig: Path) -> Connection:
    """The server, token and certificates of a kubeconfig."""
    config = yaml.safe_load(kubeconfig.read_text())
    named = {
        kind: {entry["name"]: entry for entry in config.get(kind) or ()}
        for kind in ("contexts", "clusters", "users")
    }
    context = named["contexts"][config["current-context"]]["context"]
    cluster = named["clusters"][context["cluster"]]["cluster"]
    user = named["users"][context["user"]]["user"]
    tls = ssl.create_default_context(
        cadata=_text(cluster, "certificate-authority") or None
    )
    if certificate := _text(user, "client-certificate"):
        pem = certificate + _text(user, "client-key")
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(pem)
            file.flush()
            tls.load_cert_chain(file.name)
    token = user.get("token")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return Connection(cluster["server"], headers, tls)


def _text(entry, name):
    """What an entry has inline in base64, or in the file that it names."""
    if data := entry.get(f"{name}-data"):
        return base64.b64decode(data).decode()
    return Path(entry[name]).read_text() if name in entry else ""


class Client:
    """JSON over HTTPS, as the user of a kubeconfig."""

    def __init__(self, kubeconfig: Path):
        to = connection_of(kubeconfig)
        self.url = to.url
        self.session = aiohttp.ClientSession(
            headers=to.headers, connector=aiohttp.TCPConnector(ssl=to.tls)
        )

    async def call(self, method, path, body=None, **options):
        """The status code and the decoded answer."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        headers |= options.pop("headers", {})
        async with self.session.request(
            method,
            self.url + path,
            data=None if body is None else data,
            headers=headers,
            **options,
        ) as response:
            self.headers = response.headers
            text = await response.read()
            kind = response.headers.get("Content-Type", "")
            answer = json.loads(text) if "json" in kind else text.decode()
            return response.status, answer

    async def ok(self, method, path, body=None, **options):
        """The answer of a request that must succeed."""
        code, answer = await self.call(method, path, body, **options)
        assert code < 300, answer
        return answer

    async def refused(self, method, path, body=None, **options):
        """The Status of a request that must fail."""
        code, answer = await self.call(method, path, body, **options)
        assert code >= 400, answer
        assert answer["kind"] == "Status"
        assert answer["code"] == code
        return answer

    async def patch(self, path, body, kind=MERGE, **options):
        """A patch of a given kind."""
        headers = {"Content-Type": kind}
        return await self.call("PATCH", path, body, headers=headers, **options)

    async def apply(self, path, body, manager="tester", query=""):
        """Server-side apply."""
        where = f"{path}?fieldManager={manager}{query}"
        return await self.patch(where, body, APPLY)

    @contextlib.asynccontextmanager
    async def watching(self, path, query=""):
        """An open watch; gives a function that awaits the next event."""
        async with self.session.get(
            f"{self.url}{path}?watch=1{query}"
        ) as response:
            assert response.status == 200, await response.text()

            async def following(seconds=5.0):
                async with asyncio.timeout(seconds):
                    line = await response.content.readline()
                return json.loads(line) if line else None

            yield following

    async def close(self):
        await self.session.close()


async def eventually(check, seconds=60.0):
    """Poll until an async check gives something true; return it."""
    end = time.monotonic() + seconds
    while True:
        found = await check()
        if found:
            return found
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.02)


class Kubectl:
    """The real kubectl, pointed at a control plane."""

    def __init__(self, kubeconfig: Path, home: Path):
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "KUBECONFIG": str(kubeconfig),
        }

    def start(self, *arguments, **options):
        """A kubectl process with piped output."""
        return subprocess.Popen(
            ["kubectl", *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def run(self, *arguments, given=None):
        """Exit code, output and errors."""
        text = json.dumps(given) if isinstance(given, dict) else given
        done = subprocess.run(
            ["kubectl", *arguments],
            env=self.environment,
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def __call__(self, *arguments, given=None):
        """The output of a command that must succeed."""
        code, out, error = self.run(*arguments, given=given)
        assert code == 0, f"kubectl {arguments}: {out}{error}"
        return out

    def fails(self, *arguments, given=None):
        """The errors of a command that must fail."""
        code, out, error = self.run(*arguments, given=given)
        assert code != 0, f"kubectl {arguments} succeeded: {out}"
        return error


class ServerProcess:
    """``python -m reconciler.controlplane`` as a process of its own."""

    def __init__(self, state: Path):
        self.state = state
        self.kubeconfig = state / "kubeconfig"
        self.process = None

    def start(self, seconds=20.0):
        """Start and wait for the ready line, which is returned."""
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "reconciler.controlplane",
                "serve",
                "--state",
                str(self.state),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        timer = time.monotonic() + seconds
        line = self.process.stdout.readline()
        assert time.monotonic() < timer
        return line

    def kill(self):
        """SIGKILL, as a power cut for the process."""
        self.process.kill()
        self._reap()

    def stop(self):
        """SIGTERM; gives the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self._reap()

    def _reap(self):
        self.process.wait(20)
        self.process.stdout.close()
        self.process.stderr.close()
        return self.process.returncode


def certificate():
    """A self-made certificate for 127.0.0.1 and its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hook")])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    authority = x509.BasicConstraints(ca=True, path_length=0)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(authority, critical=True)
        .sign(key, hashes.SHA256())
    )
    return (
        built.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
