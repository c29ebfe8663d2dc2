"""When the source is read again, and when it is not."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from reconciler.gitops.mirror import Mirror
from reconciler.gitops.resource import ConfigRepository
from reconciler.gitops.source import Source, local_path
from reconciler.gitops.tree import SourceError


def repository(
    annotations: dict[str, str] | None = None, **spec: Any
) -> ConfigRepository:
    return ConfigRepository.parse(
        {
            "metadata": {"name": "f", "annotations": annotations or {}},
            "spec": spec,
        }
    )


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path / "state")


def test_read_at_the_interval_and_not_before(
    source: Source, remote: Any
) -> None:
    asked = repository(git={"url": remote.url}, interval="1m")
    first = remote.commit({"a.yaml": "1"})
    look = source.look(asked, 1000)
    assert (look.head, look.due) == (f"main@sha1:{first}", 60)
    second = remote.commit({"a.yaml": "2"})
    look = source.look(asked, 1059)
    assert (look.head, look.due) == (f"main@sha1:{first}", 1)
    look = source.look(asked, 1060)
    assert look.head == f"main@sha1:{second}"
    assert look.rewritten is None


def test_what_is_fetched_is_for_us_only(source: Source, remote: Any) -> None:
    remote.commit({"a.yaml": "1"})
    source.folder.mkdir(parents=True, mode=0o755)
    assert source.look(repository(git={"url": remote.url}), 1000).tree
    assert source.folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("why", ["token", "dirty", "path", "branch"])
def test_read_at_once_if_there_is_a_reason(
    source: Source, remote: Any, why: str
) -> None:
    asked = repository(git={"url": remote.url})
    remote.commit({"a.yaml": "1", "conf/b.yaml": "1"})
    source.look(asked, 1000)
    remote.git("branch", "other")
    head = remote.commit({"a.yaml": "2", "conf/b.yaml": "2"})
    if why == "token":
        token = {"reconciler.dev/requested-at": "x"}
        asked = repository(token, git={"url": remote.url})
    elif why == "dirty":
        source.dirty = True
    elif why == "path":
        asked = repository(git={"url": remote.url}, path="conf")
    else:
        git = {"url": remote.url, "ref": {"branch": "other"}}
        asked = repository(git=git)
        head = remote.git("rev-parse", "other")
    look = source.look(asked, 1001)
    assert look.head is not None
    assert look.head.endswith(head)
    again = source.look(asked, 1002)
    assert again.tree is look.tree


def test_failures_are_retried_sooner(source: Source, remote: Any) -> None:
    asked = repository(git={"url": remote.url}, retryInterval="5s")
    look = source.look(asked, 1000)
    assert look.problem is not None
    assert "branch main does not exist" in look.problem.message
    assert look.due == 5
    remote.commit({"a.yaml": "1"})
    assert source.look(asked, 1004).problem is not None
    assert source.look(asked, 1005).problem is None


def test_what_was_read_last_is_named_while_the_remote_is_gone(
    source: Source, remote: Any
) -> None:
    asked = repository(git={"url": remote.url})
    head = remote.commit({"a.yaml": "1"})
    source.look(asked, 1000)
    remote.work.rename(remote.work.parent / "away")
    look = source.look(asked, 1100)
    assert (look.tree, look.head) == (None, f"main@sha1:{head}")
    assert look.problem is not None
    assert look.problem.reason == "ArtifactFailed"
    (remote.work.parent / "away").rename(remote.work)
    assert source.look(asked, 1200).tree is not None


def test_a_pass_that_was_given_up_is_not_run_over(
    source: Source, remote: Any
) -> None:
    asked = repository(git={"url": remote.url})
    remote.commit({"a.yaml": "1"})
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with source.alone():
            held.set()
            release.wait(20)

    other = threading.Thread(target=hold)
    other.start()
    held.wait(10)
    look = source.look(asked, 1000)
    with pytest.raises(SourceError), source.alone():
        pass
    release.set()
    other.join(10)
    assert look.problem is not None
    assert "still under way" in look.problem.message
    assert source.look(asked, 1001).problem is None


def test_a_directory_is_read_each_time(source: Source, tmp_path: Path) -> None:
    folder = tmp_path / "conf"
    folder.mkdir()
    asked = repository(directory={"path": str(folder)})
    first = source.look(asked, 1000).head
    (folder / "a.yaml").write_text("1")
    assert source.look(asked, 1000).head != first


def test_where_a_local_source_changes(remote: Any, tmp_path: Path) -> None:
    def path(**spec: Any) -> str | None:
        return local_path(repository(**spec).spec)

    assert path(directory={"path": "/srv/x"}) == "/srv/x"
    assert path(git={"url": "https://git.example/x.git"}) is None
    work = f"{remote.work}/.git/refs/heads"
    assert path(git={"url": remote.url}) == work
    bare = path(git={"url": f"file://{tmp_path}/b%20are.git"})
    assert bare == f"{tmp_path}/b are.git/refs/heads"


@pytest.mark.parametrize("flag", ["dirty", "hinted"])
def test_a_change_during_a_read_is_read_too(
    source: Source, remote: Any, monkeypatch: Any, flag: str
) -> None:
    remote.commit({"a.yaml": "1"})
    desired = repository(git={"url": remote.url})
    source.look(desired, 1000.0)
    whole = Mirror.export

    def pushed(self: Mirror, *arguments: Any) -> Any:
        tree = whole(self, *arguments)
        remote.commit({"a.yaml": "2"})
        setattr(source, flag, True)
        return tree

    remote.commit({"a.yaml": "1.5"})
    setattr(source, flag, True)
    monkeypatch.setattr(Mirror, "export", pushed)
    source.look(desired, 1001.0)
    monkeypatch.undo()
    tree = source.look(desired, 1002.0).tree
    assert tree is not None
    assert tree.files == {"a.yaml": b"2"}
