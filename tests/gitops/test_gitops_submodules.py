"""Submodules: which are read, with what, and which are refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.gitops.credentials import Credentials
from reconciler.gitops.submodules import credentials_for, located
from reconciler.gitops.tree import SourceError
from tests.gitops.servers import GitServer

HTTPS = "https://git.example.org/team/models.git"


@pytest.mark.parametrize(
    ("url", "parent", "found"),
    [
        ("../base.git", HTTPS, "https://git.example.org/team/base.git"),
        ("../../base", HTTPS, "https://git.example.org/base"),
        ("./sub", HTTPS, f"{HTTPS}/sub"),
        ("../b.git", "ssh://git@h:2222/a.git", "ssh://git@h:2222/b.git"),
        ("https://other.org/x", HTTPS, "https://other.org/x"),
        ("https://h/x", "ssh://git@h/a", "https://h/x"),
        ("git@h:team/x.git", "ssh://git@h/a", "ssh://git@h/team/x.git"),
        ("h:x.git", "ssh://git@h/a", "ssh://h/x.git"),
        ("file:///srv/x", "file:///srv/a", "file:///srv/x"),
    ],
)
def test_where_a_submodule_is(url: str, parent: str, found: str) -> None:
    assert located(url, parent) == found


@pytest.mark.parametrize(
    ("url", "parent", "message"),
    [
        ("../../../x", HTTPS, "leads out of https://git.example.org"),
        ("http://h/x", HTTPS, "http:// is not followed from https://"),
        ("file:///etc", HTTPS, "file:// is not followed from https://"),
        ("ssh://h/x", HTTPS, "ssh:// is not followed from https://"),
        ("git@h:x", HTTPS, "ssh:// is not followed from https://"),
        ("file:///etc", "ssh://h/a", "file:// is not followed from ssh://"),
        ("ssh://evil/x", "ssh://git@h/a", "credentials are for h only"),
        ("ssh://h:23/x", "ssh://git@h/a", "credentials are for h only"),
        ("ext::sh -c id", HTTPS, "is no https://, ssh:// or file:// URL"),
        ("-u/tmp/x", HTTPS, "is no https://"),
        ("https://other.org/x\n", HTTPS, "is no https://"),
        ("--upload-pack=id", HTTPS, "is no https://"),
        ("/srv/git/x", HTTPS, "is no https://"),
        ("git://h/x", HTTPS, "is no https://"),
        ("https://ada:pw@h/x", HTTPS, "'https://h/x' is no https://"),
        ("", HTTPS, "is no https://"),
    ],
)
def test_what_is_refused(url: str, parent: str, message: str) -> None:
    with pytest.raises(SourceError) as error:
        located(url, parent)
    assert message in str(error.value)
    assert "pw" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("https://git.example.org/other.git", True),
        ("https://git.example.org:8443/other.git", False),
        ("https://git.example.org.evil.org/x", False),
        ("https://evil.org/x", False),
    ],
)
def test_credentials_are_for_one_host(url: str, same: bool) -> None:
    proxy = {"address": b"http://proxy:3128"}
    given = Credentials(HTTPS, {"bearerToken": b"t"}, proxy)
    found = credentials_for(url, given)
    assert found is not None
    assert bool(found.values) == same
    assert found.proxy == proxy
    assert credentials_for(url, None) is None


class Forge:
    """A server with several repositories, and one that is followed."""

    def __init__(self, folder: Path, make_remote: Any) -> None:
        self.make_remote = make_remote
        self.folder = folder
        self.fleet = self.repository("fleet")
        self.server = GitServer(folder)

    def repository(self, name: str) -> Any:
        return self.make_remote(self.folder / name, bare=True)

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/{name}/bare.git"

    def link(self, outer: Any, path: str, url: str, commit: str) -> None:
        """A submodule, without asking git whether it is a good idea."""
        file = outer.work / ".gitmodules"
        old = file.read_text() if file.exists() else ""
        file.write_text(
            f'{old}[submodule "{path}"]\n\tpath = {path}\n\turl = {url}\n'
        )
        outer.git("update-index", "--add", "--cacheinfo",
                  f"160000,{commit},{path}")  # fmt: skip
        outer.git("add", ".gitmodules")
        outer.git("commit", "-q", "-m", f"link {path}")
        outer.publish()

    def spec(self, **git: Any) -> dict[str, Any]:
        found = {"url": self.url("fleet"), "recurseSubmodules": True}
        return {"git": found | git, "retryInterval": "1s"}


@pytest.fixture
def forge(tmp_path: Path, make_remote: Any) -> Iterator[Forge]:
    found = Forge(tmp_path / "forge", make_remote)
    yield found
    found.server.close()


async def test_submodules_are_applied_at_the_commit_that_names_them(
    forge: Forge, make_engine: Any, make_config_map: Any
) -> None:
    base, deep = forge.repository("base"), forge.repository("deep")
    inner = deep.commit({"d.yaml": make_config_map("d")})
    base.commit({"b.yaml": make_config_map("b", x="1")})
    forge.link(base, "more", "../../deep/bare.git", inner)
    pinned = base.head
    base.commit({"b.yaml": make_config_map("b", x="2")})
    forge.fleet.commit({"a.yaml": make_config_map("a")})
    forge.link(forge.fleet, "lib/base", forge.url("base"), pinned)
    engine = make_engine(forge.spec())
    await engine.settle()
    assert engine.condition()["status"] == "True", engine.condition()
    assert engine.cluster.contents() == {
        "ConfigMap/default/a": {"data": {}},
        "ConfigMap/default/b": {"data": {"x": "1"}},
        "ConfigMap/default/d": {"data": {}},
    }
    modules = engine.root / "default_fleet" / "modules"
    assert len(list(modules.iterdir())) == 2
    newest = base.head
    forge.fleet.git("update-index", "--cacheinfo",
                    f"160000,{newest},lib/base")  # fmt: skip
    forge.fleet.git("commit", "-q", "-m", "newest")
    forge.fleet.publish()
    engine.wait()
    await engine.settle()
    assert engine.cluster.contents() == {  # the newest base has no "more"
        "ConfigMap/default/a": {"data": {}},
        "ConfigMap/default/b": {"data": {"x": "2"}},
    }
    assert len(list(modules.iterdir())) == 1


async def test_they_are_left_out_by_default(
    forge: Forge, make_engine: Any, make_config_map: Any
) -> None:
    forge.fleet.commit({"a.yaml": make_config_map("a")})
    forge.link(forge.fleet, "sub", "file:///etc", "1" * 40)
    engine = make_engine(forge.spec(recurseSubmodules=False))
    await engine.settle()
    assert set(engine.cluster.contents()) == {"ConfigMap/default/a"}


@pytest.mark.parametrize(
    ("path", "applied"), [("lib/base", {"b"}), ("conf", {"c"})]
)
async def test_only_submodules_that_the_folder_touches_are_fetched(
    forge: Forge,
    make_engine: Any,
    make_config_map: Any,
    path: str,
    applied: set[str],
) -> None:
    base = forge.repository("base")
    pinned = base.commit({"b.yaml": make_config_map("b")})
    forge.fleet.commit({"conf/c.yaml": make_config_map("c")})
    forge.link(forge.fleet, "lib/base", "../../base/bare.git", pinned)
    forge.link(forge.fleet, "lib/gone", "../../gone/bare.git", "1" * 40)
    engine = make_engine(forge.spec() | {"path": path})
    await engine.settle()
    found = engine.cluster.contents()
    assert found.keys() == {f"ConfigMap/default/{n}" for n in applied}


async def test_a_submodule_that_is_gone_keeps_what_is_applied(
    forge: Forge, make_engine: Any, make_config_map: Any
) -> None:
    base = forge.repository("base")
    pinned = base.commit({"b.yaml": make_config_map("b")})
    forge.fleet.commit({"a.yaml": make_config_map("a")})
    engine = make_engine(forge.spec())
    await engine.settle()
    base.home.rename(base.home.parent / "away")
    forge.link(forge.fleet, "sub", "../../base/bare.git", pinned)
    engine.wait()
    await engine.settle()
    ready = engine.condition()
    assert ready["reason"] == "ArtifactFailed"
    assert ready["message"].startswith("submodule sub: git fetch: ")
    assert set(engine.cluster.contents()) == {"ConfigMap/default/a"}
    (base.home.parent / "away").rename(base.home)
    engine.wait()
    await engine.settle()
    assert "ConfigMap/default/b" in engine.cluster.contents()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("file:///etc", "submodule sub: file:// is not followed from http"),
        ("../../../../x", "submodule sub: '../../../../x' leads out of"),
        (None, "submodule sub: .gitmodules has no url for it"),
    ],
)
async def test_refusals_say_which_submodule(
    forge: Forge,
    make_engine: Any,
    make_config_map: Any,
    url: str | None,
    message: str,
) -> None:
    forge.fleet.commit({"a.yaml": make_config_map("a")})
    forge.link(forge.fleet, "sub", url or "", "1" * 40)
    if url is None:
        forge.fleet.git("rm", "-q", "--cached", ".gitmodules")
        forge.fleet.git("commit", "-q", "-m", "no urls")
        forge.fleet.publish()
    engine = make_engine(forge.spec())
    await engine.settle()
    ready = engine.condition()
    assert ready["reason"] == "ArtifactFailed"
    assert ready["message"].startswith(message)
    assert engine.cluster.contents() == {}


async def test_a_submodule_of_itself_ends(
    forge: Forge, make_engine: Any, make_config_map: Any
) -> None:
    """A commit cannot name itself, but earlier ones by the same name."""
    head = forge.fleet.commit({"a.yaml": make_config_map("a")})
    for _ in range(6):
        forge.link(forge.fleet, "sub", "../bare.git", head)
        forge.fleet.git("rm", "-q", "--cached", "a.yaml", "--ignore-unmatch")
        head = forge.fleet.head
    engine = make_engine(forge.spec())
    await engine.settle()
    ready = engine.condition()
    assert "is nested more than 4 deep" in ready["message"]
    assert ready["message"].startswith("submodule sub/sub/sub/sub/sub: ")


async def test_credentials_do_not_go_to_another_host(
    forge: Forge, tmp_path: Path, cluster: Any, make_engine: Any,
    make_config_map: Any, make_remote: Any,
) -> None:  # fmt: skip
    other = make_remote(tmp_path / "elsewhere" / "base", bare=True)
    pinned = other.commit({"b.yaml": make_config_map("b")})
    near = forge.repository("near")
    near_pin = near.commit({"n.yaml": make_config_map("n")})
    elsewhere = GitServer(tmp_path / "elsewhere")
    forge.server.authorization = "Bearer tok-en"
    cluster.objects["Secret", "default", "git"] = {
        "metadata": {"name": "git", "namespace": "default"},
        "stringData": {"bearerToken": "tok-en"},
    }
    forge.fleet.commit({"a.yaml": make_config_map("a")})
    port = elsewhere.server_port
    far = f"http://127.0.0.1:{port}/base/bare.git"
    forge.link(forge.fleet, "far", far, pinned)
    forge.link(forge.fleet, "near", "../../near/bare.git", near_pin)
    engine = make_engine(forge.spec(secretRef={"name": "git"}))
    try:
        await engine.settle()
    finally:
        elsewhere.close()
    assert engine.condition()["status"] == "True", engine.condition()
    assert set(engine.cluster.contents()) == {
        "Secret/default/git",
        *(f"ConfigMap/default/{n}" for n in ("a", "b", "n")),
    }
    assert elsewhere.asked
    assert not [h for h in elsewhere.asked if "Authorization" in h]
