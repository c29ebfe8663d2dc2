"""`reconciler demo`: the loop, or GitOps, on this machine and live."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from reconciler.cli.errors import CommandError

DEFAULT_STATE = Path(".demo")
ROLLBACK_SECONDS = 10.0


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "demo",
        help="see the whole loop on this machine, in minutes",
        description="loop: trains a small model on the documentation of this "
        "Python, serves it, learns from feedback, promotes what is better, "
        "rejects what is worse, and rolls back with git revert. Everything "
        "is real and stays below the state directory (default: .demo), which "
        "is made anew. gitops: bootstraps a Git repository, and shows a "
        "commit, drift, a refused commit, a guarded prune, promotions that "
        "are written back, and a revert (default state: .demo-gitops). Exit "
        "code 1 if anything was not observed.",
    )
    parser.add_argument(
        "what",
        nargs="?",
        choices=("loop", "gitops"),
        default="loop",
        help="which one (default: loop)",
    )
    parser.add_argument(
        "--example", type=Path, help="config to use (from examples/)"
    )
    parser.add_argument(
        "--rows", type=int, default=400, help="judgements per round (400)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Play the demo."""
    if arguments.what == "gitops":
        return _gitops(arguments)
    return _loop(arguments)


def _gitops(arguments: argparse.Namespace) -> int:
    from reconciler.cli.demo import gitops

    state = arguments.state or gitops.DEFAULT_STATE
    example = arguments.example or _example(gitops.EXAMPLE)
    return gitops.play(Path(state), example)


def _loop(arguments: argparse.Namespace) -> int:
    from reconciler.cli.demo.operator import Operator, clean
    from reconciler.cli.demo.screen import Screen
    from reconciler.cli.demo.story import Story, how_to_go_on
    from reconciler.cli.session import Session
    from reconciler.engine.paths import StateDirectory

    example = arguments.example or _example("quickstart")
    root = Path(arguments.state) if arguments.state else DEFAULT_STATE
    state = StateDirectory(root.resolve())
    screen = Screen()
    screen.step(1, "Embedded control plane, CRDs, controllers")
    clean(state)
    operator = Operator(state)
    try:
        seconds = operator.start()
        screen.say(
            f"ready after {seconds:.1f} s, KUBECONFIG={state.kubeconfig}"
        )
        with Session(state.kubeconfig) as session:
            story = Story(
                state, example, arguments.rows, screen, operator, session
            )
            outcome = story.play()
    finally:
        operator.stop()
    screen.console.print("\n[bold]Go on[/bold]")
    for line in how_to_go_on(state):
        screen.say(line)
    slow = outcome.rollback_seconds >= ROLLBACK_SECONDS
    return 1 if outcome.failed_requests or slow else 0


def _example(name: str) -> Path:
    root = Path(__file__).resolve().parents[3]
    example = root / "examples" / name
    if not example.is_dir():
        msg = (
            f"examples/{name} is part of a checkout of the project; "
            "name another folder with --example"
        )
        raise CommandError(msg, code=2)
    return example
