"""The git adapter against real repositories, some of them damaged."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from reconciler.gitops.git import Git, GitError, GitTimeoutError
from reconciler.gitops.mirror import Mirror
from reconciler.gitops.plumbing import PushError, push
from reconciler.gitops.tree import SourceError, UnsafePathError


def mirror_of(url: str, tmp_path: Path, timeout: float = 20) -> Mirror:
    return Mirror.of(Git(tmp_path / "m" / "mirror.git", timeout, url), "main")


@pytest.fixture
def mirror(remote: Any, tmp_path: Path) -> Mirror:
    return mirror_of(remote.url, tmp_path)


def test_fetch_follows_the_branch_and_exports_a_folder(
    remote: Any, mirror: Mirror
) -> None:
    first = remote.commit({"conf/a.yaml": "a: 1\n", "b.yaml": "b: 1\n"})
    assert mirror.fetch() == first
    second = remote.commit({"conf/deep/x.json": "{}", "conf/no.txt": "x"})
    assert mirror.fetch() == second
    tree = mirror.export(second, "conf")
    assert tree.revision == f"main@sha1:{second}"
    assert tree.files == {"a.yaml": b"a: 1\n", "deep/x.json": b"{}"}
    assert mirror.export(first, ".").files.keys() == {"conf/a.yaml", "b.yaml"}


def test_names_and_bytes_survive(remote: Any, mirror: Mirror) -> None:
    files = {"ü x\n.yaml": b"\xff\x00\n", "empty.yaml": b""}
    remote.commit(files)
    assert mirror.export(mirror.fetch(), "").files == files


def test_force_push_is_followed(remote: Any, mirror: Mirror) -> None:
    remote.commit({"a.yaml": "1"})
    old = remote.commit({"a.yaml": "2"})
    assert mirror.fetch() == old
    remote.git("reset", "-q", "--hard", "HEAD~1")
    new = remote.commit({"a.yaml": "3"})
    assert mirror.fetch() == new
    assert not mirror.is_ancestor(old, new)


def test_deleted_branch_is_named_and_the_mirror_kept(
    remote: Any, mirror: Mirror
) -> None:
    head = remote.commit({"a.yaml": "1"})
    mirror.fetch()
    remote.git("checkout", "-q", "-b", "other")
    remote.git("branch", "-D", "main")
    with pytest.raises(SourceError, match="branch main does not exist"):
        mirror.fetch()
    assert mirror.head() == head


def test_a_tree_of_endless_names_is_refused(
    remote: Any, mirror: Mirror
) -> None:
    """A git bomb: a dozen objects, ten thousand million names."""
    first = remote.commit({"a.yaml": "1"})
    assert mirror.fetch() == first
    blob = remote.git("rev-parse", "HEAD:a.yaml")
    rows = "".join(f"100644 blob {blob}\tf{n}\n" for n in range(10))
    for _ in range(10):
        rows = _above(remote, rows)
    tree = rows.split()[2]
    bomb = remote.git("commit-tree", tree, "-p", first, "-m", "bomb")
    remote.git("update-ref", "refs/heads/main", bomb)
    with pytest.raises(SourceError, match="more than 32 MiB of names"):
        mirror.fetch()
    remote.git("update-ref", "refs/heads/main", first)
    assert mirror.fetch() == first


def _above(remote: Any, rows: str) -> str:
    """Rows of a tree that has the tree of other rows ten times."""
    done = subprocess.run(
        ["git", "mktree"],
        cwd=remote.work, input=rows.encode(), capture_output=True, check=True,
    )  # fmt: skip
    made = done.stdout.decode().strip()
    return "".join(f"040000 tree {made}\td{n}\n" for n in range(10))


def test_remote_that_is_gone(tmp_path: Path) -> None:
    mirror = mirror_of(f"file://{tmp_path}/nowhere", tmp_path)
    with pytest.raises(GitError, match="does not appear to be a git"):
        mirror.fetch()


def damage_object(where: Path) -> None:
    for found in (where / "objects").rglob("*"):
        if found.is_file():
            found.chmod(0o600)
            found.write_bytes(b"garbage")


def leave_a_lock(where: Path) -> None:
    (where / "refs" / "heads" / "main.lock").write_text("")


def remove_objects(where: Path) -> None:
    shutil.rmtree(where / "objects")


def remove_head(where: Path) -> None:
    (where / "HEAD").unlink()


def break_config(where: Path) -> None:
    (where / "config").write_text("[core\n")


def empty_ref(where: Path) -> None:
    (where / "refs" / "heads" / "main").write_text("")


@pytest.mark.parametrize(
    "damage",
    [
        damage_object,
        leave_a_lock,
        remove_objects,
        remove_head,
        break_config,
        empty_ref,
    ],
)
def test_damaged_mirror_is_cloned_again(
    remote: Any, mirror: Mirror, damage: Any
) -> None:
    remote.commit({"a.yaml": "1"})
    mirror.fetch()
    damage(mirror.git.directory)
    head = remote.commit({"a.yaml": "2"})
    assert mirror.fetch() == head
    assert mirror.export(head, ".").files == {"a.yaml": b"2"}


def test_objects_damaged_after_an_unchanged_fetch_are_noticed(
    remote: Any, mirror: Mirror
) -> None:
    remote.commit({"a.yaml": "1"})
    head = mirror.fetch()
    damage_object(mirror.git.directory)
    assert mirror.fetch() == head
    assert mirror.export(head, ".").files == {"a.yaml": b"1"}


def test_links_are_refused(remote: Any, mirror: Mirror) -> None:
    (remote.work / "conf").mkdir()
    (remote.work / "conf/x.yaml").symlink_to("/etc/passwd")
    head = remote.commit({"a.yaml": "1"})
    mirror.fetch()
    with pytest.raises(UnsafePathError, match=r"conf/x.yaml:1: is a symb"):
        mirror.export(head, ".")


@pytest.mark.parametrize("path", ["..", "a/../../b", "/etc", "a\0b"])
def test_paths_out_of_the_tree_are_refused(
    remote: Any, mirror: Mirror, path: str
) -> None:
    head = remote.commit({"a.yaml": "1"})
    mirror.fetch()
    with pytest.raises(UnsafePathError):
        mirror.export(head, path)


@pytest.mark.parametrize("path", ["none", "a.yaml"])
def test_folder_that_is_not_there(
    remote: Any, mirror: Mirror, path: str
) -> None:
    head = remote.commit({"a.yaml": "1"})
    mirror.fetch()
    with pytest.raises(SourceError, match="does not exist at"):
        mirror.export(head, path)


def test_submodules_are_not_followed(
    remote: Any, mirror: Mirror, make_remote: Any, tmp_path: Path
) -> None:
    inner = make_remote(tmp_path / "inner")
    inner.commit({"in.yaml": "x"})
    remote.git(
        "-c", "protocol.file.allow=always", "submodule", "add", "-q",
        inner.url, "sub",
    )  # fmt: skip
    head = remote.commit({"a.yaml": "1"})
    mirror.fetch()
    assert mirror.export(head, ".").files == {"a.yaml": b"1"}


def test_hooks_and_settings_of_the_user_do_not_run(
    remote: Any, mirror: Mirror, tmp_path: Path, monkeypatch: Any
) -> None:
    proof = tmp_path / "ran"
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    hook = hooks / "reference-transaction"
    hook.write_text(f"#!/bin/sh\ntouch {proof}\n")
    hook.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(f"[core]\n\thooksPath = {hooks}\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    remote.git("init", "-q", str(tmp_path / "probe"), cwd=tmp_path)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.hooksPath")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", str(hooks))
    monkeypatch.delenv("GIT_DIR")
    monkeypatch.delenv("GIT_CONFIG_COUNT")
    remote.commit({"a.yaml": "1"})
    proof.unlink(missing_ok=True)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    mirror.fetch()
    assert not proof.exists()


def test_remote_of_another_owner_is_read(remote: Any, mirror: Mirror) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root to change owners")
    head = remote.commit({"a.yaml": "1"})
    subprocess.run(["chown", "-R", "12345", str(remote.work)], check=True)
    assert mirror.fetch() == head


def test_remote_of_another_owner_is_not_pushed_to(
    make_remote: Any, tmp_path: Path
) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root to change owners")
    remote, proof = make_remote(tmp_path / "bare", bare=True), tmp_path / "ran"
    head = remote.commit({"a.yaml": "1"})
    hook = remote.home / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {proof}\n")
    hook.chmod(0o755)
    subprocess.run(["chown", "-R", "12345", str(remote.home)], check=True)
    mirror = mirror_of(remote.url, tmp_path)
    assert mirror.fetch() == head
    with pytest.raises(PushError, match="belongs to another user") as error:
        push(mirror.git, "refs/heads/other", "", head)
    assert error.value.reason == "ForeignRepository"
    assert not proof.exists()


def test_slow_remote_is_given_up(tmp_path: Path, slow_server: str) -> None:
    mirror = mirror_of(f"{slow_server}/x.git", tmp_path, timeout=1)
    start = time.monotonic()
    with pytest.raises(GitTimeoutError, match="took more than 1s"):
        mirror.fetch()
    assert time.monotonic() - start < 30


def test_http_asks_nobody_for_a_password(
    tmp_path: Path, guarded_server: str
) -> None:
    mirror = mirror_of(f"{guarded_server}/x.git", tmp_path)
    with pytest.raises(GitError) as error:
        mirror.fetch()
    assert "could not read Username" in str(error.value)


def test_messages_never_show_credentials(tmp_path: Path) -> None:
    url = "http://ada:geheim@127.0.0.1:1/x.git"
    with pytest.raises(GitError) as error:
        mirror_of(url, tmp_path).fetch()
    assert "geheim" not in str(error.value)
    assert "127.0.0.1" in str(error.value)


def test_no_git_binary(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitError, match="cannot run git"):
        mirror_of("file:///x", tmp_path).fetch()


def test_other_protocols_are_not_spoken(tmp_path: Path) -> None:
    mirror = mirror_of(f"ext::sh -c 'touch {tmp_path}/ran'", tmp_path)
    with pytest.raises(GitError, match="not allowed"):
        mirror.fetch()
    assert not (tmp_path / "ran").exists()


def test_full_disk_is_told_and_recovered_from(
    remote: Any, tmp_path: Path
) -> None:
    """A file size limit stands in for the full disk: writes fail."""
    remote.commit({"big.yaml": os.urandom(200_000).hex()})
    git = Git(tmp_path / "m" / "mirror.git", 20, remote.url)
    wrapper = tmp_path / "bin"
    wrapper.mkdir()
    real = shutil.which("git")
    script = wrapper / "git"
    script.write_text(f'#!/bin/bash\nulimit -f 20\nexec {real} "$@"\n')
    script.chmod(0o755)
    path = f"{wrapper}:{os.environ['PATH']}"
    full = Git(git.directory, 20, remote.url, None, {"PATH": path})
    with pytest.raises(GitError):
        Mirror.of(full, "main").fetch()
    found = Mirror.of(git, "main")
    assert found.export(found.fetch(), ".").files.keys() == {"big.yaml"}


class _Slow(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.released.wait(20)  # type: ignore[attr-defined]

    def log_message(self, *_: Any) -> None:
        pass


class _Guarded(_Slow):
    def do_GET(self) -> None:
        self.send_response(401)
        self.send_header("WWW-Authenticate", "Basic realm=x")
        self.send_header("Content-Length", "0")
        self.end_headers()


def serve(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.released = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.released.set()  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()


@pytest.fixture
def slow_server() -> Iterator[str]:
    yield from serve(_Slow)


@pytest.fixture
def guarded_server() -> Iterator[str]:
    yield from serve(_Guarded)
