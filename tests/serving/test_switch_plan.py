from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.serving.switch_plan import (
    FIRST_RETRY_SECONDS,
    MAX_RETRY_SECONDS,
    Slots,
    Version,
    failed,
    next_step,
    switched,
)


def version(name: str) -> Version:
    return Version(name, f"sha256:{name}", "CPU", f"/data/{name}")


A, B, C = version("a"), version("b"), version("c")


def test_nothing_asked_for_means_unload() -> None:
    assert next_step(None, Slots(current=A), 0) == "Unload"


def test_the_version_that_serves_is_kept() -> None:
    assert next_step(A, Slots(current=A, previous=B), 0) == "Keep"


def test_a_warm_version_is_switched_back_to_without_loading() -> None:
    assert next_step(B, Slots(current=A, previous=B), 0) == "SwitchBack"


def test_another_device_or_digest_is_another_version() -> None:
    moved = Version("a", A.digest, "GPU.0", A.path)
    changed = Version("a", "sha256:other", "CPU", A.path)
    assert next_step(moved, Slots(current=A), 0) == "Load"
    assert next_step(changed, Slots(current=A), 0) == "Load"


def test_what_failed_waits_and_is_tried_again() -> None:
    slots = failed(Slots(current=A), B, "broken", now=100)
    assert slots.current == A
    assert next_step(B, slots, 100 + FIRST_RETRY_SECONDS - 1) == "Wait"
    assert next_step(B, slots, 100 + FIRST_RETRY_SECONDS) == "Load"
    assert next_step(C, slots, 101) == "Load"
    assert next_step(A, slots, 101) == "Keep"


def test_tries_grow_rarer_up_to_a_bound() -> None:
    slots, now, delays = Slots(), 0.0, []
    for _ in range(8):
        slots = failed(slots, B, "broken", now)
        assert slots.failure is not None
        delays.append(slots.failure.retry_at - now)
        now = slots.failure.retry_at
    assert delays[:3] == [30, 60, 120]
    assert delays == sorted(delays)
    assert delays[-1] == MAX_RETRY_SECONDS


def test_another_failure_starts_counting_anew() -> None:
    slots = failed(failed(Slots(), B, "x", 0), C, "y", 0)
    assert slots.failure is not None
    assert (slots.failure.version, slots.failure.attempts) == (C, 1)


def test_switching_keeps_exactly_one_previous_version() -> None:
    slots = switched(switched(switched(Slots(), A), B), C)
    assert slots == Slots(current=C, previous=B)


VERSIONS = st.sampled_from([A, B, C])
MAYBE = st.none() | VERSIONS


@given(
    wanted=MAYBE,
    current=MAYBE,
    previous=MAYBE,
    broken=st.frozensets(VERSIONS),
    now=st.floats(0, 1e6),
)
def test_carrying_out_the_steps_leads_to_rest(
    wanted: Version | None,
    current: Version | None,
    previous: Version | None,
    broken: frozenset[Version],
    now: float,
) -> None:
    slots = Slots(current, previous if previous != current else None)
    for _ in range(3):
        step = next_step(wanted, slots, now)
        if step in ("Keep", "Wait"):
            break
        before = slots
        slots = carry_out(step, wanted, slots, broken, now)
        if wanted is not None:
            assert slots.current in (wanted, before.current)
        if step == "Unload":
            assert slots == Slots()
            return
    else:
        raise AssertionError("no rest after three steps")
    if wanted in broken and wanted not in (current, previous):
        assert slots.current == current  # the old one goes on to serve
    else:
        assert slots.current == wanted


def carry_out(
    step: str,
    wanted: Version | None,
    slots: Slots,
    broken: frozenset[Version],
    now: float,
) -> Slots:
    if wanted is None or step == "Unload":
        return Slots()
    if step == "Load" and wanted in broken:
        return failed(slots, wanted, "broken", now)
    return switched(slots, wanted)
