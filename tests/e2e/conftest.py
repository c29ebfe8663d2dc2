import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def up(tmp_path):
    from operating import Up, end_everything, processes_of

    from reconciler.engine.paths import StateDirectory

    operator = Up(StateDirectory(tmp_path / "state"))
    try:
        yield operator
        operator.stop()
        left = processes_of(operator.state.root)
        assert left == [], f"left running: {left}"
    finally:
        end_everything(operator.state.root)
