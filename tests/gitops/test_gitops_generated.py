"""Secrets that kustomize generates from files that sops 3.11 encrypted."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path
from typing import Any

import pytest

from reconciler.gitops.build import Builder
from reconciler.gitops.documents import BuildError
from reconciler.gitops.kustomize import Kustomize
from reconciler.gitops.sops.keys import AgeKeys
from reconciler.gitops.sops.opener import Opener
from reconciler.gitops.stand_ins import built, stand_ins
from reconciler.gitops.tree import Tree

HERE = Path(__file__).parent / "sops_vectors"
KEYS = AgeKeys.file("age.agekey", (HERE / "age.agekey").read_bytes())
GENERATOR = """\
secretGenerator:
  - name: login
    files: [%s]
    envs: [%s]
"""
NAMES = ("txt", "env", "yaml", "json", "ini")

needs_program = pytest.mark.skipif(
    not (shutil.which("kustomize") or shutil.which("kubectl")),
    reason="neither kustomize nor kubectl is installed",
)


def tree(files: str = "", envs: str = "", **more: bytes) -> Tree:
    found = {
        f"generated.{name}": (HERE / f"generated.{name}").read_bytes()
        for name in NAMES
    } | {"plain.txt": b"sops ENC[ is a word\n", "plain.env": b"A=b\n"}
    found["kustomization.yaml"] = (GENERATOR % (files, envs)).encode()
    for name, data in more.items():
        found[name.replace("_", ".")] = data
    return Tree("r", found, overlay="")


def objects(made: Tree, keys: AgeKeys | None = KEYS) -> Any:
    return built(made, Kustomize(), Builder("default", opener=Opener(keys)))


def data(made: Tree) -> dict[str, str]:
    (item,) = objects(made)
    assert item.sealed
    return {
        name: base64.b64decode(value).decode()
        for name, value in item.body["data"].items()
    }


@needs_program
def test_files_of_every_format() -> None:
    made = tree(
        "generated.txt, values.yaml=generated.yaml, "
        ".dockerconfigjson=generated.json, plain.txt"
    )
    found = data(made)
    assert found["generated.txt"] == "hunter2\nbinary\n"
    assert found["values.yaml"] == 'user: "ada"\npassword: "hunter2"\n'
    assert '"auth": "hunter2"' in found[".dockerconfigjson"]
    assert found["plain.txt"] == "sops ENC[ is a word\n"


@needs_program
def test_env_files() -> None:
    assert data(tree("", "generated.env, plain.env")) == {
        "USER": "ada",
        "PASSWORD": "hunter2=x",
        "LINES": "a\\nb",
        "EMPTY": "",
        "plain_unencrypted": "yes",
        "A": "b",
    }


@needs_program
def test_the_name_changes_with_the_file_and_only_then() -> None:
    first, again = (
        objects(tree("generated.txt"))[0].id.name for _ in range(2)
    )
    assert first == again
    changed = (HERE / "generated.txt").read_bytes() + b"\n"
    other = objects(tree("generated.txt", generated_txt=changed))[0].id.name
    assert other.startswith("login-")
    assert other != first


def holding(name: str, content: bytes, annotations: str = "") -> Any:
    """A Secret with an encrypted file in it, built as it is."""
    text = (
        f"apiVersion: v1\nkind: Secret\nmetadata: {{name: s{annotations}}}\n"
        f"data:\n  {name}: {base64.b64encode(content).decode()}\n  x: eA==\n"
    )
    builder = Builder("default", opener=Opener(KEYS))
    (item,) = builder.build({"s.yaml": text.encode()})
    return item


@pytest.mark.parametrize(
    ("name", "file", "expected"),
    [
        ("anything", "generated.txt", "hunter2\nbinary\n"),
        ("a.yaml", "generated.yaml", 'user: "ada"\npassword: "hunter2"\n'),
        ("a.env", "generated.env", "USER=ada\nPASSWORD=hunter2=x\n"),
    ],
)
def test_an_encrypted_file_in_a_secret_is_opened(
    name: str, file: str, expected: str
) -> None:
    item = holding(name, (HERE / file).read_bytes())
    found = base64.b64decode(item.body["data"][name]).decode()
    assert found.startswith(expected)
    assert item.body["data"]["x"] == "eA=="
    assert item.sealed
    assert not item.exposed


def test_an_encrypted_file_in_a_secret_that_cannot_be_opened() -> None:
    data = (HERE / "generated.env").read_bytes()
    with pytest.raises(
        BuildError, match=r"^s\.yaml:5: data\.a: .* of another"
    ):
        holding("a", data)
    changed = data.replace(b"plain_unencrypted=yes", b"plain_unencrypted=no")
    with pytest.raises(BuildError, match=r"data\.a\.env: sops\.mac"):
        holding("a.env", changed)
    left = ", annotations: {reconciler.dev/decrypt: disabled}"
    item = holding("a.env", data, left)
    assert base64.b64decode(item.body["data"]["a.env"]) == data
    assert holding("a.env", b"A=b").exposed
    assert holding("a.env", b"A=b").body["data"]["a.env"] == "QT1i"


def test_kustomize_gets_nothing_in_clear() -> None:
    made = tree("generated.txt, generated.yaml", "generated.env")
    found = stand_ins(made.files, "", Opener(KEYS))
    for name in ("txt", "yaml", "env"):
        text = found.files[f"generated.{name}"]
        assert b"hunter2" not in text
        assert b"ada" not in text
    assert b"plain_unencrypted=yes" in found.files["generated.env"]
    untouched = found.files["generated.json"]
    assert untouched == made.files["generated.json"]
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize(
    ("name", "old", "new", "reason"),
    [
        ("txt", b'"data": "ENC', b'"date": "ENC', r"cannot be decrypted"),
        ("env", b"plain_unencrypted=yes", b"plain_unencrypted=no", "sops.mac"),
        ("env", b"PASSWORD=", b"PASSWORT=", "PASSWORT: cannot be decrypted"),
        ("env", b"sops_age__list_0__map_enc", b"sops_x", "has no enc"),
        ("env", b"list_0__map", b"list_9__map", "not in order"),
        ("env", b"sops_lastmodified", b"sops_l", "lastmodified: is no time"),
    ],
)
def test_a_changed_file_is_refused(
    name: str, old: bytes, new: bytes, reason: str
) -> None:
    file = (HERE / f"generated.{name}").read_bytes()
    assert old in file
    made = tree("generated.txt", "generated.env", **{
        f"generated_{name}": file.replace(old, new)
    })  # fmt: skip
    with pytest.raises(BuildError, match=reason) as error:
        stand_ins(made.files, "", Opener(KEYS))
    assert error.value.file == f"generated.{name}"
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ("generated.ini", r"generated\.ini:1: ini files"),
        ("text=generated.yaml", r"generated\.yaml:1: is no binary file"),
    ],
)
def test_what_is_not_supported_says_so(files: str, reason: str) -> None:
    with pytest.raises(BuildError, match=reason):
        stand_ins(tree(files).files, "", Opener(KEYS))


def test_without_a_key_and_for_a_config_map_it_is_refused() -> None:
    for name in ("generated.txt", ""):
        files = tree(name, "" if name else "generated.env").files
        with pytest.raises(BuildError, match=r"set spec\.decryption"):
            stand_ins(files, "", Opener())
        changed = dict(files)
        text = files["kustomization.yaml"].replace(b"secretG", b"configMapG")
        changed["kustomization.yaml"] = text
        with pytest.raises(BuildError, match="use secretGenerator"):
            stand_ins(changed, "", Opener(KEYS))


def test_two_folders_are_compared_as_they_are() -> None:
    files = tree("generated.txt").files
    assert stand_ins(files, "", Opener(closed=True)).files == files
