"""Which OpenVINO devices this machine has, and which one to use.

The list comes from a child process: plugins load drivers, and a broken
driver must not take the controller with it. A device string is always one
concrete device. AUTO is never used: it fails where a plugin cannot load, and
it may answer from another device than the one that was validated.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from reconciler.serving.canary import child_environment, describe_exit

PROBE_SECONDS = 30.0
MAX_AGE_SECONDS = 300.0
MAX_AGE_AFTER_FAILURE_SECONDS = 15.0

_PROBE = """
import openvino
print("DEVICES", *openvino.Core().available_devices)
"""


@dataclass(frozen=True)
class Devices:
    """What a probe found."""

    names: tuple[str, ...] = ()
    """As OpenVINO calls them: CPU, GPU.0, NPU."""

    problem: str = ""
    """Why nothing could be found out."""


@dataclass(frozen=True)
class Choice:
    """The device to use, or why there is none."""

    device: str | None
    reason: str


@dataclass
class DeviceProbe:
    """Asks OpenVINO for devices, seldom.

    Args:
        max_age: seconds for which an answer is taken for current.
    """

    max_age: float = MAX_AGE_SECONDS
    _found: Devices | None = field(init=False, default=None)
    _until: float = field(init=False, default=0.0)

    def devices(self) -> Devices:
        """The devices; runs a child process for about a second if stale."""
        now = time.monotonic()
        if self._found is None or now >= self._until:
            self._found = probe_devices()
            age = self.max_age
            if self._found.problem:
                age = min(age, MAX_AGE_AFTER_FAILURE_SECONDS)
            self._until = time.monotonic() + age
        return self._found

    def choose(self, preferences: Sequence[str]) -> Choice:
        """The first preferred device that this machine has."""
        return choose(preferences, self.devices())


def probe_devices(timeout: float = PROBE_SECONDS) -> Devices:
    """Ask OpenVINO in a child process."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE],
            capture_output=True,
            timeout=timeout,
            check=False,
            env=child_environment(),
        )
    except subprocess.TimeoutExpired:
        return Devices(problem=f"OpenVINO gave no answer in {timeout:g} s")
    if done.returncode != 0:
        problem = describe_exit(done.returncode, done.stderr)
        return Devices(problem=problem.replace("the model", "OpenVINO"))
    return parse(done.stdout.decode(errors="replace"))


def parse(output: str) -> Devices:
    """Read what the child printed; other lines are a library's chatter."""
    for line in output.splitlines():
        if line.startswith("DEVICES"):
            return Devices(names=tuple(line.split()[1:]))
    return Devices(problem="OpenVINO did not list its devices")


def choose(preferences: Sequence[str], devices: Devices) -> Choice:
    """The first preferred device that is there. Pure.

    GPU stands for the first GPU. Combinations such as AUTO:NPU,CPU are not
    devices and never match.
    """
    if devices.problem:
        return Choice(None, devices.problem)
    for wanted in preferences:
        for name in devices.names:
            if name == wanted or name.partition(".")[0] == wanted:
                why = f"{name} is the first of {_list(preferences)} here"
                return Choice(name, why)
    return Choice(
        None,
        f"none of {_list(preferences)} is available: OpenVINO finds "
        f"{_list(devices.names)}",
    )


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) or "no device"
