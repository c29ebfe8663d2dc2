"""A file is replaced whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler.runs.protocol import write_atomically


@pytest.mark.parametrize(
    ("content", "data"), [("grün\n", b"gr\xc3\xbcn\n"), (b"\xff\0", b"\xff\0")]
)
def test_text_and_bytes_are_written_as_they_are(
    tmp_path: Path, content: str | bytes, data: bytes
) -> None:
    target = tmp_path / "x"
    write_atomically(target, content)
    assert target.read_bytes() == data
    assert target.stat().st_mode & 0o777 == 0o600


def test_an_end_while_writing_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: Any
) -> None:
    target = tmp_path / "x"
    write_atomically(target, b"old")

    def die(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", die)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]
