"""Parts of a repository: what is fetched of it, and what is read."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.gitops.git import Git, GitError
from reconciler.gitops.mirror import Mirror
from reconciler.gitops.reference import Reference
from reconciler.gitops.resource_source import GitReference
from reconciler.gitops.tree import SourceError
from tests.gitops.servers import GitServer

ALLOWED = {"uploadpack.allowFilter": "true"}
BIG = "large and useless " * 1000


@pytest.fixture
def remote(make_remote: Any, tmp_path: Path) -> Any:
    return make_remote(tmp_path / "remote", bare=True)


@pytest.fixture
def server(remote: Any) -> Iterator[GitServer]:
    found = GitServer(remote.home.parent)
    found.settings |= ALLOWED
    yield found
    found.close()


def mirror_of(server: GitServer, tmp_path: Path, **more: Any) -> Mirror:
    git = Git(tmp_path / "m" / "mirror.git", 20, server.url)
    return Mirror(git, partial=True, **more)


def has(mirror: Mirror, sha: str) -> bool:
    done = subprocess.run(
        ["git", "cat-file", "-e", sha],
        cwd=mirror.git.directory,
        check=False,
        capture_output=True,
    )
    return done.returncode == 0


def test_only_what_is_read_is_fetched(
    remote: Any, server: GitServer, tmp_path: Path
) -> None:
    mirror = mirror_of(server, tmp_path)
    remote.commit({"conf/a.yaml": "1", "data/b.yaml": BIG})
    head = remote.commit({"conf/a.yaml": "2"})
    assert mirror.fetch() == head
    assert mirror.export(head, "conf").files == {"a.yaml": b"2"}
    assert has(mirror, remote.git("rev-parse", "HEAD:conf/a.yaml"))
    assert not has(mirror, remote.git("rev-parse", "HEAD:data/b.yaml"))
    assert not has(mirror, remote.git("rev-parse", "HEAD~1:conf/a.yaml"))
    again = remote.commit({"conf/a.yaml": "3", "data/c.yaml": BIG + "c"})
    assert mirror.fetch() == again
    assert mirror.export(again, "conf").files == {"a.yaml": b"3"}
    assert mirror.is_ancestor(head, again)


@pytest.mark.parametrize("ref", ["tag", "commit"])
def test_a_tag_or_a_commit_in_part(
    remote: Any, server: GitServer, tmp_path: Path, ref: str
) -> None:
    head = remote.commit({"conf/a.yaml": "1", "data/b.yaml": BIG})
    remote.git("tag", "v1")
    remote.git("push", "-q", "origin", "v1")
    wanted = GitReference(**{ref: "v1" if ref == "tag" else head})
    mirror = mirror_of(server, tmp_path, reference=Reference(wanted))
    assert mirror.fetch() == head
    assert mirror.export(head, "conf").files == {"a.yaml": b"1"}
    assert not has(mirror, remote.git("rev-parse", "HEAD:data/b.yaml"))


def test_a_server_without_filters_sends_all_of_it(
    remote: Any, server: GitServer, tmp_path: Path
) -> None:
    server.settings["uploadpack.allowFilter"] = "false"
    mirror = mirror_of(server, tmp_path)
    head = remote.commit({"conf/a.yaml": "1", "data/b.yaml": BIG})
    assert mirror.export(mirror.fetch(), "conf").files == {"a.yaml": b"1"}
    assert has(mirror, remote.git("rev-parse", f"{head}:data/b.yaml"))


def test_a_server_that_hands_out_no_single_files_is_cloned_whole(
    remote: Any, server: GitServer, tmp_path: Path
) -> None:
    server.protocol = ""
    mirror = mirror_of(server, tmp_path)
    head = remote.commit({"conf/a.yaml": "1", "data/b.yaml": BIG})
    assert mirror.export(mirror.fetch(), "conf").files == {"a.yaml": b"1"}
    assert has(mirror, remote.git("rev-parse", f"{head}:data/b.yaml"))
    next_one = remote.commit({"conf/a.yaml": "2"})
    assert mirror.export(mirror.fetch(), "conf").files == {"a.yaml": b"2"}
    assert mirror.is_ancestor(head, next_one)


def test_a_file_that_is_lost_or_damaged_is_brought_again(
    remote: Any, server: GitServer, tmp_path: Path
) -> None:
    mirror = mirror_of(server, tmp_path)
    head = remote.commit({"conf/a.yaml": "1"})
    mirror.export(mirror.fetch(), "conf")
    packs = sorted(
        (mirror.git.directory / "objects" / "pack").glob("*.pack"),
        key=lambda p: p.stat().st_mtime_ns,
    )
    packs[-1].chmod(0o600)
    packs[-1].write_bytes(b"garbage")
    assert mirror.fetch() == head
    assert mirror.export(head, "conf").files == {"a.yaml": b"1"}


def test_the_remote_that_goes_before_the_files_came(
    remote: Any, server: GitServer, tmp_path: Path
) -> None:
    head = remote.commit({"conf/a.yaml": "1"})
    mirror = mirror_of(server, tmp_path)
    mirror.fetch()
    port = server.server_port
    server.close()
    with pytest.raises(GitError):
        mirror.export(head, "conf")
    back = GitServer(remote.home.parent, port)
    try:
        assert mirror.export(mirror.fetch(), "conf").files == {"a.yaml": b"1"}
    finally:
        back.close()


def test_a_mirror_in_part_becomes_whole_when_it_has_to(
    remote: Any, server: GitServer, tmp_path: Path
) -> None:
    remote.commit({"conf/a.yaml": "1", "data/b.yaml": BIG})
    mirror_of(server, tmp_path).fetch()
    whole = Mirror(Git(tmp_path / "m" / "mirror.git", 20, server.url))
    whole.fetch()
    assert has(whole, remote.git("rev-parse", "HEAD:data/b.yaml"))


def spec(server: GitServer, *directories: str, **more: Any) -> dict[str, Any]:
    git = {"url": server.url, "sparseCheckout": list(directories)}
    return {"git": git, **more}


async def test_only_the_named_directories_are_applied(
    make_engine: Any, make_config_map: Any, remote: Any, server: GitServer
) -> None:
    names = ["conf/a", "more/deep/b", "other/c", "d", "configuration/e"]
    remote.commit(
        {f"{n}.yaml": make_config_map(n.rpartition("/")[2]) for n in names}
    )
    engine = make_engine(spec(server, "conf", "./more/deep/"))
    await engine.settle()
    assert engine.condition()["status"] == "True", engine.condition()
    assert set(engine.cluster.contents()) == {
        "ConfigMap/default/a",
        "ConfigMap/default/b",
    }


async def test_a_directory_that_is_not_there_prunes_nothing(
    make_engine: Any, make_config_map: Any, remote: Any, server: GitServer
) -> None:
    remote.commit({"conf/a.yaml": make_config_map("a")})
    engine = make_engine(spec(server, "conf"))
    await engine.settle()
    engine.raw["spec"]["git"]["sparseCheckout"] = ["cnf"]
    await engine.settle()
    ready = engine.condition()
    assert ready["reason"] == "ArtifactFailed"
    assert "git.sparseCheckout: cnf does not exist at" in ready["message"]
    assert "ConfigMap/default/a" in engine.cluster.contents()


@pytest.mark.parametrize(
    ("path", "directory", "message"),
    [
        ("conf", "other", "path 'conf' is outside of git.sparseCheckout"),
        ("conf", "conf/../..", "leads out of the source"),
    ],
)
async def test_directories_that_can_never_be_read(
    make_engine: Any,
    remote: Any,
    server: GitServer,
    path: str,
    directory: str,
    message: str,
) -> None:
    remote.commit({"conf/a.yaml": ""})
    engine = make_engine(spec(server, directory, path=path))
    await engine.settle()
    stalled = engine.condition("Stalled")
    assert stalled["reason"] == "InvalidPath"
    assert message in stalled["message"]


def test_a_folder_outside_of_the_directories(
    remote: Any, server: GitServer, tmp_path: Path
) -> None:
    head = remote.commit({"conf/a.yaml": "1", "more/b.yaml": "2"})
    mirror = mirror_of(server, tmp_path)
    mirror.fetch()
    tree = mirror.export(head, "", directories=["more"])
    assert tree.files == {"more/b.yaml": b"2"}
    with pytest.raises(SourceError, match="no does not exist"):
        mirror.export(head, "", directories=["more", "no"])
