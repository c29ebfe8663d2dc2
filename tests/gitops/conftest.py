"""An in-memory API server and an engine, small enough to be obvious."""

from __future__ import annotations

import contextlib
import copy
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import settings

from reconciler.controlplane.thread import ControlPlaneThread
from reconciler.engine.client import KubeClient
from reconciler.engine.controller import Context
from reconciler.engine.credentials import ClientSettings
from reconciler.engine.errors import (
    InvalidError,
    NotFoundError,
    UnavailableError,
)
from reconciler.gitops.controller import ConfigRepositoryController
from reconciler.gitops.receiver import Receiver
from reconciler.gitops.resource import ConfigRepository
from tests.gitops.follower import Follower

# How long something takes on a machine that others use decides no test.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

START = datetime(2026, 11, 25, tzinfo=UTC)
CLUSTER = {"Namespace", "CustomResourceDefinition"}
BUILTIN = {
    "ConfigMap",
    "Secret",
    "Model",
    "FeedbackStore",
    "EvaluationSuite",
    "ConfigRepository",
    "Deployment",
    *CLUSTER,
}

Key = tuple[str, str, str]


class KilledError(Exception):
    """The process ended between two instructions."""


@dataclass
class Crash:
    """What happens at one call: the process ends, or the server fails."""

    call: int
    """Which, counted from the next one on."""

    kind: Literal["before", "after", "fault"]
    """Killed before or after it has its effect; or it is refused."""


class Cluster:
    """Server-side apply of one manager, uids, versions, refusals."""

    def __init__(self) -> None:
        self.objects: dict[Key, dict[str, Any]] = {}
        self.applied: dict[Key, dict[str, Any]] = {}
        self.namespaces = {"default"}
        self.kinds = set(BUILTIN)
        self.writes: list[str] = []
        self.annotated: list[tuple[str, dict[str, str]]] = []
        self.acted: list[tuple[str, str]] = []
        self.dry_runs = 0
        self.counter = 0
        self.refuse: Callable[[dict[str, Any], bool], str | None] = (
            lambda _body, _dry: None
        )
        self.refuse_delete: set[str] = set()
        self.down = False
        self.calls = 0
        self.crash: Crash | None = None

    def acting_as(self, user: str) -> Actor:
        return Actor(self, user)

    def key(self, body: dict[str, Any]) -> Key:
        meta = body["metadata"]
        return body["kind"], meta.get("namespace", ""), meta["name"]

    @contextlib.contextmanager
    def _called(self) -> Iterator[None]:
        """Around each request; raises what `crash` asks for."""
        self.calls += 1
        crash = self.crash
        if crash is None or self.calls < crash.call:
            yield
            return
        if crash.kind == "fault":
            self.crash = None
            msg = "internal error"
            raise UnavailableError(msg)
        if crash.kind == "after" and self.calls == crash.call:
            yield
        raise KilledError  # and a dead process asks for nothing more

    async def apply(
        self,
        body: dict[str, Any],
        *,
        force: bool = True,  # noqa: ARG002 - always ours
        dry_run: bool = False,
    ) -> dict[str, Any]:
        with self._called():
            return self._apply(body, dry_run=dry_run)

    def _apply(self, body: dict[str, Any], *, dry_run: bool) -> dict[str, Any]:
        self._check(body, dry_run=dry_run)
        key = self.key(body)
        old = self.objects.get(key)
        new = self._merged(old, self.applied.get(key), body)
        if dry_run:
            self.dry_runs += 1
            return new
        self.applied[key] = copy.deepcopy(body)
        if new != old:
            self.counter += 1
            self.writes.append(f"apply {'/'.join(key)}")
            new["metadata"]["resourceVersion"] = str(self.counter)
            self.objects[key] = new
            self._serve(new)
        return copy.deepcopy(self.objects[key])

    def _serve(self, body: dict[str, Any]) -> None:
        if body["kind"] == "Namespace":
            self.namespaces.add(body["metadata"]["name"])
        if body["kind"] == "CustomResourceDefinition":
            self.kinds.add(body["spec"]["names"]["kind"])

    def _check(self, body: dict[str, Any], *, dry_run: bool) -> None:
        if self.down:
            msg = "connection refused"
            raise UnavailableError(msg)
        if body["kind"] not in self.kinds:
            msg = f"the API server has no kind {body['kind']}"
            raise NotFoundError(msg)
        namespace = body["metadata"].get("namespace")
        if namespace and namespace not in self.namespaces:
            msg = f'namespaces "{namespace}" not found'
            raise NotFoundError(msg)
        refusal = self.refuse(body, dry_run)
        if refusal:
            raise InvalidError("Invalid", refusal)

    def _merged(
        self,
        old: dict[str, Any] | None,
        before: dict[str, Any] | None,
        body: dict[str, Any],
    ) -> dict[str, Any]:
        live = copy.deepcopy(old) if old else {}
        if before:
            _drop(live, before, body)
        _lay(live, copy.deepcopy(body))
        meta = live["metadata"]
        meta.setdefault("uid", f"uid-{self.counter + 1}")
        meta.setdefault("creationTimestamp", "2026-11-25T00:00:00Z")
        return live

    async def get(
        self, api_version: str, kind: str, namespace: str | None, name: str
    ) -> dict[str, Any] | None:
        if self.down:
            msg = "connection refused"
            raise UnavailableError(msg)
        if kind not in self.kinds:
            msg = f"the API server has no kind {kind} in {api_version}"
            raise NotFoundError(msg)
        with self._called():
            key = (kind, namespace or "", name)
            return copy.deepcopy(self.objects.get(key))

    async def list(
        self,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,  # noqa: ARG002
    ) -> list[dict[str, Any]]:
        if self.down:
            msg = "connection refused"
            raise UnavailableError(msg)
        if kind not in self.kinds:
            msg = f"the API server has no kind {kind} in {api_version}"
            raise NotFoundError(msg)
        with self._called():
            return [
                copy.deepcopy(o)
                for (k, n, _), o in sorted(self.objects.items())
                if k == kind and namespace in (None, n)
            ]

    async def delete(
        self,
        _api_version: str,
        kind: str,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
    ) -> bool:
        with self._called():
            return self._delete((kind, namespace or "", name), uid)

    def _delete(self, key: Key, uid: str | None) -> bool:
        name = key[2]
        if name in self.refuse_delete:
            raise InvalidError("Invalid", f"{name} may not be deleted")
        found = self.objects.get(key)
        if found is None or (uid and found["metadata"]["uid"] != uid):
            return False
        self.writes.append(f"delete {'/'.join(key)}")
        del self.objects[key]
        self.applied.pop(key, None)
        return True

    async def merge_patch(
        self,
        _api_version: str,
        kind: str,
        namespace: str | None,
        name: str,
        patch: dict[str, Any],
    ) -> dict[str, Any]:
        """Only annotations are ever patched; here they are only noted."""
        assert list(patch) == ["metadata"]
        ((key, values),) = patch["metadata"].items()
        assert key == "annotations"
        self.annotated.append((f"{kind}/{namespace}/{name}", values))
        return dict(self.objects[kind, namespace or "", name])

    def edit(self, kind: str, name: str, **spec: Any) -> None:
        """A person changes an object behind our back."""
        self.counter += 1
        found = self.objects[kind, "default", name]
        found.setdefault("spec", {}).update(spec)
        found["metadata"]["resourceVersion"] = str(self.counter)

    def contents(self) -> dict[str, Any]:
        """Specs and data by name, without what the server adds."""
        return {
            "/".join(key): {
                k: v
                for k, v in body.items()
                if k not in ("apiVersion", "kind", "metadata", "status")
            }
            for key, body in self.objects.items()
        }


class Actor:
    """The cluster, as another user sees it; notes what that one does."""

    def __init__(self, cluster: Cluster, user: str) -> None:
        self._cluster = cluster
        self._user = user

    def __getattr__(self, name: str) -> Any:
        self._cluster.acted.append((self._user, name))
        return getattr(self._cluster, name)


def _lay(live: dict[str, Any], body: dict[str, Any]) -> None:
    for key, value in body.items():
        if isinstance(value, dict) and isinstance(live.get(key), dict):
            _lay(live[key], value)
        else:
            live[key] = value


def _drop(live: Any, before: Any, body: Any) -> None:
    """Remove what we owned and no longer name."""
    for key in list(before):
        if key not in body:
            live.pop(key, None)
        elif all(isinstance(x.get(key), dict) for x in (before, body, live)):
            _drop(live[key], before[key], body[key])


class Events:
    def __init__(self) -> None:
        self.told: list[tuple[str, str, str]] = []
        self.revisions: list[str] = []

    def normal(
        self, _about: Any, reason: str, note: str, *, revision: str = ""
    ) -> None:
        self.told.append(("Normal", reason, note))
        self.revisions.append(revision)

    def warning(
        self, _about: Any, reason: str, note: str, *, revision: str = ""
    ) -> None:
        self.told.append(("Warning", reason, note))
        self.revisions.append(revision)

    def reasons(self) -> list[str]:
        return [reason for _, reason, _ in self.told]


class Others:
    """The other repositories; no object of another kind is watched."""

    def __init__(self, repositories: list[ConfigRepository]) -> None:
        self.repositories = repositories

    def get(self, *_: Any) -> None:
        return None

    def list(self, kind: Any, *_: Any) -> list[Any]:
        return self.repositories if kind is ConfigRepository else []


class Engine:
    """observe -> plan -> report -> act, as the real one does it."""

    def __init__(
        self, cluster: Cluster, root: Path, spec: dict[str, Any]
    ) -> None:
        self.cluster = cluster
        self.root = root
        self.now = START
        self.seconds = 1000.0
        self.events = Events()
        self.enqueued: list[Any] = []
        self.others: list[ConfigRepository] = []
        self.promotions: Callable[..., Any] = lambda _objects, _ns: ()
        self.raw: dict[str, Any] = {
            "apiVersion": "reconciler.dev/v1alpha1",
            "kind": "ConfigRepository",
            "metadata": {
                "name": "fleet",
                "namespace": "default",
                "uid": "uid-repo",
                "generation": 1,
            },
            "spec": spec,
            "status": {},
        }
        self.receiver = Receiver()
        self.reports = 0
        self.released = False
        self.restart()

    def restart(self) -> None:
        """A new process with the same disk."""
        self.controller = ConfigRepositoryController(
            self.root,
            self._promotions,
            clock=lambda: self.seconds,
            receiver=self.receiver,
        )

    def _promotions(self, objects: Any, namespace: str) -> Any:
        return self.promotions(objects, namespace)

    @property
    def context(self) -> Context:
        return Context(
            Others(self.others),
            self.cluster,
            self.events,
            self.enqueued.append,
        )

    def wait(self, seconds: float = 61.0) -> None:
        self.seconds += seconds
        self.now += timedelta(seconds=seconds)

    @property
    def repository(self) -> ConfigRepository:
        return ConfigRepository.parse(self.raw)

    @property
    def status(self) -> dict[str, Any]:
        return self.raw["status"]

    def condition(self, kind: str = "Ready") -> dict[str, Any] | None:
        found = self.status.get("conditions", [])
        return next((c for c in found if c["type"] == kind), None)

    async def step(self, kill_after: int | None = None) -> Any:
        """One pass; a kill leaves the rest of the actions undone."""
        desired = self.repository
        observed = await self.controller.observe(self.context, desired)
        plan = self.controller.plan(desired, observed, self.now)
        self._report(plan)
        for count, action in enumerate(plan.actions):
            if kill_after is not None and count >= kill_after:
                self.restart()
                raise KilledError
            await self.controller.act(self.context, desired, action)
        self.released = plan.release
        return plan

    def _report(self, plan: Any) -> None:
        status = plan.status.model_dump(
            mode="json", by_alias=True, exclude_none=True
        )
        if status != self.raw["status"]:
            self.reports += 1
            self.raw["status"] = status

    async def settle(self, passes: int = 20) -> Any:
        """Pass after pass until there is nothing to do."""
        for _ in range(passes):
            plan = await self.step()
            if not plan.actions:
                return plan
        pytest.fail(f"no steady state: {plan.actions}")


class Remote:
    """A real Git repository and a person who works in it."""

    def __init__(self, folder: Path, *, bare: bool = False) -> None:
        self.work = folder / "work"
        self.work.mkdir(parents=True)
        self.git("init", "-q", "-b", "main", ".")
        self.home = self.work
        if bare:
            self.home = folder / "bare.git"
            self.git("clone", "-q", "--bare", str(self.work), str(self.home))
            self.git("remote", "add", "origin", str(self.home))

    def git(self, *arguments: str, cwd: Path | None = None) -> str:
        done = subprocess.run(
            [
                "git", "-c", "user.name=Ada", "-c", "user.email=ada@x.org",
                "-c", "commit.gpgsign=false", *arguments,
            ],
            cwd=cwd or self.work,
            env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull},
            check=False, capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def ask(self, *arguments: str) -> str:
        """git in the repository that others push to."""
        return self.git(*arguments, cwd=self.home)

    @property
    def url(self) -> str:
        return f"file://{self.home}"

    @property
    def head(self) -> str:
        return self.git("rev-parse", "refs/heads/main", cwd=self.home)

    def write(self, files: dict[str, str | bytes | None]) -> None:
        for name, text in files.items():
            target = self.work / name
            if text is None:
                target.unlink()
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            data = text if isinstance(text, bytes) else text.encode()
            target.write_bytes(data)

    def commit(
        self, files: dict[str, str | bytes | None], message: str = "change"
    ) -> str:
        self.write(files)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        self.publish()
        return self.git("rev-parse", "HEAD")

    def publish(self, *options: str) -> None:
        if self.home is not self.work:
            self.git("push", "-q", *options, "origin", "main")

    def pull(self) -> None:
        if self.home is not self.work:
            self.git("pull", "-q", "--rebase", "origin", "main")


def config_map(name: str, **data: str) -> str:
    lines = [f"  {k}: {v!r}" for k, v in data.items()]
    body = "\n".join(["data:", *lines]) if lines else "data: {}"
    return (
        f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n{body}\n"
    )


def git_spec(url: str, **more: Any) -> dict[str, Any]:
    return {"git": {"url": url, "ref": {"branch": "main"}}, **more}


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return Remote(tmp_path / "remote")


@pytest.fixture
def engine(cluster: Cluster, remote: Remote, tmp_path: Path) -> Engine:
    return Engine(cluster, tmp_path / "state", git_spec(remote.url))


@pytest.fixture
def make_config_map() -> Callable[..., str]:
    return config_map


@pytest.fixture
def make_engine(cluster: Cluster, tmp_path: Path) -> Callable[..., Engine]:
    return lambda spec: Engine(cluster, tmp_path / "state", spec)


@pytest.fixture
def make_remote() -> type[Remote]:
    return Remote


@pytest.fixture
def types() -> dict[str, Any]:
    return {
        "Cluster": Cluster,
        "Engine": Engine,
        "Remote": Remote,
        "Crash": Crash,
        "Killed": KilledError,
        "Others": Others,
    }


@pytest.fixture(scope="module")
def plane(tmp_path_factory: Any) -> Iterator[ControlPlaneThread]:
    found = ControlPlaneThread(tmp_path_factory.mktemp("controlplane"))
    found.start()
    yield found
    found.stop()


@pytest.fixture
async def client(plane: ControlPlaneThread) -> AsyncIterator[KubeClient]:
    found = KubeClient(ClientSettings(kubeconfig=plane.kubeconfig))
    await found.open()
    yield found
    await found.close()


@pytest.fixture
async def follower(
    client: KubeClient, tmp_path: Path
) -> AsyncIterator[Follower]:
    found = Follower(client, tmp_path)
    await found.open()
    yield found
    await found.close()
