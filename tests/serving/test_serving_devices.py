from __future__ import annotations

import pytest

from reconciler.serving import devices
from reconciler.serving.devices import (
    DeviceProbe,
    Devices,
    choose,
    parse,
    probe_devices,
)

LAPTOP = Devices(names=("CPU", "GPU.0", "GPU.1", "NPU"))


@pytest.mark.parametrize(
    ("preferences", "device"),
    [
        (("NPU", "CPU"), "NPU"),
        (("GPU", "CPU"), "GPU.0"),
        (("GPU.1",), "GPU.1"),
        (("MYRIAD", "CPU"), "CPU"),
        (("AUTO:NPU,CPU", "CPU"), "CPU"),
        (("AUTO",), None),
        (("GPU.7",), None),
        (("cpu",), None),
    ],
)
def test_the_first_preferred_device_that_is_there(
    preferences: tuple[str, ...], device: str | None
) -> None:
    assert choose(preferences, LAPTOP).device == device


def test_the_reason_names_what_is_there() -> None:
    choice = choose(("NPU", "GPU"), Devices(names=("CPU",)))
    assert choice.device is None
    assert choice.reason == (
        "none of NPU, GPU is available: OpenVINO finds CPU"
    )
    nothing = choose(("NPU",), Devices())
    assert nothing.reason.endswith("OpenVINO finds no device")


def test_a_failed_probe_chooses_nothing_and_says_why() -> None:
    found = Devices(problem="OpenVINO crashed with SIGSEGV")
    assert choose(("CPU",), found).reason == "OpenVINO crashed with SIGSEGV"


def test_chatter_of_libraries_is_passed_over() -> None:
    assert parse("warning\nDEVICES CPU NPU\n").names == ("CPU", "NPU")
    assert parse("DEVICES\n").names == ()
    assert parse("").problem


@pytest.mark.slow
def test_this_machine_has_a_processor() -> None:
    probe = DeviceProbe()
    assert "CPU" in probe.devices().names
    assert probe.choose(("NPU_THAT_IS_NOT", "CPU")).device == "CPU"


def test_a_crash_of_the_probe_is_a_problem(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(devices, "_PROBE", "import os; os.abort()")
    assert "crashed with SIGABRT" in probe_devices().problem
    monkeypatch.setattr(devices, "_PROBE", "while True: pass")
    assert "no answer in 0.2 s" in probe_devices(timeout=0.2).problem


def test_answers_are_kept_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def probe() -> Devices:
        asked.append(1)
        return Devices(names=("CPU",))

    monkeypatch.setattr(devices, "probe_devices", probe)
    kept, stale = DeviceProbe(), DeviceProbe(max_age=0)
    for _ in range(3):
        kept.devices()
    assert len(asked) == 1
    for _ in range(3):
        stale.devices()
    assert len(asked) == 4
