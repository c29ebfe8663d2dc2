"""`reconciler bootstrap` against real Git servers and an API server."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import ssl
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from reconciler.cli.kinds import KINDS
from reconciler.cli.main import main
from reconciler.cli.session import Session
from reconciler.controlplane import certificates
from reconciler.controlplane.thread import ControlPlaneThread
from reconciler.engine.client import KubeClient
from reconciler.engine.crd import render_crd
from reconciler.engine.errors import UnavailableError
from reconciler.engine.paths import StateDirectory
from reconciler.gitops.bootstrap import deploykey
from reconciler.gitops.bootstrap.remote import Remote as Branch
from tests.gitops.conftest import Remote
from tests.gitops.ssh_server import SshThread, asyncssh
from tests.gitops.test_gitops_server import GitServer

EXAMPLES = Path(__file__).parents[2] / "examples"
API = "reconciler.dev/v1alpha1"
FILE = "clusters/{}/repository.yaml"
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    state = StateDirectory(tmp_path_factory.mktemp("state"))
    plane = ControlPlaneThread(state.controlplane, kubeconfig=state.kubeconfig)
    plane.start()
    with Session(state.kubeconfig) as session:
        for kind in KINDS:
            session.run(session.client.apply(render_crd(kind)))
    yield state
    plane.stop()


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name of its own for each test: they share the API server."""
    digest = hashlib.sha256(request.node.name.encode()).hexdigest()
    return f"fleet-{digest[:10]}"


@pytest.fixture
def bootstrap(
    state: StateDirectory, name: str, capsys: pytest.CaptureFixture[str]
) -> Call:
    def call(*words: str) -> tuple[int, str, str]:
        code = main(
            [
                "--state", str(state.root), "bootstrap", "--name", name,
                *(() if "--timeout" in words else ("--no-wait",)), *words,
            ]
        )  # fmt: skip
        out, err = capsys.readouterr()
        return code, out, err

    return call


def live(
    state: StateDirectory, name: str, kind: str = "ConfigRepository"
) -> dict[str, Any] | None:
    version = "v1" if kind == "Secret" else API
    with Session(state.kubeconfig) as session:
        return session.run(session.client.get(version, kind, "default", name))


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    found = Remote(tmp_path / "remote", bare=True)
    found.commit({"README.md": "ours\n", "apps/a.yaml": "a: 1\n"})
    return found


@pytest.fixture
def ssh(tmp_path: Path) -> Iterator[SshThread]:
    found = SshThread(tmp_path)
    yield found
    found.close()


def test_from_nothing_and_again(
    bootstrap: Call, state: StateDirectory, name: str, tmp_path: Path
) -> None:
    bare = tmp_path / "our fleet.git"
    code, _, err = bootstrap(str(bare))
    assert (code, "--init" in err) == (1, True)
    code, out, _ = bootstrap(str(bare), "--init", "--dry-run")
    assert code == 0
    assert "created (dry run)" in out
    assert not bare.exists()
    assert live(state, name) is None
    code, out, _ = bootstrap(str(bare), "--init", "--write-back")
    assert code == 0
    assert "pushed" in out
    head = (bare / "refs/heads/main").read_text()
    found = live(state, name)
    assert found is not None
    assert found["spec"]["git"]["url"] == bare.as_uri()
    assert found["spec"]["writeBack"]["enabled"] is True
    code, out, _ = bootstrap(str(bare), "--init", "-o", "json")
    told = json.loads(out)
    assert (code, told["changed"]) == (0, False)
    assert told["revision"] == f"main@sha1:{head.strip()}"
    assert {s["action"] for s in told["steps"]} == {"unchanged"}
    assert live(state, name) == found
    assert (bare / "refs/heads/main").read_text() == head


def test_what_is_in_the_repository_stays(
    bootstrap: Call, name: str, remote: Remote
) -> None:
    before = remote.head
    code, _, _ = bootstrap(remote.url)
    assert code == 0
    assert remote.ask("rev-parse", f"{remote.head}^") == before
    diff = remote.ask("diff", "--name-status", before, remote.head)
    assert diff == f"A\t{FILE.format(name)}"


def test_edits_in_the_repository_are_the_truth(
    bootstrap: Call, state: StateDirectory, name: str, remote: Remote
) -> None:
    bootstrap(remote.url)
    remote.pull()
    sealed = (EXAMPLES / "fleet/platform/hook.yaml").read_text()
    remote.commit({f"clusters/{name}/hook.yaml": sealed})
    file = FILE.format(name)
    text = (remote.work / file).read_text()
    head = remote.commit({file: text.replace("1m", "7m")})
    code, out, _ = bootstrap(remote.url)
    assert (code, remote.head) == (0, head)
    assert "configured" in out
    found = live(state, name)
    assert found is not None
    assert found["spec"]["interval"] == "7m"
    other = Remote(remote.work.parent.parent / "other", bare=True)
    other.commit({file: text})
    code, _, err = bootstrap(other.url)
    assert code == 2
    assert "git.url" in err
    assert "choose another --name" in err


def test_a_name_that_follows_something_else_is_not_taken_over(
    bootstrap: Call,
    state: StateDirectory,
    name: str,
    remote: Remote,
    tmp_path: Path,
) -> None:
    bootstrap(remote.url)
    before = live(state, name)
    other = Remote(tmp_path / "other", bare=True)
    head = other.commit({"README.md": "another\n"})
    code, _, err = bootstrap(other.url)
    assert code == 2
    assert f"is here with git.url '{remote.url}'" in err
    assert "choose another --name" in err
    assert (live(state, name), other.head) == (before, head)
    code, _, err = bootstrap(remote.url, "--path", "apps")
    assert (code, "is here with path" in err) == (2, True)


def test_a_key_is_made_and_the_run_goes_on_once_it_was_added(
    bootstrap: Call,
    state: StateDirectory,
    name: str,
    remote: Remote,
    ssh: SshThread,
) -> None:
    words = (ssh.url(remote.home), "--host-key", ssh.fingerprint)
    head = remote.head
    code, out, err = bootstrap(*words)
    assert code == 1
    assert "Add this deploy key" in err
    public = next(x for x in err.splitlines() if "ssh-ed25519" in x).strip()
    assert "PRIVATE" not in out + err
    assert (remote.head, live(state, name)) == (head, None)
    secret = live(state, f"{name}-git", "Secret")
    assert secret is not None
    assert set(secret["data"]) == {"identity", "identity.pub", "known_hosts"}
    assert base64.b64decode(secret["data"]["identity.pub"]).decode() == (
        f"{public}\n"
    )
    ssh.allow(public)
    code, out, _ = bootstrap(ssh.url(remote.home))
    assert code == 0
    assert remote.head != head
    assert live(state, f"{name}-git", "Secret") == secret
    assert bootstrap(ssh.url(remote.home), "-o", "yaml")[1].count("unch") == 4


def test_a_key_is_kept_where_the_user_says(
    bootstrap: Call, remote: Remote, ssh: SshThread, tmp_path: Path
) -> None:
    file, known = tmp_path / "deploy", tmp_path / "known_hosts"
    known.write_bytes(ssh.server.known_hosts())
    words = (
        ssh.url(remote.home), "--private-key-file", str(file),
        "--known-hosts", str(known),
    )  # fmt: skip
    code, out, _ = bootstrap(*words, "--dry-run")
    assert (code, file.exists()) == (0, False)
    assert "deploy key" in out
    assert bootstrap(*words)[0] == 1
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    ssh.allow(Path(f"{file}.pub").read_text())
    assert bootstrap(*words)[0] == 0


def test_a_secret_that_a_person_made_is_used_as_it_is(
    bootstrap: Call,
    state: StateDirectory,
    name: str,
    remote: Remote,
    ssh: SshThread,
) -> None:
    values = {
        "identity": ssh.server.identity("pass word").decode(),
        "password": "pass word",
        "known_hosts": ssh.server.known_hosts().decode(),
    }
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"{name}-git", "namespace": "default"},
        "stringData": values,
    }
    with Session(state.kubeconfig) as session:
        session.run(session.client.apply(body))
    before = live(state, f"{name}-git", "Secret")
    code, out, _ = bootstrap(ssh.url(remote.home))
    assert code == 0
    assert "pass word" not in out
    assert live(state, f"{name}-git", "Secret") == before
    assert live(state, name) is not None


def test_a_host_that_nobody_vouched_for_is_not_talked_to(
    bootstrap: Call,
    state: StateDirectory,
    remote: Remote,
    ssh: SshThread,
    name: str,
) -> None:
    words = (ssh.url(remote.home), "--known-hosts", "/nowhere")
    code, _, err = bootstrap(*words)
    assert code == 1
    assert ssh.fingerprint in err
    assert "--host-key" in err
    code, _, err = bootstrap(*words, "--host-key", "SHA256:AAAA")
    assert code == 1
    assert f"but {ssh.fingerprint}" in err
    assert ssh.server.commands == []
    assert live(state, f"{name}-git", "Secret") is None


def test_another_host_key_than_the_pinned_one_is_refused(
    bootstrap: Call, remote: Remote, ssh: SshThread
) -> None:
    bootstrap(ssh.url(remote.home), "--host-key", ssh.fingerprint)
    ssh.run(ssh.server.stop())
    ssh.server.host = asyncssh.generate_private_key("ssh-ed25519")
    ssh.run(ssh.server.start())
    code, _, err = bootstrap(ssh.url(remote.home))
    assert code == 1
    assert "another host key" in err


def test_a_token_over_http(
    bootstrap: Call,
    state: StateDirectory,
    name: str,
    remote: Remote,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = GitServer(remote.home.parent)
    pair = base64.b64encode(b"bot:s3cret").decode()
    server.authorization = f"Basic {pair}"
    try:
        code, _, err = bootstrap(server.url)
        assert code == 1
        assert "--password-file" in err
        monkeypatch.setenv("GIT_PASSWORD", "guess")
        code, _, err = bootstrap(server.url)
        assert code == 1
        monkeypatch.delenv("GIT_PASSWORD")
        file = tmp_path / "token"
        file.write_text("s3cret\n")
        words = ("--username", "bot", "--password-file", str(file))
        code, out, err = bootstrap(server.url, *words)
        assert code == 0
        assert "s3cret" not in out + err
        code, out, _ = bootstrap(server.url, "-o", "json")
        assert json.loads(out)["changed"] is False
    finally:
        server.close()
    secret = live(state, f"{name}-git", "Secret")
    assert secret is not None
    assert base64.b64decode(secret["data"]["password"]) == b"s3cret"


def behind_tls(server: GitServer, folder: Path) -> Path:
    """Have the server speak TLS; returns the certificate of its authority."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    issuer = certificates.authority(keys[0], 1)
    own = certificates.server(keys[1], issuer, keys[0], 1, ["127.0.0.1"])
    chain = folder / "server.pem"
    text = certificates.pem(own) + certificates.private_pem(keys[1])
    chain.write_bytes(text)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    file = folder / "ca.crt"
    file.write_bytes(certificates.pem(issuer))
    return file


def test_a_private_authority_over_https(
    bootstrap: Call,
    state: StateDirectory,
    name: str,
    remote: Remote,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = GitServer(remote.home.parent)
    file = behind_tls(server, tmp_path)
    pair = base64.b64encode(b"git:s3cret").decode()
    server.authorization = f"Basic {pair}"
    monkeypatch.setenv("GIT_PASSWORD", "s3cret")
    url = server.url.replace("http://", "https://")
    try:
        code, out, err = bootstrap(url)
        assert code == 1
        assert "certificate" in err
        code, out, err = bootstrap(url, "--ca-file", str(file))
        assert (code, "s3cret" in out + err) == (0, False)
    finally:
        server.close()
    secret = live(state, f"{name}-git", "Secret")
    assert secret is not None
    assert set(secret["data"]) == {"ca.crt", "username", "password"}
    assert remote.ask("show", f"{remote.head}:{FILE.format(name)}")


def test_a_push_that_is_refused_is_quoted(
    bootstrap: Call, state: StateDirectory, name: str, remote: Remote
) -> None:
    hook = remote.home / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho main is protected >&2\nexit 1\n")
    hook.chmod(0o755)
    code, _, err = bootstrap(remote.url)
    assert code == 1
    assert "main is protected" in err
    assert live(state, name) is None


def test_a_push_of_somebody_else_is_not_lost(
    bootstrap: Call,
    name: str,
    remote: Remote,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    theirs: list[str] = []
    push = Branch.push

    def late(self: Branch, head: str | None, commit: str) -> bool:
        if not theirs:
            theirs.append(remote.commit({"apps/b.yaml": "b: 1\n"}))
        return push(self, head, commit)

    monkeypatch.setattr(Branch, "push", late)
    assert bootstrap(remote.url)[0] == 0
    assert remote.ask("rev-parse", f"{remote.head}^") == theirs[0]
    assert remote.ask("show", f"{remote.head}:{FILE.format(name)}")


def test_an_interrupted_run_is_finished_by_the_next(
    bootstrap: Call,
    state: StateDirectory,
    name: str,
    remote: Remote,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The API server goes away between the push and the apply."""

    async def gone(*_: Any, **__: Any) -> dict[str, Any]:
        msg = "connection refused"
        raise UnavailableError(msg)

    with monkeypatch.context() as patched:
        patched.setattr(KubeClient, "apply", gone)
        code, out, err = bootstrap(remote.url)
    assert code == 1
    assert "connection refused" in err
    assert "pushed" in out
    head = remote.head
    code, out, _ = bootstrap(remote.url)
    assert (code, remote.head) == (0, head)
    assert live(state, name) is not None


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    ("owner", "effect", "number"),
    [(KubeClient, "apply", 1), (Branch, "push", 1), (KubeClient, "apply", 2)],
)
def test_a_kill_at_any_effect_leads_to_the_same_end(
    bootstrap: Call,
    state: StateDirectory,
    name: str,
    remote: Remote,
    ssh: SshThread,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    effect: str,
    number: int,
    late: bool,
) -> None:
    """Right before or right after the Secret, the push, the object."""
    key = tmp_path / "deploy"
    words = (
        ssh.url(remote.home), "--private-key-file", str(key),
        "--host-key", ssh.fingerprint,
    )  # fmt: skip
    public = deploykey.kept(key, "ours")[0].public
    ssh.allow(public)
    before = remote.head
    original, moments = getattr(owner, effect), itertools.count()
    strike = 2 * number - (1 if late else 2)  # two moments for each call

    def moment() -> None:
        if next(moments) == strike:
            raise KeyboardInterrupt

    def killed(*given: Any, **more: Any) -> Any:
        moment()
        found = original(*given, **more)
        moment()
        return found

    async def killed_call(*given: Any, **more: Any) -> Any:
        moment()
        found = await original(*given, **more)
        moment()
        return found

    stand_in = killed_call if owner is KubeClient else killed
    with monkeypatch.context() as patched:
        patched.setattr(owner, effect, stand_in)
        assert bootstrap(*words)[0] == 130
    assert bootstrap(*words)[0] == 0
    assert remote.ask("rev-parse", f"{remote.head}^") == before
    secret = live(state, f"{name}-git", "Secret")
    assert secret is not None
    assert base64.b64decode(secret["data"]["identity"]) == key.read_bytes()
    assert live(state, name) is not None
    code, out, _ = bootstrap(*words, "-o", "json")
    assert (code, json.loads(out)["changed"]) == (0, False)


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"kustomization.yaml": "resources: []\n"}, "has a kustomization"),
        ({"broken.yaml": "a: [1\n"}, "broken.yaml:"),
    ],
)
def test_a_folder_that_cannot_be_used_is_named(
    bootstrap: Call, remote: Remote, files: dict[str, str], told: str
) -> None:
    remote.commit({f"here/{k}": v for k, v in files.items()})
    head = remote.head
    code, _, err = bootstrap(remote.url, "--path", "here")
    assert code in (1, 2)
    assert told in err
    assert remote.head == head


def test_branches_and_work_trees(
    bootstrap: Call, remote: Remote, tmp_path: Path
) -> None:
    code, _, err = bootstrap(remote.url, "--branch", "dev")
    assert code == 1
    assert "no branch dev, but main" in err
    tree = Remote(tmp_path / "tree")
    tree.commit({"a.txt": "1"})
    code, _, err = bootstrap(str(tree.work))
    assert code == 1
    assert "receive.denyCurrentBranch updateInstead" in err
    tree.git("config", "receive.denyCurrentBranch", "updateInstead")
    assert bootstrap(str(tree.work))[0] == 0


def test_what_is_no_repository_is_not_made_one(
    bootstrap: Call, tmp_path: Path
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    code, _, err = bootstrap(str(tmp_path), "--init")
    assert code == 1
    assert "is not a Git repository" in err
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]
    code, _, err = bootstrap("https://example.org/x.git", "--init")
    assert (code, "--init" in err) == (2, True)
    assert bootstrap("git@example.org:x")[0] == 2


def test_nobody_who_follows_is_said(bootstrap: Call, remote: Remote) -> None:
    code, out, err = bootstrap(remote.url, "--timeout", "5")
    assert code == 1
    assert "pushed" in out
    assert "no controller has looked at it: is one running?" in err
