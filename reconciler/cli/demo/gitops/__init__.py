"""`reconciler demo gitops`: a fleet in Git, played live on one screen."""

from __future__ import annotations

from pathlib import Path

from reconciler.cli.errors import CommandError
from reconciler.engine.paths import StateDirectory

DEFAULT_STATE = Path(".demo-gitops")
EXAMPLE = "demo-gitops"


def play(root: Path, example: Path) -> int:
    """Play it below a state directory that is made anew.

    Raises:
        CommandError: a step was not observed in time.
    """
    from reconciler.cli.demo.gitops.lines import Lines
    from reconciler.cli.demo.gitops.story import Story
    from reconciler.cli.demo.operator import Operator, clean
    from reconciler.cli.demo.screen import Screen
    from reconciler.cli.session import Session

    if not (example / "model.yaml").is_file():
        msg = f"{example} has no model.yaml"
        raise CommandError(msg, code=2)
    state = StateDirectory(root.resolve())
    lines = Lines(Screen(quiet=True))
    clean(state)
    operator = Operator(state)
    try:
        with lines.step("start"):
            operator.start()
            lines.tell("embedded API server and controllers are up")
        with Session(state.kubeconfig) as session:
            Story(state, example, lines, operator, session).play()
    finally:
        operator.stop()
    lines.say(
        f"{lines.steps} steps observed in {lines.screen.seconds:.0f} s. Go "
        f"on: reconciler --state {root} up",
        indent=0,
    )
    return 0
