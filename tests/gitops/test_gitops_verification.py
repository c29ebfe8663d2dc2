"""Only what a known key signed is applied; keys are made for the test."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reconciler.gitops.git import Git
from reconciler.gitops.mirror import Mirror
from reconciler.gitops.reference import Reference
from reconciler.gitops.resource_source import GitReference
from reconciler.gitops.signers import Signers, SignersError
from reconciler.gitops.verification import Policy, VerificationError
from tests.gitops.signing import (
    PgpPerson,
    SshPerson,
    pgp,
    sign_commit,
    sign_tag,
)


@pytest.fixture
def ada(tmp_path: Path) -> SshPerson:
    return SshPerson(tmp_path, "ada")


@pytest.fixture
def eve(tmp_path: Path) -> SshPerson:
    return SshPerson(tmp_path, "eve")


@pytest.fixture
def grace(tmp_path: Path) -> Iterator[PgpPerson]:
    with pgp(tmp_path, "grace") as person:
        yield person


def signers(*people: Any, **more: str) -> Signers:
    suffix = {SshPerson: "pub", PgpPerson: "asc"}
    keys = {f"{p.name}.{suffix[type(p)]}": p.public for p in people}
    return Signers.of({k: v.encode() for k, v in (keys | more).items()})


class Checker:
    """Fetches and checks one repository."""

    def __init__(self, remote: Any, tmp_path: Path) -> None:
        self.git = Git(tmp_path / "m" / "mirror.git", 20, remote.url)

    def __call__(self, mode: Any, keys: Signers, **ref: str) -> str:
        reference = Reference(GitReference(**ref))
        target = Mirror(self.git, reference).bring()
        return Policy(mode, keys).check(self.git, target).by


@pytest.fixture
def check(remote: Any, tmp_path: Path) -> Checker:
    return Checker(remote, tmp_path)


def test_a_commit_by_a_known_ssh_key(
    remote: Any, check: Checker, ada: SshPerson, eve: SshPerson
) -> None:
    head = sign_commit(remote, ada, {"a.yaml": "1"})
    said = check("HEAD", signers(eve, ada))
    assert said.startswith(f"commit {head[:12]} by ada (SHA256:")


def test_a_commit_by_a_known_openpgp_key(
    remote: Any, check: Checker, grace: PgpPerson
) -> None:
    head = sign_commit(remote, grace, {"a.yaml": "1"})
    said = check("HEAD", signers(grace))
    assert said == f"commit {head[:12]} by OpenPGP key {grace.fingerprint}"


def test_unsigned_and_unknown_are_refused(
    remote: Any,
    check: Checker,
    ada: SshPerson,
    eve: SshPerson,
    grace: PgpPerson,
) -> None:
    remote.commit({"a.yaml": "1"})
    with pytest.raises(VerificationError, match="is not signed"):
        check("HEAD", signers(ada, grace))
    sign_commit(remote, eve, {"a.yaml": "2"})
    with pytest.raises(VerificationError, match=r"is not one of git.verify"):
        check("HEAD", signers(ada, grace))
    sign_commit(remote, grace, {"a.yaml": "3"})
    with pytest.raises(VerificationError, match="no valid signature"):
        check("HEAD", signers(ada, eve))


def test_an_openpgp_key_that_is_not_in_the_secret(
    remote: Any, check: Checker, grace: PgpPerson, tmp_path: Path
) -> None:
    sign_commit(remote, grace, {"a.yaml": "1"})
    with (
        pgp(tmp_path, "hedy") as hedy,
        pytest.raises(VerificationError, match=r"is not one of git.verify"),
    ):
        check("HEAD", signers(hedy))


def test_keys_that_ended(
    remote: Any, check: Checker, grace: PgpPerson, tmp_path: Path
) -> None:
    sign_commit(remote, grace, {"a.yaml": "1"})
    check("HEAD", signers(grace))
    grace.revoke()
    with pytest.raises(VerificationError, match="the key was revoked"):
        check("HEAD", signers(grace))
    with pgp(tmp_path, "hedy", ended=True) as hedy:
        sign_commit(remote, hedy, {"a.yaml": "2"})
        with pytest.raises(VerificationError, match="the key has expired"):
            check("HEAD", signers(hedy))


def test_an_ssh_key_that_ended_signs_nothing_not_even_with_an_old_date(
    remote: Any, check: Checker, ada: SshPerson, monkeypatch: Any
) -> None:
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2019-01-01T00:00:00Z")
    sign_commit(remote, ada, {"a.yaml": "1"})
    line = 'ada valid-before="{}",namespaces="git" ' + ada.public
    open_ended = signers(allowed_signers=line.format("29990101Z"))
    assert "by ada" in check("HEAD", open_ended)
    ended = signers(allowed_signers=line.format("20200101Z"))
    with pytest.raises(VerificationError, match="no valid signature"):
        check("HEAD", ended)


def test_an_ssh_key_on_the_list_of_revoked_keys(
    remote: Any, check: Checker, ada: SshPerson, eve: SshPerson
) -> None:
    sign_commit(remote, ada, {"a.yaml": "1"})
    assert check("HEAD", signers(ada, revoked_keys=eve.public))
    with pytest.raises(VerificationError, match="no valid signature"):
        check("HEAD", signers(ada, revoked_keys=ada.public))


def test_a_signature_for_another_purpose(
    remote: Any, check: Checker, ada: SshPerson
) -> None:
    sign_commit(remote, ada, {"a.yaml": "1"})
    files = f'ada namespaces="file" {ada.public}'
    with pytest.raises(VerificationError, match="no valid signature"):
        check("HEAD", signers(allowed_signers=files))


@pytest.mark.parametrize("person", ["ada", "grace"])
def test_a_signature_over_another_commit(
    remote: Any, check: Checker, person: str, request: Any
) -> None:
    someone = request.getfixturevalue(person)
    head = sign_commit(remote, someone, {"a.yaml": "1"})
    raw = remote.git("cat-file", "commit", head)
    forged = remote.work.parent / "forged"
    forged.write_text(raw.replace("change", "chance") + "\n")
    sha = remote.git("hash-object", "-t", "commit", "-w", str(forged))
    remote.git("update-ref", "refs/heads/main", sha)
    with pytest.raises(VerificationError, match="no valid signature"):
        check("HEAD", signers(someone))


def test_a_replaced_object_does_not_lend_its_signature(
    remote: Any, check: Checker, ada: SshPerson
) -> None:
    good = sign_commit(remote, ada, {"a.yaml": "1"})
    bad = remote.commit({"a.yaml": "2"})
    check.git.directory.parent.mkdir()
    with pytest.raises(VerificationError):
        check("HEAD", signers(ada))
    remote.git("push", "-q", str(check.git.directory), f"{good}:refs/heads/x")
    remote.git(
        "push", "-q", str(check.git.directory), f"{good}:refs/replace/{bad}"
    )
    with pytest.raises(VerificationError, match=f"commit {bad[:12]}"):
        check("HEAD", signers(ada))


def test_tags(
    remote: Any, check: Checker, ada: SshPerson, eve: SshPerson
) -> None:
    remote.commit({"a.yaml": "1"})
    sign_tag(remote, ada, "v1.0.0")
    keys = signers(ada)
    assert check("Tag", keys, tag="v1.0.0").startswith("tag v1.0.0 by ada")
    assert check("Tag", keys, semver=">=1.0.0")
    assert check("Tag", keys, name="refs/tags/v1.0.0")
    with pytest.raises(VerificationError, match=r"commit .* is not signed"):
        check("TagAndHEAD", keys, tag="v1.0.0")
    sign_commit(remote, ada, {"a.yaml": "2"})
    sign_tag(remote, ada, "v2.0.0")
    said = check("TagAndHEAD", keys, tag="v2.0.0")
    assert "tag v2.0.0 by ada" in said
    assert "; commit " in said
    sign_tag(remote, eve, "v3.0.0")
    assert check("HEAD", keys, tag="v3.0.0")
    for mode in ("Tag", "TagAndHEAD"):
        with pytest.raises(VerificationError, match=r"tag v3.0.0 has no"):
            check(mode, keys, tag="v3.0.0")


def test_a_tag_by_a_known_openpgp_key(
    remote: Any, check: Checker, ada: SshPerson, grace: PgpPerson
) -> None:
    sign_commit(remote, ada, {"a.yaml": "1"})
    sign_tag(remote, grace, "v1.0.0")
    said = check("TagAndHEAD", signers(ada, grace), tag="v1.0.0")
    assert f"tag v1.0.0 by OpenPGP key {grace.fingerprint}" in said


def test_tags_that_prove_nothing(
    remote: Any, check: Checker, ada: SshPerson
) -> None:
    sign_commit(remote, ada, {"a.yaml": "1"})
    keys = signers(ada)
    remote.git("tag", "light")
    with pytest.raises(VerificationError, match="is not annotated"):
        check("Tag", keys, tag="light")
    remote.git("tag", "-a", "-m", "x", "plain")
    with pytest.raises(VerificationError, match="tag plain is not signed"):
        check("Tag", keys, tag="plain")
    with pytest.raises(VerificationError, match="wants a tag"):
        check("Tag", keys, branch="main")
    with pytest.raises(VerificationError, match="wants a tag"):
        check("TagAndHEAD", keys, commit=remote.head)


def test_an_old_tag_under_a_new_name(
    remote: Any, check: Checker, ada: SshPerson
) -> None:
    sign_commit(remote, ada, {"a.yaml": "old and vulnerable"})
    sign_tag(remote, ada, "v1.0.0")
    old = remote.git("rev-parse", "refs/tags/v1.0.0")
    remote.git("update-ref", "refs/tags/v9.0.0", old)
    with pytest.raises(VerificationError, match=r"v9.0.0 was signed under an"):
        check("TagAndHEAD", signers(ada), semver="*")


def test_the_users_keys_and_settings_do_not_count(
    remote: Any,
    check: Checker,
    ada: SshPerson,
    eve: SshPerson,
    grace: PgpPerson,
    tmp_path: Path,
    monkeypatch: Any,
) -> None:
    yes = tmp_path / "yes"
    fingerprint = "A" * 40
    yes.write_text(
        "#!/bin/sh\necho '[GNUPG:] GOODSIG AAAAAAAAAAAAAAAA x' >&1\n"
        f"echo '[GNUPG:] VALIDSIG {fingerprint} 1 1'\n"
        "echo 'Good \"git\" signature for x with ED25519 key SHA256:x'\n"
    )
    yes.chmod(0o755)
    trusted = tmp_path / "trusted"
    trusted.write_text(f"eve {eve.public}")
    settings = {
        "gpg.program": str(yes),
        "gpg.ssh.program": str(yes),
        "gpg.ssh.allowedSignersFile": str(trusted),
    }
    sign_commit(remote, eve, {"a.yaml": "1"})
    keys = signers(ada)
    with pytest.raises(VerificationError):
        check("HEAD", keys)
    for key, value in settings.items():
        check.git.run("config", key, value)
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        f'[gpg]\n\tprogram = {yes}\n[gpg "ssh"]\n\tprogram = {yes}\n'
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GNUPGHOME", str(grace.home))
    monkeypatch.setenv("GIT_CONFIG_COUNT", str(len(settings)))
    for number, (key, value) in enumerate(settings.items()):
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", key)
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", value)
    with pytest.raises(VerificationError, match=r"is not one of git.verify"):
        check("HEAD", keys)
    monkeypatch.delenv("GIT_CONFIG_COUNT")
    sign_commit(remote, grace, {"a.yaml": "2"})
    with pytest.raises(VerificationError, match="no valid signature"):
        check("HEAD", keys)


def test_gpg_is_not_installed(
    remote: Any,
    check: Checker,
    grace: PgpPerson,
    tmp_path: Path,
    monkeypatch: Any,
) -> None:
    sign_commit(remote, grace, {"a.yaml": "1"})
    keys = signers(grace)
    only = tmp_path / "only"
    only.mkdir()
    git = shutil.which("git")
    assert git is not None
    (only / "git").symlink_to(git)
    monkeypatch.setenv("PATH", str(only))
    with pytest.raises(VerificationError, match="gpg is not installed"):
        check("HEAD", keys)


def test_a_key_that_gpg_does_not_take(
    remote: Any, check: Checker, ada: SshPerson
) -> None:
    sign_commit(remote, ada, {"a.yaml": "1"})
    block = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nnonsense\n"
    keys = Signers((block.encode(),), signers(ada).allowed)
    with pytest.raises(VerificationError, match="gpg does not take a key"):
        check("HEAD", keys)


# What a repository does about it.


@pytest.fixture
def guarded(engine: Any, cluster: Any) -> Any:
    engine.raw["spec"]["git"]["verify"] = {"secretRef": {"name": "signers"}}

    def trust(*people: SshPerson) -> None:
        coded = {
            f"{p.name}.pub": base64.b64encode(p.public.encode()).decode()
            for p in people
        }
        cluster.objects["Secret", "default", "signers"] = {
            "metadata": {"name": "signers"},
            "data": coded,
        }

    engine.trust = trust
    return engine


async def test_what_is_not_signed_is_not_applied_and_the_last_good_one_stays(
    guarded: Any,
    cluster: Any,
    remote: Any,
    ada: SshPerson,
    make_config_map: Any,
) -> None:
    guarded.trust(ada)
    good = sign_commit(remote, ada, {"a.yaml": make_config_map("a", x="1")})
    await guarded.settle()
    condition = guarded.condition("SourceVerified")
    assert condition["status"] == "True"
    assert (
        f"main@sha1:{good}: commit {good[:12]} by ada"
        in (condition["message"])
    )
    bad = remote.commit({"a.yaml": make_config_map("a", x="2")})
    guarded.wait()
    writes = len(cluster.writes)
    await guarded.settle()
    condition = guarded.condition("SourceVerified")
    assert (condition["status"], condition["reason"]) == (
        "False",
        "VerificationError",
    )
    assert condition["message"] == f"commit {bad[:12]} is not signed"
    assert guarded.condition()["reason"] == "VerificationError"
    assert guarded.status["lastAttemptedRevision"] == f"main@sha1:{bad}"
    assert guarded.status["lastAppliedRevision"] == f"main@sha1:{good}"
    assert guarded.status["history"][0]["status"] == "VerificationError"
    assert guarded.events.reasons().count("VerificationError") == 1
    assert cluster.writes[writes:] == []
    cluster.edit("ConfigMap", "a", x="somebody")
    cluster.objects["ConfigMap", "default", "a"]["data"]["x"] = "somebody"
    guarded.restart()
    await guarded.settle()
    assert cluster.objects["ConfigMap", "default", "a"]["data"]["x"] == "1"
    new = sign_commit(remote, ada, {"a.yaml": make_config_map("a", x="3")})
    guarded.wait()
    await guarded.settle()
    assert guarded.condition("SourceVerified")["status"] == "True"
    assert guarded.status["lastAppliedRevision"] == f"main@sha1:{new}"


async def test_a_revision_from_before_is_not_enforced_unverified(
    guarded: Any,
    cluster: Any,
    remote: Any,
    ada: SshPerson,
    make_config_map: Any,
) -> None:
    verify = guarded.raw["spec"]["git"].pop("verify")
    remote.commit({"a.yaml": make_config_map("a", x="1")})
    await guarded.settle()
    assert guarded.condition("SourceVerified") is None
    guarded.raw["spec"]["git"]["verify"] = verify
    guarded.trust(ada)
    cluster.objects["ConfigMap", "default", "a"]["data"]["x"] = "somebody"
    writes = len(cluster.writes)
    await guarded.settle()
    assert guarded.condition("SourceVerified")["status"] == "False"
    assert cluster.writes[writes:] == []
    assert len(guarded.status["inventory"]) == 1
    remote.git(*ada.settings, "commit", "-q", "--amend", "-S", "--no-edit")
    guarded.wait()
    await guarded.settle()
    assert cluster.objects["ConfigMap", "default", "a"]["data"]["x"] == "1"


async def test_who_may_sign_is_read_anew(
    guarded: Any,
    remote: Any,
    ada: SshPerson,
    eve: SshPerson,
    make_config_map: Any,
) -> None:
    sign_commit(remote, ada, {"a.yaml": make_config_map("a")})
    await guarded.settle()
    condition = guarded.condition("SourceVerified")
    assert condition["reason"] == "VerificationError"
    assert "Secret default/signers does not exist" in condition["message"]
    guarded.trust(ada)
    await guarded.settle()
    assert guarded.condition("SourceVerified")["status"] == "True"
    guarded.trust(eve)
    await guarded.settle()
    assert guarded.condition("SourceVerified")["status"] == "False"


# What the Secret may say.


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "no public key of a signer"),
        ({"revoked_keys": "x"}, "no public key of a signer"),
        ({"key": "ssh-ed25519 AAAA"}, "key is not understood"),
        ({"a.pub": "hello"}, "a.pub:1: is not an SSH public key"),
        ({"a.pub": "# x\nfrom=* ssh-rsa AA"}, "a.pub:2: is not an SSH"),
        ({"a.asc": "hello"}, "a.asc is not an armored OpenPGP public key"),
        ({"a.asc": "-----BEGIN PGP PRIVATE KEY BLOCK"}, "private key"),
        ({"allowed_signers": "ada ssh-rsa"}, "allowed_signers:1: needs"),
        (
            {"allowed_signers": "a valid-before=2026 ssh-rsa AA"},
            "'2026' is not a time",
        ),
    ],
)
def test_secrets_that_do_not_say_who(
    values: dict[str, str], message: str
) -> None:
    with pytest.raises(SignersError, match=message):
        Signers.of({k: v.encode() for k, v in values.items()})


def test_signers_out_of_their_time_do_not_count() -> None:
    lines = [
        "past valid-before=202601010000Z ssh-rsa AA",
        'now valid-after="20260101Z",valid-before="20270101Z" ssh-rsa AA',
        "future valid-after=20270101000000Z ssh-rsa AA",
    ]
    found = signers(allowed_signers="\n".join(lines))
    at = datetime(2026, 6, 1, tzinfo=UTC)
    assert found.allowed_at(at) == lines[1] + "\n"


def test_the_digest_is_of_the_content(ada: SshPerson, eve: SshPerson) -> None:
    found = {signers(ada).digest, signers(eve).digest}
    found.add(signers(ada, eve).digest)
    found.add(signers(ada, revoked_keys=eve.public).digest)
    assert len(found) == 4
    assert signers(eve, ada).digest == signers(ada, eve).digest
