"""An embedded control plane that was installed from manifests/."""

from __future__ import annotations

import functools
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
NAMESPACE = "reconciler-system"
OVERLAYS = (
    "manifests",
    "manifests/overlays/laptop-k3s",
    "manifests/overlays/production",
)
SERVED = {
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "Namespace",
    "Role",
    "RoleBinding",
    "ServiceAccount",
}
"""Kinds that the embedded control plane has."""

Json = dict[str, Any]
STOP_SECONDS = 60.0


@functools.cache
def rendered(overlay: str) -> tuple[Json, ...]:
    """The objects of an overlay, by kubectl's own kustomize."""
    done = subprocess.run(
        ["kubectl", "kustomize", str(ROOT / overlay)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return tuple(YAML(typ="safe").load_all(done.stdout))


def until(done: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    """Poll closely until something is there."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := done():
            return found
        time.sleep(0.02)
    return pytest.fail(f"no {what} within {seconds:g} s")


class Cluster:
    """kubectl on a control plane."""

    def __init__(self, kubeconfig: Path, home: Path) -> None:
        self.kubeconfig, self.home = kubeconfig, home

    def kubectl(self, *arguments: str, given: str = "") -> str:
        done = subprocess.run(
            ["kubectl", f"--kubeconfig={self.kubeconfig}", *arguments],
            check=False,
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "HOME": str(self.home)},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def apply(self, *objects: Json) -> str:
        documents = "\n".join(json.dumps(o) for o in objects)
        return self.kubectl("apply", "-f", "-", given=documents)

    def install(self, overlay: str = "manifests") -> str:
        """What the embedded control plane has kinds for."""
        served = [o for o in rendered(overlay) if o["kind"] in SERVED]
        return self.apply(*served)

    def objects(self, resource: str) -> list[Json]:
        found = self.kubectl("get", resource, "-A", "-o", "json")
        items: list[Json] = json.loads(found)["items"]
        return items

    def account(self, name: str) -> Path:
        """A kubeconfig with a token of a ServiceAccount."""
        token = self.kubectl(
            *("create", "token", name, "-n", NAMESPACE, "--duration", "1h")
        )
        config = json.loads(self.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": token.strip()}
        path = self.home / f"{name}.kubeconfig"
        path.write_text(json.dumps(config))
        path.chmod(0o600)
        return path


class Operator:
    """A `reconciler operator` process with the arguments of a manifest."""

    def __init__(
        self, kubeconfig: Path, state: Path, log: Path, *arguments: str
    ) -> None:
        self.port, self.log = free_port(), log
        with log.open("wb") as output:
            self.child = subprocess.Popen(
                [
                    *(sys.executable, "-m", "reconciler", "operator"),
                    *("--kubeconfig", str(kubeconfig), "--state", str(state)),
                    *("--probes", str(self.port), *arguments),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )

    def ask(self, path: str) -> tuple[int, str]:
        """Status and body of a probe; 0 while nothing listens."""
        url = f"http://127.0.0.1:{self.port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=5) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def ready(self) -> Operator:
        def answered() -> bool:
            if self.child.poll() is not None:
                pytest.fail(f"the operator ended:\n{self.tail()}")
            return self.ask("/readyz")[0] == 200

        until(answered, f"readiness: {self.tail()}")
        return self

    def leading(self) -> bool:
        status, body = self.ask("/healthz")
        return status == 200 and json.loads(body)["leading"]

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]

    def signal(self, number: signal.Signals) -> None:
        self.child.send_signal(number)

    def stop(self) -> int:
        """Ask it to end, and have it ended; its exit code."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGCONT)
            self.child.send_signal(signal.SIGTERM)
        try:
            return self.child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise AssertionError(self.tail()) from None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
