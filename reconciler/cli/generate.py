"""`reconciler generate`: ask the model that serves."""

from __future__ import annotations

import argparse
from typing import Any

from reconciler.cli.errors import CommandError
from reconciler.cli.session import Session, kubeconfig_of
from reconciler.generations.resource import Model


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "generate",
        help="ask a model that serves",
        description="Sends the prompt to the production generation of MODEL. "
        'For example: reconciler generate docs-assistant "What does '
        'json.dumps do?"',
    )
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("prompt", metavar="PROMPT")
    parser.add_argument(
        "--max-tokens", type=int, default=40, help="longest answer (40)"
    )
    parser.add_argument(
        "--temperature", type=float, default=0.0, help="0 is greedy (0)"
    )
    parser.add_argument("--seed", type=int, help="for temperatures above 0")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the answer."""
    from reconciler.serving.client import CompletionError, complete

    with Session(
        kubeconfig_of(arguments.kubeconfig, arguments.state)
    ) as session:
        model = session.find(Model, arguments.namespace, arguments.model)
    if model is None:
        msg = f"Model {arguments.model} does not exist"
        raise CommandError(msg)
    if model.status.endpoint is None or model.status.production is None:
        msg = f"no generation of {arguments.model} serves yet"
        raise CommandError(msg)
    try:
        answer = complete(
            model.status.endpoint,
            arguments.model,
            arguments.prompt,
            max_tokens=arguments.max_tokens,
            temperature=arguments.temperature,
            seed=arguments.seed,
        )
    except CompletionError as error:
        raise CommandError(str(error)) from error
    print(answer.strip())
    return 0
