"""OpenVINO's tools report their use to a server on the internet, unasked.

Each conversion would start a process for that and leave an identifier in the
user's home. Nothing here may talk to the outside unless a user said so.
"""

from __future__ import annotations

import sys

_REPORTER = "openvino_telemetry"


class TelemetryError(RuntimeError):
    """The reporting module was imported before it could be kept out."""


def refuse() -> None:
    """Keep the reporting module from being imported in this process.

    A None in ``sys.modules`` makes an import fail; the tools then use the
    stub that they bring for installations without the module. To be called
    before openvino is imported.

    Raises:
        TelemetryError: it is too late.
    """
    if sys.modules.get(_REPORTER) is not None:
        msg = f"{_REPORTER} is imported already"
        raise TelemetryError(msg)
    sys.modules[_REPORTER] = None  # type: ignore[assignment]


def refuse_if_early() -> None:
    """The same where openvino may have been imported already."""
    if "openvino" not in sys.modules:
        refuse()
