"""The commands that look after a state directory."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def add_parsers(
    commands: Any, add_state: Callable[[argparse.ArgumentParser], None]
) -> None:
    """Declare check, compact, backup and restore."""
    check = commands.add_parser(
        "check",
        help="examine the database; exit code 1 if something is wrong",
        description="Reads everything, changes nothing. A server may run.",
    )
    add_state(check)
    check.add_argument(
        "-o", "--output", choices=("text", "json"), default="text"
    )
    check.set_defaults(run=_check)
    compact = commands.add_parser(
        "compact",
        help="forget the watch history and give disk space back",
        description="The server must not run. Watchers list again.",
    )
    add_state(compact)
    compact.set_defaults(run=_compact)
    backup = commands.add_parser(
        "backup",
        help="save everything to one file, also from a running server",
        description="Saves objects, certificates, tokens and keys to one "
        "file. Whoever has it is the administrator of this control plane.",
    )
    add_state(backup)
    backup.add_argument("file", type=Path, metavar="FILE")
    backup.set_defaults(run=_backup)
    restore = commands.add_parser(
        "restore",
        help="fill a state directory from a backup",
        description="The backup is verified first. Resource versions go on "
        "beyond all that were given out; watchers list again.",
    )
    add_state(restore)
    restore.add_argument("file", type=Path, metavar="FILE")
    restore.add_argument(
        "--replace",
        action="store_true",
        help="move what is in the directory aside first",
    )
    restore.set_defaults(run=_restore)


def _check(options: argparse.Namespace) -> int:
    from reconciler.controlplane.upkeep.checking import check

    path = options.state / "objects.sqlite3"
    findings = check(path)
    if options.output == "json":
        listed = [dataclasses.asdict(finding) for finding in findings]
        sys.stdout.write(json.dumps({"findings": listed}) + "\n")
    else:
        for finding in findings:
            sys.stdout.write(f"{finding.where}: {finding.problem}\n")
        if not findings:
            sys.stdout.write(f"{path}: nothing wrong\n")
    return 1 if findings else 0


def _compact(options: argparse.Namespace) -> int:
    from reconciler.controlplane.upkeep.compacting import compact

    done = compact(options.state)
    sys.stdout.write(
        f"{done.revisions} revisions forgotten, {done.before:,} bytes before, "
        f"{done.after:,} after\n"
    )
    return 0


def _backup(options: argparse.Namespace) -> int:
    from reconciler.controlplane.upkeep.backup import backup

    done = backup(options.state, options.file)
    sys.stdout.write(
        f"{options.file}: {done.objects} objects at resource version "
        f"{done.revision}, {done.bytes:,} bytes\n"
    )
    return 0


def _restore(options: argparse.Namespace) -> int:
    from reconciler.controlplane.upkeep.restore import restore

    done = restore(options.file, options.state, replace=options.replace)
    if done.moved is not None:
        sys.stdout.write(f"the former content is in {done.moved}\n")
    sys.stdout.write(
        f"{options.state}: {done.objects} objects; resource versions go on "
        f"from {done.revision}\n"
    )
    return 0
