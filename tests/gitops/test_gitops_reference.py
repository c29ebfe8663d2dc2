"""Branch, tag, range, name, commit; and what of them is not read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler.gitops.directory import read_directory
from reconciler.gitops.git import Git, GitError
from reconciler.gitops.ignore import ignored_by
from reconciler.gitops.mirror import Mirror
from reconciler.gitops.reference import Reference
from reconciler.gitops.resource_source import GitReference
from reconciler.gitops.tree import SourceError


@pytest.fixture
def commits(remote: Any) -> list[str]:
    """main has three commits, with tags; feature has one more."""
    found = []
    for number in range(3):
        found.append(remote.commit({"a.yaml": f"n: {number}\n"}))
        remote.git("tag", f"v1.{number}.0")
    remote.git("tag", "-a", "-m", "annotated", "v1.10.0", found[1])
    remote.git("tag", "v2.0.0-rc.1")
    remote.git("checkout", "-q", "-b", "feature")
    remote.write({"a.yaml": "n: 9\n"})
    remote.git("commit", "-qam", "feature")
    found.append(remote.git("rev-parse", "HEAD"))
    remote.git("update-ref", "refs/pull/7/head", found[3])
    remote.git("checkout", "-q", "main")
    return found


def mirror_of(remote: Any, tmp_path: Path, **ref: str) -> Mirror:
    git = Git(tmp_path / "m" / "mirror.git", 20, remote.url)
    return Mirror(git, Reference(GitReference.model_validate(ref)))


@pytest.mark.parametrize(
    ("ref", "label", "index"),
    [
        ({}, "main", 2),
        ({"branch": "feature"}, "feature", 3),
        ({"tag": "v1.0.0"}, "v1.0.0", 0),
        ({"tag": "v1.10.0"}, "v1.10.0", 1),
        ({"semver": ">=1.0.0"}, "v1.10.0", 1),
        ({"semver": "1.0.x - 1.2"}, "v1.2.0", 2),
        ({"name": "refs/pull/7/head"}, "refs/pull/7/head", 3),
        ({"semver": "1.0.x", "tag": "v1.2.0"}, "v1.0.0", 0),
        ({"name": "refs/heads/feature", "semver": "1.x"}, "feature", 3),
    ],
)
def test_what_is_followed(
    remote: Any,
    tmp_path: Path,
    commits: list[str],
    ref: dict[str, str],
    label: str,
    index: int,
) -> None:
    mirror = mirror_of(remote, tmp_path, **ref)
    target = mirror.bring()
    assert (target.label, target.commit) == (label, commits[index])
    assert mirror.resolve().revision == target.revision
    tree = mirror.export(target.commit, ".", label=target.label)
    assert tree.revision == f"{label}@sha1:{commits[index]}"
    assert tree.files["a.yaml"] == f"n: {[0, 1, 2, 9][index]}\n".encode()


def test_a_commit_is_the_last_word(
    remote: Any, tmp_path: Path, commits: list[str]
) -> None:
    mirror = mirror_of(
        remote, tmp_path, commit=commits[0], tag="v1.2.0", branch="main"
    )
    assert mirror.bring().commit == commits[0]
    assert mirror.bring().commit == commits[0]
    assert mirror.git.text("rev-list", "--count", commits[0]) == "1"


def test_a_commit_that_is_not_there(
    remote: Any, tmp_path: Path, commits: list[str]
) -> None:
    assert commits
    with pytest.raises(GitError, match="is in no branch"):
        mirror_of(remote, tmp_path, commit="0" * 39 + "1").bring()


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ({"branch": "gone"}, "branch gone does not exist in file://"),
        ({"tag": "gone"}, "tag gone does not exist"),
        ({"semver": ">=9"}, "a tag in the range '>=9' does not exist"),
        ({"semver": "new"}, "git.ref.semver: 'new' is no range"),
        ({"name": "refs/x/y"}, "reference refs/x/y does not exist"),
    ],
)
def test_what_is_not_there_is_named(
    remote: Any,
    tmp_path: Path,
    commits: list[str],
    ref: dict[str, str],
    message: str,
) -> None:
    assert commits
    with pytest.raises(SourceError, match=message):
        mirror_of(remote, tmp_path, **ref).bring()


def test_tags_come_alone_and_branches_with_their_history(
    remote: Any, tmp_path: Path, commits: list[str]
) -> None:
    tag = mirror_of(remote, tmp_path, tag="v1.2.0")
    assert tag.bring().commit == commits[2]
    assert tag.git.text("rev-list", "--count", commits[2]) == "1"
    branch = mirror_of(remote, tmp_path)
    assert branch.bring().commit == commits[2]
    assert branch.git.text("rev-list", "--count", commits[2]) == "3"


def test_a_tag_that_moved_is_followed(
    remote: Any, tmp_path: Path, commits: list[str]
) -> None:
    mirror = mirror_of(remote, tmp_path, tag="v1.0.0")
    mirror.bring()
    remote.git("tag", "-f", "v1.0.0", commits[2])
    assert mirror.bring().commit == commits[2]


async def test_the_newest_version_is_applied_at_the_next_interval(
    remote: Any,
    cluster: Any,
    make_engine: Any,
    make_config_map: Any,
) -> None:
    remote.commit({"a.yaml": make_config_map("a", x="1")})
    remote.git("tag", "v1.0.0")
    url = {"url": remote.url, "ref": {"semver": "1.x"}}
    engine = make_engine({"git": url})
    await engine.settle()
    revision = engine.status["lastAppliedRevision"]
    assert revision == f"v1.0.0@sha1:{remote.head}"
    remote.commit({"a.yaml": make_config_map("a", x="2")})
    engine.wait()
    await engine.settle()
    assert engine.status["lastAppliedRevision"] == revision
    remote.git("tag", "-a", "-m", "two", "v1.1.0")
    engine.wait()
    await engine.settle()
    revision = engine.status["lastAppliedRevision"]
    assert revision == f"v1.1.0@sha1:{remote.head}"
    data = cluster.objects["ConfigMap", "default", "a"]["data"]
    assert data == {"x": "2"}


IGNORE = """\
# not ours
*.tmp.yaml
/drafts/
!/drafts/keep.yaml
docs/**/example.yaml
"""
FILES = {
    "a.yaml": "1",
    "x.tmp.yaml": "1",
    "deep/y.tmp.yaml": "1",
    "drafts/b.yaml": "1",
    "deep/drafts/c.yaml": "1",
    "docs/a/b/example.yaml": "1",
}
READ = {"a.yaml", "deep/drafts/c.yaml"}


def test_ignored_files_are_not_read(remote: Any, tmp_path: Path) -> None:
    remote.commit(dict(FILES))
    (remote.work / "drafts" / "link.yaml").symlink_to("/etc/passwd")
    remote.commit({})
    ignored = ignored_by(IGNORE)
    mirror = mirror_of(remote, tmp_path)
    tree = mirror.export(mirror.fetch(), ".", ignored)
    assert set(tree.files) == READ
    assert set(read_directory(str(remote.work), ".", ignored).files) == READ


def test_patterns_are_those_of_the_repository(
    remote: Any, tmp_path: Path
) -> None:
    remote.commit({"conf/a.yaml": "1", "conf/conf/b.yaml": "1"})
    ignored = ignored_by("/conf/conf/")
    mirror = mirror_of(remote, tmp_path)
    head = mirror.fetch()
    assert set(mirror.export(head, "conf", ignored).files) == {"a.yaml"}
    found = read_directory(str(remote.work), "conf", ignored)
    assert set(found.files) == {"a.yaml"}


def test_nothing_is_ignored_by_default() -> None:
    assert not ignored_by(None)("a.tmp.yaml")
    assert not ignored_by("\n# no pattern\n")("a.yaml")
