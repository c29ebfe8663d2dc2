"""A ConfigRepository for a URL or a directory given on the command line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from reconciler.cli.errors import CommandError
from reconciler.engine.resource import API_VERSION

URL = re.compile(r"^(https?|ssh|file)://")


def repository_body(
    where: str, namespace: str, name: str = "config"
) -> dict[str, Any]:
    """The object to apply.

    Raises:
        CommandError: `where` is neither a URL nor a directory.
    """
    spec: dict[str, Any] = {"targetNamespace": namespace}
    if URL.match(where):
        spec["git"] = {"url": where}
    elif Path(where).is_dir():
        spec["directory"] = {"path": str(Path(where).resolve())}
    else:
        msg = (
            f"{where}: neither a https://, ssh:// or file:// URL nor a folder"
        )
        raise CommandError(msg, code=2)
    return {
        "apiVersion": API_VERSION,
        "kind": "ConfigRepository",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
