"""The end of a signer's time is noticed when it comes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler.gitops.gnupg import GnuPG
from reconciler.gitops.resource import ConfigRepository
from reconciler.gitops.signers import Signers
from reconciler.gitops.source import Source
from reconciler.gitops.verification import Policy
from tests.gitops.signing import SshPerson, pgp, run, sign_commit

HOUR = timedelta(hours=1)


@pytest.fixture
def ada(tmp_path: Path) -> SshPerson:
    return SshPerson(tmp_path, "ada")


def repository(remote: Any) -> ConfigRepository:
    verify = {"secretRef": {"name": "signers"}}
    spec = {"git": {"url": remote.url, "verify": verify}, "interval": "24h"}
    return ConfigRepository.parse({"metadata": {"name": "f"}, "spec": spec})


def test_a_key_that_ends_between_two_reads(
    remote: Any, ada: SshPerson, tmp_path: Path
) -> None:
    """The branch does not move: only the time does."""
    start = datetime.now(UTC).replace(microsecond=0)
    end = (start + HOUR).strftime("%Y%m%d%H%M%SZ")
    line = f'ada valid-before="{end}",namespaces="git" {ada.public}'
    signers = Signers.of({"allowed_signers": line.encode()})
    now = [start]
    source = Source(
        tmp_path / "state",
        policy=Policy("HEAD", signers),
        clock=lambda: now[0],
    )
    head = sign_commit(remote, ada, {"a.yaml": "1"})
    asked = repository(remote)
    look = source.look(asked, 1000)
    assert look.head == f"main@sha1:{head}"
    assert look.due == 3600
    now[0] = start + HOUR / 2
    look = source.look(asked, 2800)
    assert (look.problem, look.due) == (None, 1800)
    now[0] = start + HOUR
    look = source.look(asked, 4600)
    assert look.problem is not None
    assert look.problem.reason == "VerificationError"
    assert look.due == 15
    assert source.look(asked, 4601).due == 14


def test_a_key_whose_time_begins_later(
    remote: Any, ada: SshPerson, tmp_path: Path
) -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    line = f'ada valid-before="20310101Z" {ada.public}'
    more = f'ada valid-after="20300101000001Z" {ada.public}'
    signers = Signers.of({"allowed_signers": f"{line}\n{more}".encode()})
    sign_commit(remote, ada, {"a.yaml": "1"})
    source = Source(
        tmp_path / "state", policy=Policy("HEAD", signers), clock=lambda: now
    )
    assert source.look(repository(remote), 1000).due == 1


def test_when_openpgp_keys_end(tmp_path: Path) -> None:
    with pgp(tmp_path, "grace") as grace, pgp(tmp_path, "hedy") as hedy:
        run("gpg", "--batch", "--passphrase", "", "--pinentry-mode",
            "loopback", "--quick-set-expire", grace.fingerprint, "2d",
            home=grace.home)  # fmt: skip
        gpg = GnuPG.create(tmp_path / "home", "no-autostart")
        gpg.add(hedy.public.encode())
        assert gpg.expirations() == []
        gpg.add(grace.public.encode())
        (end,) = gpg.expirations()
    left = end - datetime.now(UTC)
    assert timedelta(days=1) < left <= timedelta(days=2, minutes=1)
