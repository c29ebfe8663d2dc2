"""Promotions into real repositories while people push to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler.gitops.promotion import Promotion, is_recorded

MODEL = """\
# The assistant.
apiVersion: reconciler.dev/v1alpha1
kind: Model
metadata:
  name: docs
spec:
  suiteRef: {name: suite}   # how it is judged
"""
EVIDENCE = ("chrf +0.12 [0.08, 0.16], gate Passed", "data sha256:abc")
SECOND = Promotion("default", "docs", "docs-2", None, EVIDENCE)


class Models:
    """What the Model controller would say: Pending until Git names it."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.promoted: list[Promotion] = []
        engine.promotions = self.pending

    def pending(self, _objects: Any, namespace: str) -> list[Promotion]:
        live = self.engine.cluster.objects.get(("Model", namespace, "docs"))
        pin = live and live["spec"].get("generation")
        return [p for p in self.promoted if p.generation != pin]


@pytest.fixture(params=["bare", "checked out"])
def shared(request: Any, make_remote: Any, tmp_path: Path) -> Any:
    remote = make_remote(tmp_path / "r", bare=request.param == "bare")
    if request.param != "bare":
        remote.git("config", "receive.denyCurrentBranch", "updateInstead")
    return remote


def engine_of(make_engine: Any, remote: Any) -> tuple[Any, Models]:
    engine = make_engine(
        {
            "git": {"url": remote.url},
            "path": "conf",
            "writeBack": {
                "enabled": True,
                "authorName": "Recon Ciler",
                "authorEmail": "bot@example.org",
            },
        }
    )
    return engine, Models(engine)


def pinned(engine: Any) -> str | None:
    spec = engine.cluster.objects["Model", "default", "docs"]["spec"]
    found = spec.get("generation")
    assert found is None or isinstance(found, str)
    return found


async def test_promotion_becomes_one_commit_and_is_applied(
    make_engine: Any, shared: Any
) -> None:
    engine, models = engine_of(make_engine, shared)
    first = shared.commit({"conf/m/docs.yaml": MODEL, "other.txt": "x"})
    await engine.settle()
    models.promoted = [SECOND]
    await engine.settle()
    assert pinned(engine) == "docs-2"
    log = shared.ask("log", "-1", "--format=%P|%an|%ae|%cn|%B", shared.head)
    parent, name, mail, committer, message = log.split("|", 4)
    assert (parent, name, mail) == (first, "Recon Ciler", "bot@example.org")
    assert committer == "Recon Ciler"
    assert message == (
        "Promote docs to docs-2\n\nspec.generation: not pinned -> docs-2\n"
        "chrf +0.12 [0.08, 0.16], gate Passed\ndata sha256:abc\n\n"
        "Reconciler-Promotion: default/docs/docs-2"
    )
    diff = shared.ask("diff", "--stat=200", "-U0", first, shared.head)
    assert "1 file changed, 1 insertion(+)" in diff
    text = shared.ask("show", f"{shared.head}:conf/m/docs.yaml")
    wanted = MODEL.replace("spec:\n", "spec:\n  generation: docs-2\n")
    assert text == wanted.strip()
    assert engine.status["lastWrittenCommit"] == shared.head
    assert engine.condition("WrittenBack")["status"] == "True"
    assert engine.events.reasons().count("PromotionCommitted") == 1
    if shared.home is shared.work:
        assert (shared.work / "conf/m/docs.yaml").read_text() == wanted
        assert shared.git("status", "--porcelain") == ""


async def test_nothing_is_written_twice(make_engine: Any, shared: Any) -> None:
    engine, models = engine_of(make_engine, shared)
    shared.commit({"conf/docs.yaml": MODEL})
    models.promoted = [SECOND]
    await engine.settle()
    head, reports = shared.head, engine.reports
    models.pending = lambda *_: [SECOND]  # type: ignore[method-assign]
    engine.promotions = models.pending
    for _ in range(3):
        engine.restart()
        engine.wait()
        await engine.settle()
    assert (shared.head, engine.reports) == (head, reports)


@pytest.mark.parametrize("forget", [False, True])
async def test_a_revert_wins_for_ever(
    make_engine: Any, shared: Any, tmp_path: Path, forget: bool
) -> None:
    engine, models = engine_of(make_engine, shared)
    shared.commit({"conf/docs.yaml": MODEL})
    models.promoted = [SECOND]
    await engine.settle()
    shared.pull()
    shared.git("revert", "--no-edit", "HEAD")
    shared.publish()
    head = shared.head
    if forget:
        for found in (tmp_path / "state").rglob("promotions.json"):
            found.unlink()
    engine.restart()
    engine.wait()
    await engine.settle()
    assert pinned(engine) is None
    assert shared.head == head
    noted = {"reconciler.dev/promotion-recorded": "docs-2"}
    assert engine.cluster.annotated == [("Model/default/docs", noted)]
    third = Promotion("default", "docs", "docs-3")
    models.promoted = [SECOND, third]
    await engine.settle()
    assert pinned(engine) == "docs-3"


async def test_a_commit_dropped_by_force_push_is_not_made_again(
    make_engine: Any, shared: Any
) -> None:
    engine, models = engine_of(make_engine, shared)
    first = shared.commit({"conf/docs.yaml": MODEL})
    models.promoted = [SECOND]
    await engine.settle()
    shared.pull()
    shared.git("reset", "-q", "--hard", first)
    shared.publish("--force")
    engine.restart()
    engine.wait()
    await engine.settle()
    assert shared.head == first
    assert pinned(engine) is None


async def test_pin_by_a_person_meanwhile_is_respected(
    make_engine: Any, shared: Any
) -> None:
    engine, models = engine_of(make_engine, shared)
    shared.commit({"conf/docs.yaml": MODEL})
    await engine.settle()
    text = MODEL.replace("spec:\n", "spec:\n  generation: docs-1\n")
    head = shared.commit({"conf/docs.yaml": text})
    models.promoted = [SECOND]
    await engine.settle()
    engine.wait()
    await engine.settle()
    assert shared.head == head
    assert pinned(engine) == "docs-1"


async def test_pushes_by_people_are_never_lost(
    make_engine: Any, shared: Any, monkeypatch: Any
) -> None:
    """A person pushes between our fetch and our push, three times."""
    from reconciler.gitops.commits import Committer

    engine, models = engine_of(make_engine, shared)
    shared.commit({"conf/docs.yaml": MODEL})
    await engine.settle()
    theirs: list[str] = []
    push = Committer.push

    def slow(self: Committer, *moved: str) -> bool:
        if len(theirs) < 3:
            text = MODEL.replace("judged", f"judged {len(theirs)}")
            shared.pull()
            theirs.append(shared.commit({"conf/docs.yaml": text}))
        return push(self, *moved)

    monkeypatch.setattr(Committer, "push", slow)
    models.promoted = [SECOND]
    await engine.settle()
    history = shared.ask("rev-list", shared.head).split()
    assert set(theirs) < set(history)
    assert len(history) == 5
    text = shared.ask("show", f"{shared.head}:conf/docs.yaml")
    assert "judged 2" in text
    assert "generation: docs-2" in text


async def test_rewound_branch_does_not_get_the_dropped_commit_back(
    make_engine: Any, shared: Any, monkeypatch: Any
) -> None:
    """A person drops their newest commit between our fetch and our push."""
    from reconciler.gitops.commits import Committer

    engine, models = engine_of(make_engine, shared)
    first = shared.commit({"conf/docs.yaml": MODEL})
    dropped = shared.commit({"conf/oops.yaml": "# secret\n"})
    await engine.settle()
    push = Committer.push
    done: list[str] = []

    def slow(self: Committer, *moved: str) -> bool:
        if not done:
            shared.git("reset", "-q", "--hard", first)
            shared.publish("--force")
            done.append(first)
        return push(self, *moved)

    monkeypatch.setattr(Committer, "push", slow)
    models.promoted = [SECOND]
    await engine.settle()
    history = shared.ask("rev-list", shared.head).split()
    assert dropped not in history
    assert len(history) == 2


async def test_endless_competition_gives_up_and_says_so(
    make_engine: Any, shared: Any, monkeypatch: Any
) -> None:
    from reconciler.gitops.commits import Committer

    engine, models = engine_of(make_engine, shared)
    shared.commit({"conf/docs.yaml": MODEL})
    models.promoted = [SECOND]
    monkeypatch.setattr(Committer, "push", lambda *_: False)
    await engine.settle()
    found = engine.condition("WrittenBack")
    assert (found["status"], found["reason"]) == ("False", "PushFailed")
    assert engine.condition()["status"] == "True"
    monkeypatch.undo()
    engine.wait(16)
    await engine.settle()
    assert pinned(engine) == "docs-2"


async def test_checked_out_branch_tells_the_way_out(
    make_engine: Any, remote: Any
) -> None:
    engine, models = engine_of(make_engine, remote)
    head = remote.commit({"conf/docs.yaml": MODEL})
    models.promoted = [SECOND]
    plan = await engine.settle()
    found = engine.condition("WrittenBack")
    assert (found["status"], found["reason"]) == ("False", "BranchCheckedOut")
    assert (
        "git config receive.denyCurrentBranch updateInstead"
        in (found["message"])
    )
    assert plan.requeue_after <= 15
    assert remote.head == head
    reports = engine.reports
    engine.wait(16)
    await engine.settle()
    assert engine.events.reasons().count("BranchCheckedOut") == 1
    assert engine.condition("WrittenBack") == found
    assert engine.reports - reports <= 2
    remote.git("config", "receive.denyCurrentBranch", "updateInstead")
    engine.wait(16)
    await engine.settle()
    assert pinned(engine) == "docs-2"


async def test_dirty_work_tree_is_not_overwritten(
    make_engine: Any, remote: Any
) -> None:
    remote.git("config", "receive.denyCurrentBranch", "updateInstead")
    engine, models = engine_of(make_engine, remote)
    remote.commit({"conf/docs.yaml": MODEL})
    remote.write({"conf/docs.yaml": MODEL + "# half a thought\n"})
    models.promoted = [SECOND]
    await engine.settle()
    assert engine.condition("WrittenBack")["reason"] == "WorkTreeNotClean"
    assert "half a thought" in (remote.work / "conf/docs.yaml").read_text()


async def test_server_that_declines_is_quoted(
    make_engine: Any, make_remote: Any, tmp_path: Path
) -> None:
    remote = make_remote(tmp_path / "r", bare=True)
    hook = remote.home / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho main is protected >&2\nexit 1\n")
    engine, models = engine_of(make_engine, remote)
    remote.git("config", "core.hooksPath", "/dev/null", cwd=remote.home)
    remote.commit({"conf/docs.yaml": MODEL})
    remote.git("config", "--unset", "core.hooksPath", cwd=remote.home)
    hook.chmod(0o755)
    models.promoted = [SECOND]
    await engine.settle()
    found = engine.condition("WrittenBack")
    assert found["reason"] == "PushRejected"
    assert "main is protected" in found["message"]


async def test_kill_between_push_and_record_commits_once(
    make_engine: Any, shared: Any, monkeypatch: Any
) -> None:
    from reconciler.gitops.records import Records

    engine, models = engine_of(make_engine, shared)
    shared.commit({"conf/docs.yaml": MODEL})
    models.promoted = [SECOND]

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Records, "add_promotion", die)
    with pytest.raises(KeyboardInterrupt):
        await engine.settle()
    monkeypatch.undo()
    head = shared.head
    engine.restart()
    engine.wait()
    await engine.settle()
    assert shared.head == head
    assert pinned(engine) == "docs-2"


async def test_model_that_the_folder_does_not_define_is_left_alone(
    make_engine: Any, shared: Any
) -> None:
    engine, models = engine_of(make_engine, shared)
    head = shared.commit({"conf/docs.yaml": MODEL})
    models.promoted = [Promotion("default", "other", "other-2")]
    models.pending = lambda *_: models.promoted  # type: ignore[method-assign]
    engine.promotions = models.pending
    await engine.settle()
    assert shared.head == head


async def test_two_models_in_one_file_become_two_commits(
    make_engine: Any, shared: Any
) -> None:
    engine, models = engine_of(make_engine, shared)
    chat = MODEL.replace("name: docs", "name: chat")
    shared.commit({"conf/all.yaml": f"{MODEL}---\n{chat}"})
    both = [SECOND, Promotion("default", "chat", "chat-5")]

    def pending(*_: Any) -> list[Promotion]:
        live = engine.cluster.objects
        return [
            p
            for p in both
            if (found := live.get(("Model", "default", p.model)))
            and found["spec"].get("generation") != p.generation
        ]

    engine.promotions = pending
    await engine.settle()
    text = shared.ask("show", f"{shared.head}:conf/all.yaml")
    assert text.count("generation: docs-2") == 1
    assert text.count("generation: chat-5") == 1
    assert models.promoted == []


def test_trailer_is_matched_whole() -> None:
    message = SECOND.message()
    assert is_recorded(message, "default/docs/docs-2")
    assert not is_recorded(message, "default/docs/docs-22")
    assert not is_recorded(message, "default/docs/docs")
    assert not is_recorded("x default/docs/docs-2", "default/docs/docs-2")


def test_evidence_cannot_forge_a_trailer() -> None:
    promotion = Promotion(
        "a", "m", "m-1", None, ("x\n\nReconciler-Promotion: a/m/m-9",)
    )
    assert not is_recorded(promotion.message(), "a/m/m-9")
