"""Objects that cannot be changed: deleted and created again, if asked to."""

from __future__ import annotations

import asyncio
import copy
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.engine.errors import InvalidError, NotFoundError
from reconciler.gitops.build import Builder, Ownership
from reconciler.gitops.force import forced, is_immutable, namesake
from reconciler.gitops.guard import APPROVAL_REQUIRED

FORCE = "reconciler.dev/force"
KEY = ("ConfigMap", "default", "a")
STORE = (
    "apiVersion: reconciler.dev/v1alpha1\nkind: FeedbackStore\n"
    "metadata: {name: votes}\nspec: {pinned: %s}\n"
)
STORE_KEY = ("FeedbackStore", "default", "votes")


def pinned(name: str, value: str, force: str | None = None) -> str:
    note = "" if force is None else f", annotations: {{{FORCE}: {force}}}"
    return (
        "apiVersion: v1\nkind: ConfigMap\n"
        f"metadata: {{name: {name}{note}}}\nspec: {{pinned: {value}}}\n"
    )


@pytest.fixture(autouse=True)
def immutable(cluster: Any) -> None:
    make_immutable(cluster)


def make_immutable(cluster: Any) -> None:
    """`spec.pinned` cannot be changed; `bad` is no value for it."""

    def refuse(body: dict[str, Any], _dry: bool) -> str | None:
        wanted = (body.get("spec") or {}).get("pinned")
        if wanted == "bad":
            return "spec.pinned: Invalid value: bad: is no pin"
        old = cluster.objects.get(cluster.key(body))
        known = (old or {}).get("spec", {}).get("pinned", wanted)
        if known != wanted:
            return f"spec.pinned: Invalid value: {wanted}: field is immutable"
        return None

    cluster.refuse = refuse


def uid(cluster: Any, key: Any = KEY) -> str:
    return str(cluster.objects[key]["metadata"]["uid"])


def value(cluster: Any, key: Any = KEY) -> str:
    return str(cluster.objects[key]["spec"]["pinned"])


async def commit(engine: Any, remote: Any, files: Any, text: str = "x") -> Any:
    remote.commit(files, text)
    engine.wait()
    return await engine.settle()


async def test_not_asked_nothing_is_replaced(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    await commit(engine, remote, {"a.yaml": pinned("a", "one")})
    before = uid(cluster)
    new = {"a.yaml": pinned("a", "two"), "b.yaml": make_config_map("b")}
    await commit(engine, remote, new)
    assert "field is immutable" in engine.condition()["message"]
    assert (uid(cluster), value(cluster)) == (before, "one")
    assert ("ConfigMap", "default", "b") not in cluster.objects


@pytest.mark.parametrize("how", ["annotation", "spec"])
async def test_asked_it_is_deleted_and_created_and_said(
    engine: Any, remote: Any, cluster: Any, how: str
) -> None:
    note = "Enabled" if how == "annotation" else None
    engine.raw["spec"]["force"] = how == "spec"
    other = pinned("b", "one")
    files = {"a.yaml": pinned("a", "one", note), "b.yaml": other}
    await commit(engine, remote, files)
    before = uid(cluster)
    cluster.writes.clear()
    await commit(engine, remote, {"a.yaml": pinned("a", "two", note)})
    assert cluster.writes == [
        "delete ConfigMap/default/a",
        "apply ConfigMap/default/a",
    ]
    assert uid(cluster) != before
    assert value(cluster) == "two"
    assert engine.condition()["status"] == "True"
    told = [t for t in engine.events.told if t[1] == "Replaced"]
    ((_, _, text),) = told
    assert "configmap/default/a is deleted and created again" in text
    assert "a.yaml:1" in text
    assert "field is immutable" in text
    assert engine.events.told[-1][2].endswith(": 1 replaced")
    for _ in range(2):
        engine.wait()
        await engine.settle()
    assert len(cluster.writes) == 2


async def test_killed_between_delete_and_create_the_next_pass_creates(
    engine: Any, remote: Any, cluster: Any, types: Any
) -> None:
    engine.raw["spec"]["force"] = True
    await commit(engine, remote, {"a.yaml": pinned("a", "one")})
    remote.commit({"a.yaml": pinned("a", "two")})
    engine.wait()
    apply = cluster.apply

    async def dies(body: Any, **options: Any) -> Any:
        if KEY not in cluster.objects and not options.get("dry_run"):
            raise types["Killed"]
        return await apply(body, **options)

    cluster.apply = dies
    with pytest.raises(types["Killed"]):
        await engine.settle()
    assert KEY not in cluster.objects
    assert [e["id"] for e in engine.status["inventory"]] == [
        "default_a__ConfigMap"
    ]
    cluster.apply = apply
    engine.restart()
    await engine.settle()
    assert value(cluster) == "two"
    assert engine.condition()["status"] == "True"
    assert cluster.writes.count("delete ConfigMap/default/a") == 1


async def test_what_could_not_be_created_again_is_not_deleted(
    engine: Any, remote: Any, cluster: Any
) -> None:
    engine.raw["spec"]["force"] = True
    await commit(engine, remote, {"a.yaml": pinned("a", "one")})
    refuse = cluster.refuse
    cluster.refuse = lambda body, dry: (
        "data.x: Invalid value: y; spec.pinned: field is immutable"
        if body["spec"]["pinned"] == "two"
        else refuse(body, dry)
    )
    await commit(engine, remote, {"a.yaml": pinned("a", "two")})
    assert "data.x: Invalid" in engine.condition()["message"]
    assert value(cluster) == "one"
    cluster.refuse = refuse
    await commit(engine, remote, {"a.yaml": pinned("a", "bad")})
    assert "is no pin" in engine.condition()["message"]
    assert value(cluster) == "one"


async def test_what_was_never_ours_is_not_deleted(
    engine: Any, remote: Any, cluster: Any
) -> None:
    engine.raw["spec"]["force"] = True
    foreign = {"name": "a", "namespace": "default"}
    await cluster.apply(
        {"kind": "ConfigMap", "metadata": foreign, "spec": {"pinned": "one"}}
    )
    await commit(engine, remote, {"a.yaml": pinned("a", "two")})
    assert "field is immutable" in engine.condition()["message"]
    assert value(cluster) == "one"


@pytest.mark.parametrize("whose", ["kept", "disabled"])
async def test_only_what_is_free_is_replaced(
    engine: Any, remote: Any, cluster: Any, whose: str
) -> None:
    engine.raw["spec"]["force"] = True
    await commit(engine, remote, {"a.yaml": pinned("a", "one")})
    meta = cluster.objects[KEY]["metadata"]
    if whose == "kept":
        meta["annotations"] = {"reconciler.dev/prune": "disabled"}
    note = "disabled" if whose == "disabled" else None
    await commit(engine, remote, {"a.yaml": pinned("a", "two", note)})
    assert "field is immutable" in engine.condition()["message"]
    assert value(cluster) == "one"


def waits_for(engine: Any) -> str:
    found = engine.condition()
    assert (found["status"], found["reason"]) == ("False", APPROVAL_REQUIRED)
    assert "feedbackstore/default/votes, which holds data" in found["message"]
    word = found["message"].partition("approved=")[2].partition(";")[0]
    assert word.startswith("replace-")
    return str(word)


async def test_what_holds_data_waits_for_a_person(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    engine.raw["spec"]["force"] = True
    await commit(engine, remote, {"s.yaml": STORE % "one"})
    before = uid(cluster, STORE_KEY)
    new = {"s.yaml": STORE % "two", "b.yaml": make_config_map("b")}
    await commit(engine, remote, new)
    asked = waits_for(engine)
    for word in ("yes", "prune-0123456789abcdef", "replace-0123456789abcdef"):
        engine.raw["metadata"]["annotations"] = {
            "reconciler.dev/approved": word
        }
        await engine.settle()
        assert waits_for(engine) == asked
    assert uid(cluster, STORE_KEY) == before
    assert ("ConfigMap", "default", "b") not in cluster.objects
    assert engine.events.reasons().count(APPROVAL_REQUIRED) == 1
    engine.raw["metadata"]["annotations"] = {"reconciler.dev/approved": asked}
    await engine.settle()
    assert value(cluster, STORE_KEY) == "two"
    assert uid(cluster, STORE_KEY) != before
    assert all("approved" not in e for e in engine.status["inventory"])
    # The same approval is not one for the next object of that name.
    await commit(engine, remote, {"s.yaml": STORE % "three"})
    assert waits_for(engine) != asked
    assert value(cluster, STORE_KEY) == "two"


async def killed_before_the_delete(
    engine: Any, cluster: Any, types: Any
) -> None:
    delete = cluster.delete

    async def dies(*_: Any, **__: Any) -> bool:
        raise types["Killed"]

    cluster.delete = dies
    with pytest.raises(types["Killed"]):
        await engine.step()
    cluster.delete = delete
    engine.restart()


async def test_an_approved_replacement_that_was_cut_short_goes_on(
    engine: Any, remote: Any, cluster: Any, types: Any
) -> None:
    engine.raw["spec"]["force"] = True
    await commit(engine, remote, {"s.yaml": STORE % "one"})
    await commit(engine, remote, {"s.yaml": STORE % "two"})
    note = {"reconciler.dev/approved": waits_for(engine)}
    engine.raw["metadata"]["annotations"] = note
    await killed_before_the_delete(engine, cluster, types)
    engine.raw["metadata"]["annotations"] = {}
    (entry,) = engine.status["inventory"]
    assert entry["approved"].startswith("replace-")
    await engine.settle()
    assert value(cluster, STORE_KEY) == "two"


async def test_a_commit_may_approve_a_replacement(
    engine: Any, remote: Any, cluster: Any
) -> None:
    engine.raw["spec"]["force"] = True
    await commit(engine, remote, {"s.yaml": STORE % "one"})
    await commit(engine, remote, {"s.yaml": STORE % "two"})
    line = f"Agree\n\nReconciler-Approved: {waits_for(engine)}"
    await commit(engine, remote, {}, line)
    assert value(cluster, STORE_KEY) == "two"


async def test_an_approved_replacement_is_no_approved_prune(
    engine: Any, remote: Any, cluster: Any, types: Any
) -> None:
    engine.raw["spec"]["force"] = True
    await commit(engine, remote, {"s.yaml": STORE % "one"})
    await commit(engine, remote, {"s.yaml": STORE % "two"})
    note = {"reconciler.dev/approved": waits_for(engine)}
    engine.raw["metadata"]["annotations"] = note
    await killed_before_the_delete(engine, cluster, types)
    await commit(engine, remote, {"s.yaml": None})
    assert engine.condition()["reason"] == APPROVAL_REQUIRED
    assert value(cluster, STORE_KEY) == "one"


async def test_what_is_still_leaving_is_waited_for(
    engine: Any, remote: Any, cluster: Any
) -> None:
    engine.raw["spec"]["force"] = True
    await commit(engine, remote, {"a.yaml": pinned("a", "one")})
    delete = cluster.delete

    async def leaves(*where: Any, uid: str | None = None) -> bool:
        found = cluster.objects[where[1], where[2], where[3]]
        assert found["metadata"]["uid"] == uid
        found["metadata"]["deletionTimestamp"] = "2026-11-25T00:00:00Z"
        cluster.writes.append("delete")
        return True

    cluster.delete = leaves
    plan = await commit(engine, remote, {"a.yaml": pinned("a", "two")})
    assert plan.requeue_after <= 2
    ready = engine.condition()
    assert (ready["status"], ready["reason"]) == ("False", "Progressing")
    assert "configmap/default/a is created again once" in ready["message"]
    for _ in range(3):
        engine.wait()
        await engine.settle()
    assert cluster.writes.count("delete") == 1
    cluster.delete = delete
    await delete("v1", "ConfigMap", "default", "a")
    engine.wait()
    await engine.settle()
    assert value(cluster) == "two"
    assert engine.condition()["status"] == "True"


async def test_drift_that_is_only_told_replaces_nothing(
    engine: Any, remote: Any, cluster: Any
) -> None:
    engine.raw["spec"] |= {"force": True, "driftPolicy": "Warn"}
    files = {"a.yaml": pinned("a", "one"), "s.yaml": STORE % "one"}
    await commit(engine, remote, files)
    cluster.objects[KEY]["spec"]["pinned"] = "drift"
    cluster.objects[STORE_KEY]["spec"]["pinned"] = "drift"
    engine.wait()
    await engine.settle()
    assert value(cluster) == "drift"
    assert engine.condition()["status"] == "True"
    told = engine.condition("Drifted")["message"]
    assert "configmap/default/a: in a field that cannot be changed" in told
    assert all("approved" not in e for e in engine.status["inventory"])


async def test_a_refused_delete_is_told(
    engine: Any, remote: Any, cluster: Any
) -> None:
    engine.raw["spec"]["force"] = True
    await commit(engine, remote, {"a.yaml": pinned("a", "one")})
    cluster.refuse_delete.add("a")
    remote.commit({"a.yaml": pinned("a", "two")})
    engine.wait()
    for _ in range(3):
        await engine.step()
    assert engine.condition()["reason"] == "ReconciliationFailed"
    assert "a may not be deleted" in engine.condition()["message"]
    assert "Replaced" not in engine.events.reasons()
    cluster.refuse_delete.clear()
    engine.wait()
    await engine.settle()
    assert value(cluster) == "two"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("spec.selector: Invalid value: {}: field is immutable", True),
        ("spec: Forbidden: spec is immutable after creation except x", True),
        ("target is immutable: create a new DatasetLayout", True),
        ("spec.clusterIP: may not change once set", True),
        ("updates to statefulset spec for fields other than x", False),
        ("Forbidden: updates to statefulset spec are forbidden", True),
        ("pod updates may not change fields other than x", True),
        ("spec.x: Required value", False),
    ],
)
def test_what_the_server_says_of_immutable_fields(
    text: str, expected: bool
) -> None:
    assert is_immutable(InvalidError("Invalid", text)) == expected
    assert not is_immutable(NotFoundError(text))


def test_the_annotation_has_the_last_word() -> None:
    def item(text: str) -> Any:
        files = {"f.yaml": text.encode()}
        return Builder("default", Ownership("d", "r")).build(files)[0]

    flux = pinned("a", "x", "enabled").replace(
        FORCE, "kustomize.toolkit.fluxcd.io/force"
    )
    for spec in (True, False):
        assert forced(spec, item(flux))
        assert forced(spec, item(pinned("a", "x", "Enabled")))
        assert not forced(spec, item(pinned("a", "x", "disabled")))
        assert forced(spec, item(pinned("a", "x"))) == spec


def test_what_holds_everything_is_never_replaced() -> None:
    for kind in ("Namespace", "CustomResourceDefinition", "ConfigRepository"):
        group = {
            "Namespace": "v1",
            "CustomResourceDefinition": "apiextensions.k8s.io/v1",
            "ConfigRepository": "reconciler.dev/v1alpha1",
        }[kind]
        text = (
            f"apiVersion: {group}\nkind: {kind}\n"
            f"metadata: {{name: a, annotations: {{{FORCE}: enabled}}}}\n"
        )
        (item,) = Builder("default").build({"f.yaml": text.encode()})
        assert not forced(spec_force=True, item=item)


def test_the_namesake_is_another_and_changes_nothing() -> None:
    name = "a" * 49 + "-" + "b" * 100
    text = pinned(name, "x").encode()
    (item,) = Builder("default").build({"f.yaml": text})
    before = copy.deepcopy(item.body)
    other = namesake(item)["metadata"]["name"]
    assert item.body == before
    assert other != name
    assert len(other) <= 63
    assert "--" not in other


pins = st.dictionaries(st.sampled_from("abc"), st.sampled_from("12"))
steps = st.lists(
    st.tuples(pins, st.none() | st.integers(0, 5)), min_size=1, max_size=5
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps)
def test_killed_at_any_write_it_ends_as_the_files_say(
    types: dict[str, Any], steps: list[tuple[dict[str, str], int | None]]
) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr("reconciler.gitops.memory.ROUNDS", 1)  # it is slow
        asyncio.run(play(Path(folder), types, steps))


async def play(
    folder: Path,
    types: dict[str, Any],
    steps: list[tuple[dict[str, str], int | None]],
) -> None:
    source, cluster = folder / "source", types["Cluster"]()
    source.mkdir()
    make_immutable(cluster)
    spec = {"directory": {"path": str(source)}, "force": True}
    engine = types["Engine"](cluster, folder / "state", spec)
    calls = Calls(cluster, types["Killed"])
    for values, left in [*steps, (steps[-1][0], None)]:
        for old in source.iterdir():
            old.unlink()
        for name, pin in values.items():
            (source / f"{name}.yaml").write_text(pinned(name, pin))
        calls.left = left
        engine.wait()
        try:
            await engine.settle()
        except types["Killed"]:
            engine.restart()
    await engine.controller.stop()
    found = {k[1:]: v["spec"]["pinned"] for k, v in cluster.objects.items()}
    wanted = {("default", name): int(pin) for name, pin in values.items()}
    assert found == wanted


class Calls:
    """Ends the process before one of the next writes."""

    def __init__(self, cluster: Any, killed: type[Exception]) -> None:
        self.left: int | None = None
        self._killed = killed
        self._apply, self._delete = cluster.apply, cluster.delete
        cluster.apply, cluster.delete = self.apply, self.delete

    async def apply(self, body: Any, **options: Any) -> Any:
        if not options.get("dry_run"):
            self._count()
        return await self._apply(body, **options)

    async def delete(self, *where: Any, **options: Any) -> Any:
        self._count()
        return await self._delete(*where, **options)

    def _count(self) -> None:
        if self.left == 0:
            raise self._killed
        if self.left is not None:
            self.left -= 1
