"""The source fails: nothing is lost, it is told where, it heals by itself.

Real Git servers on loopback; each test ends with the fault gone and nobody
having done anything to the repository.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gitops.servers import CuttingProxy, GitServer
from tests.gitops.ssh_server import SshServer

NOISE = 300_000


@pytest.fixture
def remote(make_remote: Any, tmp_path: Path) -> Any:
    return make_remote(tmp_path / "remote", bare=True)


@pytest.fixture
def server(remote: Any) -> Iterator[GitServer]:
    found = GitServer(remote.home.parent)
    yield found
    found.close()


@pytest.fixture
async def proxies() -> AsyncIterator[list[CuttingProxy]]:
    found: list[CuttingProxy] = []
    yield found
    for proxy in found:
        await proxy.stop()


def drift(engine: Any) -> None:
    engine.cluster.objects["ConfigMap", "default", "a"]["data"] = {"x": "9"}


async def holds(engine: Any, reason: str, *texts: str) -> None:
    """The fault is told; the last good revision is enforced meanwhile."""
    drift(engine)
    engine.wait()
    await engine.settle()
    ready = engine.condition()
    assert (ready["status"], ready["reason"]) == ("False", reason), ready
    for text in texts:
        assert text in ready["message"]
    assert engine.condition("Reconciling")["reason"] == "ProgressingWithRetry"
    assert engine.cluster.contents()["ConfigMap/default/a"] == {
        "data": {"x": "1"}
    }
    assert "default_a__ConfigMap" in {
        e["id"] for e in engine.status["inventory"]
    }


async def heals(engine: Any, *names: str, seconds: int = 16) -> None:
    """After the retry interval the newest revision is applied."""
    engine.wait(seconds)
    await engine.settle()
    assert engine.condition()["status"] == "True", engine.condition()
    found = {
        key.rpartition("/")[2]
        for key in engine.cluster.contents()
        if key.startswith("ConfigMap/")
    }
    assert found == set(names)


@pytest.mark.parametrize("way", ["http", "ssh"])
async def test_the_server_goes_in_the_middle_of_a_fetch(
    make_engine: Any, make_config_map: Any, remote: Any, server: GitServer,
    cluster: Any, proxies: list[CuttingProxy], tmp_path: Path, way: str,
) -> None:  # fmt: skip
    ssh = SshServer(tmp_path)
    port = server.server_port
    if way == "ssh":
        await ssh.start()
        port = ssh.port
    proxy = CuttingProxy(port)
    await proxy.start()
    proxies.append(proxy)
    git: dict[str, Any] = {"url": f"http://127.0.0.1:{proxy.port}/bare.git"}
    if way == "ssh":
        ssh.port = proxy.port  # that is what known_hosts has to name
        cluster.objects["Secret", "default", "git"] = {
            "metadata": {"name": "git", "namespace": "default"},
            "stringData": {
                "identity": ssh.identity().decode(),
                "known_hosts": ssh.known_hosts().decode(),
            },
        }
        url = f"ssh://git@127.0.0.1:{proxy.port}{remote.home}"
        git = {"url": url, "secretRef": {"name": "git"}}
    remote.commit({"a.yaml": make_config_map("a", x="1")})
    engine = make_engine({"git": git})
    await engine.settle()
    noise = make_config_map("b", noise=os.urandom(NOISE).hex())
    remote.commit({"b.yaml": noise})
    proxy.cut_after = 100_000
    await holds(engine, "ArtifactFailed", "git fetch: ")
    assert proxy.cuts
    proxy.cut_after = None
    await heals(engine, "a", "b")
    left = [p for p in engine.root.rglob("*") if p.name.startswith("tmp_")]
    assert left == []
    if way == "ssh":
        await ssh.stop()


async def test_a_damaged_object_on_the_server(
    make_engine: Any, make_config_map: Any, remote: Any, server: GitServer
) -> None:
    remote.commit({"a.yaml": make_config_map("a", x="1")})
    engine = make_engine({"git": {"url": server.url}})
    await engine.settle()
    remote.commit({"b.yaml": make_config_map("b")})
    sha = remote.git("rev-parse", "HEAD:b.yaml")
    damaged = remote.home / "objects" / sha[:2] / sha[2:]
    whole = damaged.read_bytes()
    damaged.chmod(0o600)
    damaged.write_bytes(whole[:-4] + b"ruin")
    await holds(engine, "ArtifactFailed", "git fetch: ", sha)
    mirror = engine.root / "default_fleet" / "mirror.git"
    assert (mirror / "refs" / "heads" / "main").is_file()  # the old one stays
    damaged.write_bytes(whole)
    await heals(engine, "a", "b")


async def test_a_damaged_mirror_is_nobodys_business(
    make_engine: Any, make_config_map: Any, remote: Any, server: GitServer
) -> None:
    remote.commit({"a.yaml": make_config_map("a", x="1")})
    engine = make_engine({"git": {"url": server.url}})
    await engine.settle()
    mirror = engine.root / "default_fleet" / "mirror.git"
    for found in (mirror / "objects").rglob("*"):
        if found.is_file():
            found.chmod(0o600)
            found.write_bytes(found.read_bytes()[:-7] + b"damaged")
    remote.commit({"b.yaml": make_config_map("b")})
    await heals(engine, "a", "b", seconds=61)
    assert "ArtifactFailed" not in engine.events.reasons()


async def test_what_killed_fetches_left_is_removed(
    make_engine: Any, make_config_map: Any, remote: Any, server: GitServer
) -> None:
    remote.commit({"a.yaml": make_config_map("a", x="1")})
    engine = make_engine({"git": {"url": server.url}})
    await engine.settle()
    mirror = engine.root / "default_fleet" / "mirror.git"
    left = mirror / "objects" / "pack" / "tmp_pack_x"
    left.write_bytes(b"half")
    folder = mirror / "objects" / "tmp_objdir-incoming-x"
    folder.mkdir()
    remote.commit({"b.yaml": make_config_map("b")})
    await heals(engine, "a", "b", seconds=61)
    assert not left.exists()
    assert not folder.exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a file system of a few KiB")
    target = tmp_path / "disk"
    target.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(target)],
        check=False,
        capture_output=True,
    )
    if done.returncode != 0:
        pytest.skip("mounting is not allowed here")
    yield target
    subprocess.run(["umount", "-l", str(target)], check=True)


@pytest.mark.parametrize("restart", [False, True])
async def test_the_disk_is_full(
    types: Any, cluster: Any, make_config_map: Any, remote: Any,
    server: GitServer, small_disk: Path, restart: bool,
) -> None:  # fmt: skip
    remote.commit({"a.yaml": make_config_map("a", x="1")})
    spec = {"git": {"url": server.url}}
    engine = types["Engine"](cluster, small_disk / "state", spec)
    await engine.settle()
    filler = small_disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", 0) as file:
        while file.write(b"x" * 4096):
            pass
    remote.commit({"b.yaml": make_config_map("b", y="z" * 20_000)})
    if restart:
        engine.restart()
    await holds(engine, "ArtifactFailed", "No space left on device")
    assert str(small_disk) in engine.condition()["message"]
    filler.unlink()
    await heals(engine, "a", "b")


async def test_a_branch_that_is_deleted_and_comes_back(
    make_engine: Any, make_config_map: Any, remote: Any, server: GitServer
) -> None:
    remote.commit({"a.yaml": make_config_map("a", x="1")})
    engine = make_engine({"git": {"url": server.url}})
    await engine.settle()
    remote.ask("update-ref", "-d", "refs/heads/main")
    missing = "branch main does not exist"
    await holds(engine, "ArtifactFailed", missing, server.url)
    remote.commit({"b.yaml": make_config_map("b")})
    await heals(engine, "a", "b")


async def test_kustomize_that_is_not_there_yet_is_tried_again(
    make_engine: Any, make_config_map: Any, remote: Any, server: GitServer,
    monkeypatch: Any,
) -> None:  # fmt: skip
    if shutil.which("kustomize") is None and shutil.which("kubectl") is None:
        pytest.skip("needs kustomize or kubectl")
    remote.commit({"a.yaml": make_config_map("a", x="1")})
    engine = make_engine({"git": {"url": server.url}})
    await engine.settle()
    remote.commit({"kustomization.yaml": "resources: [a.yaml, b.yaml]\n",
                   "b.yaml": make_config_map("b")})  # fmt: skip
    with monkeypatch.context() as patch:
        find = shutil.which
        patch.setattr(shutil, "which", lambda name, *more, **others: (
            None if name in ("kustomize", "kubectl")
            else find(name, *more, **others)
        ))  # fmt: skip
        await holds(engine, "BuildFailed", "kustomization.yaml:1: ")
    await heals(engine, "a", "b")


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n"
    for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (LAUGHS, "bad.yaml:1: expands to more than 200000 values"),
        ("- " * 5_000, "bad.yaml:1: is nested too deeply"),
        ("!!python/object:os.system x", "bad.yaml:1: tag "),
        ("kind: A\nkind: B\n", "bad.yaml:2: key 'kind' appears twice"),
        ("a: \x07\n", "bad.yaml:1: has a character that YAML forbids"),
        ("a: ü\n".encode("utf-16"), "bad.yaml:1: is not UTF-8 text (byte"),
        ("b: 1\na: ü\n".encode("latin-1"), "bad.yaml:2: is not UTF-8 text"),
    ],
    ids=[
        "laughs", "deep", "tag", "twice", "control", "utf-16", "latin-1"
    ],
)  # fmt: skip
async def test_a_file_that_nobody_can_read(
    make_engine: Any, make_config_map: Any, remote: Any, server: GitServer,
    data: str | bytes, message: str,
) -> None:  # fmt: skip
    remote.commit({"a.yaml": make_config_map("a", x="1")})
    engine = make_engine({"git": {"url": server.url}})
    await engine.settle()
    remote.commit({"bad.yaml": data, "b.yaml": make_config_map("b")})
    await holds(engine, "BuildFailed", message)
    assert "ConfigMap/default/b" not in engine.cluster.contents()
    remote.commit({"bad.yaml": None})
    await heals(engine, "a", "b")


@pytest.mark.slow
async def test_fifty_megabytes_are_refused_and_bounded_in_memory(
    make_engine: Any, make_config_map: Any, remote: Any, server: GitServer
) -> None:
    remote.commit({"a.yaml": make_config_map("a", x="1")})
    engine = make_engine({"git": {"url": server.url}})
    await engine.settle()
    remote.commit({"bad.yaml": "a: 1\n" * 10_500_000})
    tracemalloc.start()
    try:
        message = "bad.yaml:1: has 52500000 bytes, more than 4 MiB"
        await holds(engine, "BuildFailed", message)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * 52_500_000
    remote.commit({"bad.yaml": None})
    await heals(engine, "a")


@pytest.mark.slow
async def test_five_thousand_documents_in_one_file(
    make_engine: Any, make_config_map: Any, remote: Any, server: GitServer
) -> None:
    text = "---\n".join(
        make_config_map(f"m{n}", x=str(n)) for n in range(5000)
    )
    remote.commit({"all.yaml": text})
    engine = make_engine({"git": {"url": server.url}})
    await engine.settle()
    assert engine.condition()["status"] == "True"
    assert len(engine.cluster.contents()) == 5000
    assert len(engine.status["inventory"]) == 5000
    writes = len(engine.cluster.writes)
    tries = engine.cluster.dry_runs
    engine.wait()
    await engine.settle()
    assert (writes, tries) == (
        len(engine.cluster.writes),
        engine.cluster.dry_runs,
    )
