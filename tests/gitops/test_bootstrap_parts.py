"""What bootstrap is made of: layout, deploy key, pinned host keys."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from reconciler.gitops.bootstrap import deploykey, hostkeys
from reconciler.gitops.bootstrap.deploykey import DeployKeyError
from reconciler.gitops.bootstrap.hostkeys import Host
from reconciler.gitops.bootstrap.layout import Layout, LayoutError, defined
from reconciler.gitops.build import Builder

SSH = Layout("ssh://git@example.org/fleet.git", secret="fleet-git")


def test_the_file_says_what_was_asked_for() -> None:
    (built,) = Builder("elsewhere").build({SSH.file: SSH.text()})
    assert SSH.file == "clusters/fleet/repository.yaml"
    assert built.id == SSH.id
    assert built.body["spec"] == {
        "git": {
            "url": "ssh://git@example.org/fleet.git",
            "ref": {"branch": "main"},
            "secretRef": {"name": "fleet-git"},
        },
        "path": "clusters/fleet",
        "interval": "1m",
    }


@pytest.mark.parametrize("path", [".", "/", "./"])
def test_the_top_of_a_repository_may_be_followed(path: str) -> None:
    layout = Layout("file:///x", path=path)
    if path == "/":
        with pytest.raises(LayoutError, match="leads out"):
            layout.checked()
        return
    assert layout.checked().file == "repository.yaml"
    assert layout.body()["spec"]["path"] == "."


@pytest.mark.parametrize(
    ("layout", "told"),
    [
        (Layout("git@example.org:team/x"), "ssh://git@example.org/team/x"),
        (Layout("example.org:team/x"), "ssh://example.org/team/x"),
        (Layout("ftp://example.org/x"), r"spec\.git\.url"),
        (Layout("https://me:word@example.org/x"), r"spec\.git\.url"),
        (Layout("file:///x", path="../y"), "leads out of the source"),
        (Layout("file:///x", path="a/.b"), "dot folder"),
        (Layout("file:///x", branch="-x"), r"spec\.git\.ref\.branch"),
        (Layout("file:///x", interval="soon"), r"spec\.interval"),
        (Layout("file:///x", name="Big"), "name: .*Big"),
    ],
)
def test_what_cannot_be_is_refused_with_its_field(
    layout: Layout, told: str
) -> None:
    with pytest.raises(LayoutError, match=told):
        layout.checked()


def test_what_people_edited_is_kept_and_what_contradicts_is_refused() -> None:
    text = SSH.text().replace(b"interval: 1m", b"interval: 9m")
    objects = Builder("default").build({"repository.yaml": text})
    found = defined(SSH, objects)
    assert found is not None
    assert found.body["spec"]["interval"] == "9m"
    assert defined(Layout(SSH.url, name="other"), objects) is None
    other = Layout("ssh://git@example.org/other.git")
    with pytest.raises(LayoutError, match=r"repository\.yaml:3: .*git\.url"):
        defined(other, objects)


def test_a_key_is_private_and_what_openssh_reads(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "deploy"
    key, made = deploykey.kept(file, "fleet")
    assert made
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    told = subprocess.run(
        ["ssh-keygen", "-l", "-f", str(file)],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert key.fingerprint in told
    assert "(ED25519)" in told
    public = tmp_path / "keys" / "deploy.pub"
    assert public.read_text() == f"{key.public}\n"
    assert set(file.parent.iterdir()) == {file, public}
    again, made = deploykey.kept(file, "fleet")
    assert (again, made) == (key, False)
    assert "PRIVATE" not in repr(key)


def test_a_dry_run_keeps_no_key(tmp_path: Path) -> None:
    _, made = deploykey.kept(tmp_path / "deploy", "fleet", dry_run=True)
    assert made
    assert not any(tmp_path.iterdir())


def test_what_is_no_key_is_named(tmp_path: Path) -> None:
    file = tmp_path / "deploy"
    file.write_text("hello")
    with pytest.raises(DeployKeyError, match="deploy: is not a private"):
        deploykey.kept(file, "fleet")
    assert file.read_text() == "hello"
    locked = tmp_path / "locked"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "word", "-f", str(locked)],
        check=True,
    )
    with pytest.raises(DeployKeyError, match="has a password"):
        deploykey.kept(locked, "fleet")
    with pytest.raises(DeployKeyError, match="below: File exists"):
        deploykey.kept(file / "below", "fleet")


def test_hosts_are_found_also_hashed_and_with_a_port(tmp_path: Path) -> None:
    key = deploykey.generate("x").public.rsplit(" ", 1)[0]
    plain, ported = Host("example.org"), Host("example.org", 2222)
    file = tmp_path / "known_hosts"
    file.write_text(f"example.org {key}\n[example.org]:2222 {key}\n")
    subprocess.run(
        ["ssh-keygen", "-q", "-H", "-f", str(file)],
        check=True, capture_output=True,
    )  # fmt: skip
    assert "example.org" not in file.read_text()
    for host in (plain, ported):
        line = hostkeys.known(file, host).decode()
        assert key in line
        assert line.count("\n") == 1
    assert hostkeys.known(file, Host("other.org")) == b""
    assert hostkeys.known(tmp_path / "none", plain) == b""


def test_the_server_of_a_url() -> None:
    assert Host.of("ssh://git@example.org/x") == Host("example.org", 22)
    assert str(Host.of("ssh://git@example.org:2222/x")) == "[example.org]:2222"
