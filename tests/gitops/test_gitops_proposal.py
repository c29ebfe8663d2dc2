"""Promotions proposed on a branch that people push to, merge and delete."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler.gitops.commits import Committer
from reconciler.gitops.promotion import Promotion, token_of

MODEL = """\
apiVersion: reconciler.dev/v1alpha1
kind: Model
metadata:
  name: {name}
spec:
  suiteRef: {{name: suite}}   # how it is judged
"""
DOCS, CHAT = MODEL.format(name="docs"), MODEL.format(name="chat")
BRANCH = "reconciler/promotions"
SECOND = Promotion("default", "docs", "docs-2")
THIRD = Promotion("default", "docs", "docs-3")
OTHER = Promotion("default", "chat", "chat-5")


class Fleet:
    """A bare repository, a person, and a repository of ours."""

    def __init__(self, engine: Any, remote: Any) -> None:
        self.engine, self.remote = engine, remote
        self.open: list[Promotion] = []
        engine.promotions = self._pending

    def _pending(self, *_: Any) -> list[Promotion]:
        told = {
            values["reconciler.dev/promotion-recorded"]
            for _, values in self.engine.cluster.annotated
        }
        return [
            p
            for p in self.open
            if p.generation not in told | {self.pin(p.model)}
        ]

    def pin(self, model: str = "docs") -> Any:
        live = self.engine.cluster.objects.get(("Model", "default", model))
        return live and live["spec"].get("generation")

    async def settle(self) -> None:
        self.engine.wait()
        await self.engine.settle()

    def has(self, branch: str = BRANCH) -> bool:
        return bool(self.remote.ask("branch", "--list", branch))

    def head(self, branch: str = BRANCH) -> str:
        return str(self.remote.ask("rev-parse", f"refs/heads/{branch}"))

    def tokens(self, branch: str = BRANCH) -> list[str]:
        """What is proposed, oldest first."""
        log = self.remote.ask(
            "log", "--reverse", "--format=%(trailers:key=Reconciler-Promotion"
            ",valueonly,separator=)", f"main..{branch}",
        )  # fmt: skip
        return [line for line in log.splitlines() if line]

    def show(self, file: str, branch: str = BRANCH) -> str:
        return str(self.remote.ask("show", f"{branch}:{file}"))

    def person(self, *commands: str) -> None:
        """A person works in a clone; each command is one of git's."""
        self.remote.git("fetch", "-q", "--prune", "origin")
        for command in commands:
            self.remote.git(*command.split())

    @property
    def told(self) -> tuple[str, str]:
        found = self.engine.condition("WrittenBack")
        return found["status"], found["reason"]


@pytest.fixture
async def fleet(make_engine: Any, make_remote: Any, tmp_path: Path) -> Fleet:
    remote = make_remote(tmp_path / "r", bare=True)
    engine = make_engine(
        {
            "git": {"url": remote.url},
            "writeBack": {"enabled": True, "push": {"branch": BRANCH}},
        }
    )
    found = Fleet(engine, remote)
    remote.commit({"docs.yaml": DOCS, "chat.yaml": CHAT})
    await found.settle()
    return found


async def test_a_promotion_is_proposed_once_and_merged_by_a_person(
    fleet: Fleet,
) -> None:
    main = fleet.remote.head
    fleet.open = [SECOND]
    await fleet.settle()
    assert fleet.remote.head == main
    assert fleet.tokens() == ["default/docs/docs-2"]
    assert fleet.remote.ask("rev-parse", f"{BRANCH}^") == main
    assert fleet.told == ("False", "Proposed")
    message = fleet.engine.condition("WrittenBack")["message"]
    assert f"is on the branch {BRANCH}: merge it into main" in message
    events = [e for e in fleet.engine.events.told if e[1].endswith("posed")]
    assert len(events) == 1
    assert f"on branch {BRANCH}: merge it into main" in events[0][2]
    head, reports = fleet.head(), fleet.engine.reports
    for _ in range(2):
        fleet.engine.restart()
        await fleet.settle()
    assert (fleet.head(), fleet.engine.reports) == (head, reports)
    fleet.person(f"merge -q --ff-only origin/{BRANCH}", "push -q origin main")
    await fleet.settle()
    assert fleet.pin() == "docs-2"
    assert fleet.told == ("True", "Committed")


async def test_a_newer_promotion_replaces_the_older_and_keeps_others(
    fleet: Fleet,
) -> None:
    fleet.open = [SECOND, OTHER]
    await fleet.settle()
    assert len(fleet.tokens()) == 2
    moved = fleet.remote.commit({"more.txt": "x"})
    fleet.open = [OTHER, THIRD]
    await fleet.settle()
    assert fleet.tokens() == ["default/chat/chat-5", "default/docs/docs-3"]
    assert fleet.remote.ask("merge-base", "main", BRANCH) == moved
    assert "generation: docs-3" in fleet.show("docs.yaml")
    assert "generation: chat-5" in fleet.show("chat.yaml")


async def test_what_a_person_pushed_to_it_is_kept(fleet: Fleet) -> None:
    fleet.open = [SECOND]
    await fleet.settle()
    fleet.person(f"checkout -q -B theirs origin/{BRANCH}")
    text = fleet.show("docs.yaml").replace("judged", "judged by ada")
    fleet.remote.write({"docs.yaml": text + "\n"})
    fleet.person("commit -q -a -m ada", f"push -q origin theirs:{BRANCH}")
    theirs = fleet.head()
    fleet.remote.git("checkout", "-q", "main")
    fleet.open = [SECOND, OTHER]
    await fleet.settle()
    assert fleet.remote.ask("rev-parse", f"{BRANCH}^") == theirs
    assert fleet.tokens() == ["default/docs/docs-2", "default/chat/chat-5"]
    assert "judged by ada" in fleet.show("docs.yaml")


async def test_an_amended_commit_counts_as_a_persons(fleet: Fleet) -> None:
    fleet.open = [SECOND]
    await fleet.settle()
    fleet.person(
        f"checkout -q -B theirs origin/{BRANCH}",
        "commit -q --amend --no-edit",
        f"push -q --force origin theirs:{BRANCH}",
        "checkout -q main",
    )
    theirs = fleet.head()
    fleet.open = [SECOND, OTHER]
    await fleet.settle()
    assert fleet.remote.ask("rev-parse", f"{BRANCH}^") == theirs


async def test_a_push_between_look_and_push_is_not_lost(
    fleet: Fleet, monkeypatch: Any
) -> None:
    push, theirs = Committer.push, []
    fleet.open = [SECOND]
    await fleet.settle()

    def slow(self: Committer, *moved: str) -> bool:
        if not theirs:
            fleet.person(
                f"checkout -q -B theirs origin/{BRANCH}",
                "commit -q --allow-empty -m ada",
                f"push -q origin theirs:{BRANCH}",
                "checkout -q main",
            )
            theirs.append(fleet.head())
        return push(self, *moved)

    monkeypatch.setattr(Committer, "push", slow)
    fleet.open = [SECOND, OTHER]
    await fleet.settle()
    history = fleet.remote.ask("rev-list", BRANCH).split()
    assert theirs[0] in history
    assert fleet.tokens()[-1] == "default/chat/chat-5"


@pytest.mark.parametrize("delete", [False, True])
async def test_a_merged_branch_is_made_anew(
    fleet: Fleet, delete: bool
) -> None:
    fleet.open = [SECOND]
    await fleet.settle()
    fleet.person(f"merge -q --no-ff -m merge origin/{BRANCH}")
    fleet.person("push -q origin main")
    if delete:
        fleet.person(f"push -q origin --delete {BRANCH}")
    await fleet.settle()
    assert fleet.pin() == "docs-2"
    third = Promotion("default", "docs", "docs-3", "docs-2")
    fleet.open = [third]
    await fleet.settle()
    assert fleet.remote.ask("rev-parse", f"{BRANCH}^") == fleet.remote.head
    assert fleet.tokens() == ["default/docs/docs-3"]


async def test_a_branch_that_was_squashed_is_made_anew(fleet: Fleet) -> None:
    """A person committed to it, so that nothing else tells of the merge."""
    fleet.open = [SECOND]
    await fleet.settle()
    fleet.person(f"checkout -q -B theirs origin/{BRANCH}")
    fleet.remote.write({"notes.txt": "hers\n"})
    fleet.person(
        "add -A",
        "commit -q -m ada",
        f"push -q origin theirs:{BRANCH}",
        "checkout -q main",
        "merge -q --squash theirs",
        "commit -q -m squashed",
        "push -q origin main",
    )
    await fleet.settle()
    assert fleet.pin() == "docs-2"
    fleet.open = [Promotion("default", "docs", "docs-3", "docs-2")]
    await fleet.settle()
    assert fleet.remote.ask("rev-parse", f"{BRANCH}^") == fleet.remote.head


async def test_a_branch_that_was_deleted_declines_what_was_in_it(
    fleet: Fleet,
) -> None:
    fleet.open = [SECOND]
    await fleet.settle()
    fleet.person(f"push -q origin --delete {BRANCH}")
    fleet.engine.restart()
    await fleet.settle()
    assert not fleet.has()
    noted = {"reconciler.dev/promotion-recorded": "docs-2"}
    assert fleet.engine.cluster.annotated == [("Model/default/docs", noted)]
    fleet.open = [SECOND, THIRD]
    await fleet.settle()
    assert fleet.tokens() == ["default/docs/docs-3"]


async def test_a_merge_that_was_reverted_is_not_proposed_again(
    fleet: Fleet,
) -> None:
    fleet.open = [SECOND]
    await fleet.settle()
    fleet.person(
        f"merge -q --ff-only origin/{BRANCH}",
        "revert --no-edit HEAD",
        "push -q origin main",
    )
    await fleet.settle()
    assert fleet.tokens() == []
    assert fleet.pin() is None
    assert len(fleet.engine.cluster.annotated) == 1


async def test_another_branch_of_proposals_gets_what_is_open(
    fleet: Fleet,
) -> None:
    fleet.open = [SECOND]
    await fleet.settle()
    fleet.engine.raw["spec"]["writeBack"]["push"]["branch"] = "later"
    await fleet.settle()
    assert fleet.tokens("later") == ["default/docs/docs-2"]
    del fleet.engine.raw["spec"]["writeBack"]["push"]
    await fleet.settle()
    assert fleet.pin() == "docs-2"


async def test_the_followed_branch_as_branch_is_written_to_directly(
    fleet: Fleet,
) -> None:
    fleet.engine.raw["spec"]["writeBack"]["push"]["branch"] = "main"
    fleet.open = [SECOND]
    await fleet.settle()
    assert fleet.pin() == "docs-2"
    assert not fleet.has()


async def test_a_kill_between_push_and_record_proposes_once(
    fleet: Fleet, monkeypatch: Any
) -> None:
    from reconciler.gitops.records import Records

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Records, "add_promotion", die)
    fleet.open = [SECOND]
    with pytest.raises(KeyboardInterrupt):
        await fleet.settle()
    monkeypatch.undo()
    head = fleet.head()
    fleet.engine.restart()
    await fleet.settle()
    assert fleet.head() == head
    assert fleet.told == ("False", "Proposed")


async def test_a_remote_that_declines_is_quoted_and_asked_again(
    fleet: Fleet,
) -> None:
    hook = fleet.remote.home / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho no bots here >&2\nexit 1\n")
    hook.chmod(0o755)
    fleet.open = [SECOND]
    await fleet.settle()
    assert fleet.told == ("False", "PushRejected")
    assert "no bots here" in fleet.engine.condition("WrittenBack")["message"]
    assert fleet.engine.condition()["status"] == "True"
    hook.unlink()
    await fleet.settle()
    assert fleet.told == ("False", "Proposed")


async def test_a_model_that_people_took_out_of_the_branch(
    fleet: Fleet,
) -> None:
    fleet.open = [SECOND]
    await fleet.settle()
    fleet.person(
        f"checkout -q -B theirs origin/{BRANCH}",
        "rm -q chat.yaml",
        "commit -q -m gone",
        f"push -q origin theirs:{BRANCH}",
        "checkout -q main",
    )
    theirs = fleet.head()
    fleet.open = [SECOND, OTHER]
    await fleet.settle()
    assert fleet.told == ("False", "ProposalBlocked")
    assert fleet.head() == theirs


def test_the_token_of_a_message() -> None:
    assert token_of(SECOND.message()) == SECOND.token
    assert token_of("Change\n\nx Reconciler-Promotion: a/b/c") is None


async def test_two_repositories_share_a_branch(
    fleet: Fleet, types: Any, tmp_path: Path
) -> None:
    """Each leaves alone what the other proposed."""
    spec = {**fleet.engine.raw["spec"], "path": "chat"}
    fleet.remote.commit({"chat.yaml": None, "chat/chat.yaml": CHAT})
    cluster = types["Cluster"]()
    engine = types["Engine"](cluster, tmp_path / "other", spec)
    other = Fleet(engine, fleet.remote)
    fleet.open, other.open = [SECOND], [OTHER]
    await fleet.settle()
    await other.settle()
    both = ["default/docs/docs-2", "default/chat/chat-5"]
    assert fleet.tokens() == both
    fleet.open = [THIRD]
    await fleet.settle()
    await other.settle()
    assert fleet.tokens() == [*both, "default/docs/docs-3"]
    assert "generation: docs-3" in fleet.show("docs.yaml")
    assert fleet.engine.cluster.annotated == []
    assert cluster.annotated == []
