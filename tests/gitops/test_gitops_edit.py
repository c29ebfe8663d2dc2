"""Pinning a generation changes one line and nothing else."""

from __future__ import annotations

import difflib

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from reconciler.gitops.documents import documents
from reconciler.gitops.edit import EditError, ModelName, pin

DOCS = ModelName("default", "docs", "default")

FILE = """\
# Our assistant.   Two  spaces stay.
apiVersion: reconciler.dev/v1alpha1
kind: EvaluationSuite
metadata: { name: 'suite' , labels: {a: "b"} }
spec:
    odd:   indentation
---
kind:   Model   # order and blanks are kept
apiVersion: "reconciler.dev/v1alpha1"
metadata:
    name: docs

spec:
    # Which one serves; written by the reconciler.
    generation: docs-1 # pinned
    suiteRef: {name: suite}
    list:
    - a
    -   b
    text: >-
      a long line that a dumper would fold in another place than   this one
...
"""


def changed_lines(before: str, after: str) -> tuple[list[str], list[str]]:
    found = list(
        difflib.ndiff(
            before.splitlines(keepends=True), after.splitlines(keepends=True)
        )
    )
    return (
        [line[2:] for line in found if line.startswith("- ")],
        [line[2:] for line in found if line.startswith("+ ")],
    )


def edit(text: str, generation: str = "docs-2") -> str:
    return pin("f.yaml", text.encode(), DOCS, generation).decode()


def test_only_that_line_changes() -> None:
    old, new = changed_lines(FILE, edit(FILE))
    assert old == ["    generation: docs-1 # pinned\n"]
    assert new == ["    generation: docs-2 # pinned\n"]


def test_absent_field_becomes_one_more_line() -> None:
    text = FILE.replace("    generation: docs-1 # pinned\n", "")
    old, new = changed_lines(text, edit(text))
    assert old == []
    assert new == ["    generation: docs-2\n"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("generation: 'docs-1'", "generation: 'docs-2'"),
        ('generation: "docs-1"  #x', 'generation: "docs-2"  #x'),
        ("generation:", "generation: docs-2"),
        ("generation: # none", "generation: docs-2 # none"),
        ("generation: null", "generation: docs-2"),
        ("generation: ~", "generation: docs-2"),
        ("'generation' : docs-1", "'generation' : docs-2"),
        ("generation: >-\n      docs-1", "generation: docs-2"),
    ],
)
def test_ways_to_write_the_value(before: str, after: str) -> None:
    text = FILE.replace("generation: docs-1 # pinned", before)
    wanted = FILE.replace("generation: docs-1 # pinned", after)
    assert edit(text).split() == wanted.split()


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ("{}", "{generation: docs-2}"),
        ("{a: 1}", "{generation: docs-2, a: 1}"),
        ('{"a": 1}', '{"generation": "docs-2", "a": 1}'),
        ("{a: 1, generation: x}", "{a: 1, generation: docs-2}"),
    ],
)
def test_flow_style(spec: str, wanted: str) -> None:
    head = "apiVersion: reconciler.dev/v1\nkind: Model\nmetadata: {name: docs}"
    assert edit(f"{head}\nspec: {spec}\n") == f"{head}\nspec: {wanted}\n"


def test_json_stays_json() -> None:
    text = (
        '{"apiVersion": "reconciler.dev/v1", "kind": "Model",\n'
        ' "metadata": {"name": "docs"},\n "spec": {"generation": "docs-1"}}\n'
    )
    assert edit(text) == text.replace("docs-1", "docs-2")


def test_windows_lines_and_byte_order_mark_stay() -> None:
    data = b"\xef\xbb\xbf" + FILE.replace("\n", "\r\n").encode()
    found = pin("f.yaml", data, DOCS, "docs-2")
    assert found == data.replace(b"docs-1", b"docs-2")


@pytest.mark.parametrize("name", ["1", "1e3", "null", "0x1f", "true"])
def test_names_that_look_like_numbers_are_quoted(name: str) -> None:
    found = documents("f.yaml", edit(FILE, name).encode())
    assert found[1].value["spec"]["generation"] == name


@pytest.mark.parametrize(
    "text",
    [
        FILE.replace("name: docs", "name: other"),
        FILE.replace("docs-1", "&g docs-1").replace(
            "list:", "again: *g\n    list:"
        ),
        FILE.replace("generation: docs-1", "generation: [docs-1]"),
    ],
)
def test_what_cannot_be_done_in_one_place_is_refused(text: str) -> None:
    with pytest.raises(EditError):
        edit(text)


def test_alias_elsewhere_is_never_changed_with_it() -> None:
    text = FILE.replace("odd:   indentation", "odd: &g docs-1").replace(
        "generation: docs-1", "generation: *g"
    )
    first, second = text.split("---\n")
    joined = f"{first}---\n{second}"
    with pytest.raises(Exception, match=r"alias|side effects"):
        edit(joined)


names = st.from_regex(r"\A[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?\Z")


@settings(deadline=None)
@given(names, names, st.text("# \tabc:'\"", max_size=12))
def test_any_generation_and_comment(old: str, new: str, tail: str) -> None:
    line = f"generation: '{old}' #{tail}\n"
    text = FILE.replace("generation: docs-1 # pinned\n", line)
    assume(old != new)
    before, after = changed_lines(text, edit(text, new))
    assert before == [f"    {line}"]
    assert after == [f"    generation: '{new}' #{tail}\n"]
