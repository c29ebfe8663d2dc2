"""What a forge is told of the newest commit."""

from __future__ import annotations

import pytest

from reconciler.notifications.commit_status import (
    LONGEST,
    commit_status,
    followers,
    path_of,
    statuses,
)
from tests.notifications.conftest import SHA, repository


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        ("ReconciliationSucceeded", "success"),
        ("Progressing", "pending"),
        ("DependencyNotReady", "pending"),
        ("ApprovalRequired", "pending"),
        ("BuildFailed", "failure"),
        ("VerificationError", "failure"),
        ("HealthCheckFailed", "failure"),
    ],
)
def test_the_state_is_that_of_the_repository(reason, state) -> None:
    found = commit_status(repository(reason=reason))
    assert found is not None
    assert (found.state, found.commit) == (state, SHA)
    assert found.context == "reconciler/default/fleet"
    assert found.description == f"{reason}: that is so"


@pytest.mark.parametrize("reason", ["ArtifactFailed", "AuthenticationFailed"])
def test_a_source_that_is_away_says_nothing_of_the_commit(reason) -> None:
    assert commit_status(repository(reason=reason)) is None


def test_an_old_success_is_none_of_a_newer_commit() -> None:
    old = repository()
    status = old.status.model_copy(
        update={"last_attempted_revision": "main@sha1:" + "c" * 40}
    )
    found = commit_status(old.model_copy(update={"status": status}))
    assert found is not None
    assert found.state == "pending"


def test_nothing_is_said_of_a_suspended_repository_or_a_directory() -> None:
    assert commit_status(repository(suspend=True)) is None
    digest = repository().status.model_copy(
        update={"last_attempted_revision": "dir@sha256:1"}
    )
    found = repository().model_copy(update={"status": digest})
    assert commit_status(found) is None


def test_a_description_fits() -> None:
    found = commit_status(repository(message="x\n" * 500))
    assert found is not None
    assert len(found.description) == LONGEST
    assert "\n" not in found.description


def test_only_what_is_at_the_forge_is_told_to_it() -> None:
    ssh = "ssh://git@git.example.org:2222/team/models"
    there = [
        repository("a"),
        repository("b", url=ssh),
        repository("c", url="https://git.example.org/other/models"),
        repository("d", url="file:///srv/team/models.git"),
    ]
    found = followers(there, frozenset({"*"}), "team/models")
    assert [r.metadata.name for r in found] == ["a", "b"]
    named = followers(there, frozenset({"d"}), "team/models")
    assert [r.metadata.name for r in named] == ["a", "b", "d"]
    told = statuses(named, "ci", "github https://x/team/models")
    assert {s.context for s in told} == {"ci"}
    others = statuses(named, "ci", "github https://y/team/models")
    assert not {s.digest for s in told} & {s.digest for s in others}


def test_the_path_of_a_url() -> None:
    assert path_of("https://x/team/sub/models.git/") == "team/sub/models"
    assert path_of("https://x/team/models.git") == "team/models"
