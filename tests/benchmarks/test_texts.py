from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import texts
from benchmarks.embeddings import described, embed

STANZA = """Package: hello
Description-md5: d943033bedada21853d2ae54a2578a7b
Description-en: example package
 The GNU hello program produces a
 familiar greeting.
 .
 It is written so that one may see how much of a program is about
 everything but its purpose.
 .
 Too short.
"""


def test_a_description_gives_one_text_and_its_later_paragraphs() -> None:
    (whole,) = texts.stanza_texts(STANZA, paragraphs=False)
    assert whole.startswith(
        "hello: example package. The GNU hello program produces a familiar "
        "greeting. It is"
    )
    assert len(whole) <= texts.LONGEST
    (paragraph,) = texts.stanza_texts(STANZA, paragraphs=True)
    assert paragraph.startswith("It is written so that")
    assert list(texts.stanza_texts("", paragraphs=False)) == []


def test_docstrings_are_named_and_tests_are_left_out(tmp_path: Path) -> None:
    told = '"""What this does is told in\n  so many words that it counts."""'
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "other.py").write_text(told)
    (tmp_path / "no.py").write_text("this is no Python")
    (tmp_path / "one.py").write_text(
        f'{told}\nasync def f():\n    {told}\ndef g():\n    """Short."""\n'
    )
    said = "What this does is told in so many words that it counts."
    assert list(texts.docstrings(tmp_path)) == [f"one: {said}", f"f: {said}"]


def test_what_is_said_twice_counts_once(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(
        texts,
        "_installed_docstrings",
        lambda: iter(["a: the same", "b: the same", "c: other"]),
    )
    found = texts.collect(tmp_path)
    assert found["docstrings"] == ["a: the same", "c: other"]
    assert sorted(texts.shuffled(found)) == ["a: the same", "c: other"]


class Counting:
    """Vectors of lengths, and how many were made."""

    dim = 2
    made = 0

    def embed(self, some: list[str]) -> np.ndarray:
        self.made += len(some)
        return np.array([[len(text), 1] for text in some], np.float32)


def test_embedding_goes_on_where_it_stopped(tmp_path: Path) -> None:
    file, words = tmp_path / "e.npy", ["x" * n for n in range(5000)]
    embedder = Counting()
    rows = embed(file, words, embedder)
    assert rows[:, 0].tolist() == list(range(5000))
    assert embedder.made == 5000
    rows[4500:] = 0
    rows.flush()
    again = embed(file, words, embedder)
    assert again[:, 0].tolist() == list(range(5000))
    assert embedder.made == 5000 + 5000 - 4096
    facts = described(file, {"docstrings": 5000}, "model", again.shape)
    assert facts["rows"] == 5000
    assert len(facts["sha256"]) == 64
    with pytest.raises(SystemExit, match="remove it"):
        embed(file, words[:10], embedder)
