"""`reconciler completion`: scripts for bash and zsh."""

from __future__ import annotations

import argparse
from typing import Any

from reconciler.cli.kinds import KINDS

BASH = """\
_reconciler() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} i command=
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${{COMP_WORDS[i]}} in
            --state|--kubeconfig|-n|--namespace) ((i++)) ;;
            -*) ;;
            *) command=${{COMP_WORDS[i]}}; break ;;
        esac
    done
    case $command in
        "") COMPREPLY=($(compgen -W "{commands} --state --kubeconfig \\
            --namespace --help --version" -- "$word")) ;;
        get|reconcile|suspend|resume)
            COMPREPLY=($(compgen -W "{kinds}" -- "$word")) ;;
        *) COMPREPLY=($(compgen -f -- "$word")) ;;
    esac
}}
complete -F _reconciler reconciler
"""
ZSH = "autoload -U +X bashcompinit && bashcompinit\n"


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "completion",
        help="print a shell completion script",
        description="For bash: source <(reconciler completion bash)",
    )
    parser.add_argument("shell", choices=("bash", "zsh"))
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the script."""
    from reconciler.cli.main import parser

    names = sorted(_commands(parser()))
    kinds = [k.definition.short for k in KINDS] + ["reconciler"]
    script = BASH.format(commands=" ".join(names), kinds=" ".join(kinds))
    print((ZSH if arguments.shell == "zsh" else "") + script, end="")
    return 0


def _commands(root: argparse.ArgumentParser) -> list[str]:
    for action in root._actions:  # noqa: SLF001 - argparse shows them nowhere
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            return list(action.choices)
    return []
