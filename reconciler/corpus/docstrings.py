"""The documentation strings of this Python's own standard library.

Files are parsed, never imported: no code of the library runs, and nothing
depends on which optional modules were built.
"""

from __future__ import annotations

import ast
import gc
import os
import sysconfig
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.corpus.question import Example, example
from reconciler.corpus.summary import summarise

_NOISE = frozenset(
    {
        "test",
        "tests",
        "idlelib",
        "idle_test",
        "lib2to3",
        "turtledemo",
        "ensurepip",
        "pydoc_data",
        "site-packages",
        "dist-packages",
        "encodings",
        "lib-dynload",
    }
)
"""Directories whose docstrings do not document the library to its users."""

_Scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def python_docstrings(library: Path | None = None) -> list[Example]:
    """All questions that the standard library's docstrings answer.

    Public functions, methods and classes of public modules, in the order of
    their dotted names; the first definition of a name counts.

    Args:
        library: root of a library; by default the running Python's.
    """
    root = library or Path(sysconfig.get_path("stdlib"))
    found: dict[str, str] = {}
    with _uncollected():
        for path in _modules(root):
            module = _module_name(path.relative_to(root))
            for subject, docstring in _documented(path, module):
                answer = summarise(docstring)
                if answer is not None:
                    found.setdefault(subject, answer)
    return [example(subject, found[subject]) for subject in sorted(found)]


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the cycle collector: it would look at each syntax tree.

    They have no cycles, so that memory is given back all the same.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _modules(root: Path) -> list[Path]:
    found = []
    for place, folders, files in os.walk(root):
        # What is beside the public modules (tests, other people's packages)
        # is several times as much, and is not even listed.
        folders[:] = filter(_is_public, folders)
        found += [
            Path(place, name)
            for name in files
            if name.endswith(".py")
            and (name == "__init__.py" or _is_public(name[:-3]))
        ]
    return sorted(found)


def _is_public(name: str) -> bool:
    return (
        name not in _NOISE and not name.startswith("_") and name.isidentifier()
    )


def _module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _documented(path: Path, module: str) -> Iterator[tuple[str, str]]:
    """Subjects with their docstrings; a file that is not Python has none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old escapes in old modules
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return
    yield from _walk(tree, module)


def _walk(
    node: ast.Module | ast.ClassDef, prefix: str
) -> Iterator[tuple[str, str]]:
    for child in node.body:
        if not isinstance(child, _Scope) or child.name.startswith("_"):
            continue
        subject = f"{prefix}.{child.name}" if prefix else child.name
        docstring = ast.get_docstring(child, clean=False)
        if docstring:
            yield subject, docstring
        if isinstance(child, ast.ClassDef):
            yield from _walk(child, subject)
