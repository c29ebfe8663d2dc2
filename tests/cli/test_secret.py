"""`reconciler secret`, and `reconciler diff` of encrypted files."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.cli.main import main

SECRET = (
    "apiVersion: v1\nkind: Secret\nmetadata: {name: login}\n"
    "stringData: {password: %s}\n"
)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    target = tmp_path / "age.agekey"
    assert main(["secret", "keygen", str(target)]) == 0
    return target


def recipient(key: Path) -> str:
    return key.read_text().splitlines()[0].removeprefix("# public key: ")


def test_keygen_keeps_the_key_to_its_owner(
    capsys: pytest.CaptureFixture[str], key: Path
) -> None:
    out = capsys.readouterr().out
    assert out == recipient(key) + "\n"
    assert out.startswith("age1")
    assert key.stat().st_mode & 0o777 == 0o600
    before = key.read_text()
    assert main(["secret", "keygen", str(key)]) == 2
    assert key.read_text() == before


def test_encrypt_in_place_and_decrypt(
    key: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(SECRET % "hunter2")
    file.chmod(0o640)
    words = ["secret", "encrypt", str(file), "--age", recipient(key)]
    capsys.readouterr()
    assert main(words) == 0
    assert "ENC[AES256_GCM" in capsys.readouterr().out
    assert "hunter2" in file.read_text()
    assert main([*words, "-i"]) == 0
    assert "hunter2" not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o640
    assert main([*words, "-i"]) == 2
    assert "s.yaml:1: is encrypted already" in capsys.readouterr().err
    assert main(["secret", "decrypt", str(file)]) == 2
    assert "--age-key FILE" in capsys.readouterr().err
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", str(key))
    assert main(["secret", "decrypt", str(file)]) == 0
    assert 'password: "hunter2"' in capsys.readouterr().out
    file.write_text(file.read_text().replace("name: login", "name: other"))
    assert main(["secret", "decrypt", str(file)]) == 2
    told = capsys.readouterr()
    assert "sops.mac: the checksum is another" in told.err
    assert "hunter2" not in told.out + told.err


def test_a_link_stays_and_two_documents_are_no_json(
    key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    link.symlink_to(real)
    words = ["secret", "encrypt", "-i", str(link), "--age", recipient(key)]
    real.write_text('{"data": {"a": "b"}}\n---\n{"data": {"a": "c"}}\n')
    assert main(words) == 2
    assert "link.json:3: a JSON file has one" in capsys.readouterr().err
    real.write_text('{"data": {"a": "b"}}\n')
    assert main(words) == 0
    assert link.is_symlink()
    assert "ENC[AES256_GCM" in real.read_text()


@pytest.mark.parametrize(
    ("text", "more", "part"),
    [
        (SECRET % "x", ["--age", "age1x"], "is no age recipient"),
        (SECRET % "x", ["--encrypted-regex", "("], "is no regular expression"),
        ("a: [\n", [], "s.yaml:2: "),
        ("kind: X\n", [], "nothing to encrypt"),
    ],
)
def test_what_cannot_be_encrypted_is_left_as_it_is(
    key: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    text: str,
    more: list[str],
    part: str,
) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(text)
    words = ["secret", "encrypt", "-i", str(file), "--age", recipient(key)]
    assert main([*words, *more]) == 2
    assert part in capsys.readouterr().err
    assert file.read_text() == text
    assert main([*words[:3], "/nowhere", *words[4:]]) == 2
    assert "/nowhere: No such file" in capsys.readouterr().err


def test_a_diff_of_encrypted_folders_shows_no_value(
    key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = []
    for name in ("old", "new"):
        file = tmp_path / name / "s.yaml"
        file.parent.mkdir()
        file.write_text(SECRET % f"hunter-{name}")
        words = ["secret", "encrypt", "-i", str(file), "--age", recipient(key)]
        assert main(words) == 0
        folders.append(str(file.parent))
    capsys.readouterr()
    for more in ([], ["--age-key", str(key)]):
        assert main(["diff", *folders, *more]) == 1
        out = capsys.readouterr().out
        assert "stringData.password" in out
        assert "hunter" not in out
        assert "ENC[" not in out
    # The same value encrypted twice is the same only for who can read it.
    file.write_text(SECRET % "hunter-old")
    assert main(words) == 0
    assert main(["diff", *folders]) == 1
    assert main(["diff", *folders, "--age-key", str(key)]) == 0
    capsys.readouterr()
    assert main(["diff", *folders, "--age-key", str(file)]) == 2
    assert "is no identity" in capsys.readouterr().err
