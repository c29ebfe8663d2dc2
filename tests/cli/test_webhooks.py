"""`reconciler operator --webhooks`: where pushes are taken."""

from __future__ import annotations

import asyncio
import hmac
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler.cli.kinds import KINDS
from reconciler.cli.lock import exclusive
from reconciler.cli.operator import _leading
from reconciler.cli.session import Session
from reconciler.controlplane.thread import ControlPlaneThread
from reconciler.engine.crd import render_crd
from reconciler.engine.listen import Address
from reconciler.engine.paths import StateDirectory
from reconciler.engine.resource import API_VERSION
from reconciler.gitops.receiver import Receiver

TOKEN = "a token of sixteen and more"


def until(read: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if found := read():
            return found
        time.sleep(0.1)
    pytest.fail(f"waited in vain for {what}")


def bodies(remote: Path) -> list[dict[str, Any]]:
    meta = {"namespace": "default"}
    webhook = {"type": "gitea", "secretRef": {"name": "hook"}}
    return [
        *(render_crd(kind) for kind in KINDS),
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {**meta, "name": "hook"},
            "stringData": {"token": TOKEN},
        },
        {
            "apiVersion": API_VERSION,
            "kind": "ConfigRepository",
            "metadata": {**meta, "name": "fleet"},
            "spec": {"git": {"url": f"file://{remote}", "webhook": webhook}},
        },
    ]


def test_the_operator_takes_pushes_where_the_status_says(
    tmp_path: Path,
) -> None:
    log, kubeconfig = tmp_path / "log", tmp_path / "kubeconfig"
    plane = ControlPlaneThread(tmp_path / "plane", kubeconfig=kubeconfig)
    plane.start()
    with Session(kubeconfig) as session:
        for body in bodies(tmp_path / "nowhere"):
            session.run(session.client.apply(body))
    with log.open("wb") as output:
        operator = subprocess.Popen(
            [
                *(sys.executable, "-m", "reconciler", "operator"),
                *("--kubeconfig", str(kubeconfig), "--webhooks", "0"),
                *("--state", str(tmp_path / "state")),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    try:
        with Session(kubeconfig) as session:

            def path() -> str | None:
                where = (API_VERSION, "ConfigRepository", "default", "fleet")
                found = session.run(session.client.get(*where))
                return (found or {}).get("status", {}).get("webhookPath")

            told = until(path, f"status.webhookPath: {log.read_text()}")
        port = re.search(r"Webhooks on 127\.0\.0\.1:(\d+)", log.read_text())
        assert port is not None
        proof = hmac.digest(TOKEN.encode(), b"{}", "sha256").hex()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port[1]}{told}",
            data=b"{}",
            headers={"X-Gitea-Event": "push", "X-Gitea-Signature": proof},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            assert answer.status == 202
    finally:
        operator.send_signal(signal.SIGTERM)
        assert operator.wait(30) == 0
        plane.stop()


async def test_a_standby_does_not_listen(tmp_path: Path) -> None:
    """Its closed port has a proxy try the leader's."""
    receiver = Receiver()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    standby = _leading(
        StateDirectory(tmp_path), None, receiver, Address("127.0.0.1", port)
    )
    with exclusive(tmp_path, "the leader"):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(standby.__aenter__(), 0.3)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 1)
