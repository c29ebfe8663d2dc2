import subprocess
import sys
import time
from pathlib import Path

import pytest

from reconciler.corpus import python_docstrings

SOURCE = '''
"""The module itself is not asked about."""
raise SystemExit("this module was imported")

def shown(a):
    """Return what was shown before."""

def _hidden():
    """Return what was hidden before."""

def undocumented(): ...

class Box:
    """A box that holds things."""

    def open(self):
        """Open the box and look."""

    async def close(self):
        """Close the box for good."""

    def __len__(self):
        """Return how many things are inside."""

def shown():
    """Return the second definition instead."""
'''


@pytest.fixture
def library(tmp_path: Path) -> Path:
    files = {
        "pack/__init__.py": SOURCE,
        "pack/mod.py": SOURCE,
        "_private.py": SOURCE,
        "test/test_pack.py": SOURCE,
        "site-packages/other.py": SOURCE,
        "broken.py": "def (:",
        "nul.py": "x = '\0'",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_public_names_are_found_without_importing(library: Path) -> None:
    found = python_docstrings(library)

    assert [e.subject for e in found] == [
        "pack.Box",
        "pack.Box.close",
        "pack.Box.open",
        "pack.mod.Box",
        "pack.mod.Box.close",
        "pack.mod.Box.open",
        "pack.mod.shown",
        "pack.shown",
    ]
    assert found[-1].answer == "Return what was shown before."


def test_an_empty_library_has_no_examples(tmp_path: Path) -> None:
    assert python_docstrings(tmp_path) == []


def test_the_real_library_is_read_quickly_and_always_the_same() -> None:
    start = time.process_time()
    first = python_docstrings()
    seconds = time.process_time() - start

    assert first == python_docstrings()
    assert seconds < 6
    assert len(first) > 3000
    assert {"json.dumps", "re.search"} <= {e.subject for e in first}
    assert not [e for e in first if "._" in e.subject]
    assert sum(e.split == "heldout" for e in first) >= 300


def test_nothing_but_the_standard_library_is_imported() -> None:
    code = (
        "import sys, reconciler.corpus;"
        "print(sorted({m.split('.')[0] for m in sys.modules}"
        " - set(sys.stdlib_module_names) - {'reconciler', '__main__'}))"
    )

    # -S: no site packages, so that nothing else can have imported them.
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "[]"
