from __future__ import annotations

import subprocess
import sys

import pytest

import reconciler.retrieval


def test_the_package_alone_does_not_import_numpy() -> None:
    code = "import sys, reconciler.retrieval; print('numpy' in sys.modules)"
    process = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    assert process.stdout.strip() == "False"


def test_every_public_name_is_there() -> None:
    for name in reconciler.retrieval.__all__:
        assert getattr(reconciler.retrieval, name).__name__ == name
    with pytest.raises(AttributeError, match="nothing"):
        _ = reconciler.retrieval.nothing
