from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.engine.plan import Action
from reconciler.serving.deployment import Deployment, wanted_version
from reconciler.serving.deployment_plan import (
    Ask,
    Seen,
    StartServer,
    Withdraw,
    plan_deployment,
)
from reconciler.serving.documents import Desired, Observed, State
from reconciler.serving.process import ServerProcess


def desired(generation: str = "m-1", device: str = "CPU") -> Desired:
    return Desired(
        model="m",
        path=f"/data/{generation}",
        generation=generation,
        digest=f"sha256:{generation}",
        device=device,
    )


def observed(about: Desired, state: State, message: str = "") -> Observed:
    return Observed(
        model=about.model,
        generation=about.generation,
        digest=about.digest,
        device=about.device,
        state=state,
        message=message,
        since="2026-11-25T00:00:00Z",
    )


WANTED = desired()


def test_from_nothing_the_server_is_started_and_asked() -> None:
    plan = plan_deployment("m", WANTED, Seen(alive=False))
    assert [type(a) for a in plan.actions] == [StartServer, Ask]
    assert plan.progress == "Pending"
    described = [a.describe() for a in plan.actions]
    assert described == ["start the serving process", "serve m-1 of m"]


def test_what_was_said_of_another_version_does_not_count() -> None:
    for other in (desired("m-2"), desired("m-1", "GPU.0")):
        seen = Seen(
            alive=True, asked=WANTED, observed=observed(other, "Serving")
        )
        plan = plan_deployment("m", WANTED, seen)
        assert (plan.progress, plan.actions) == ("Loading", ())


@pytest.mark.parametrize("state", ["Loading", "Serving", "Failed"])
def test_what_the_server_says_is_passed_on(state: State) -> None:
    seen = Seen(
        alive=True, asked=WANTED, observed=observed(WANTED, state, "why")
    )
    plan = plan_deployment("m", WANTED, seen)
    assert (plan.progress, plan.message) == (state, "why")
    assert plan.actions == ()


def test_a_dead_server_is_started_though_it_once_said_serving() -> None:
    seen = Seen(
        alive=False, asked=WANTED, observed=observed(WANTED, "Serving")
    )
    plan = plan_deployment("m", WANTED, seen)
    assert [type(a) for a in plan.actions] == [StartServer]
    assert plan.progress == "Pending"


def test_withdrawing_starts_no_server() -> None:
    plan = plan_deployment("m", None, Seen(alive=False, asked=WANTED))
    assert [type(a) for a in plan.actions] == [Withdraw]
    assert plan_deployment("m", None, Seen(alive=False)).progress == "Absent"


VERSIONS = st.sampled_from(
    [desired("m-1"), desired("m-2"), desired("m-2", "GPU.0")]
)
STATES = st.sampled_from(["Loading", "Serving", "Failed"])
SEEN = st.builds(
    Seen,
    alive=st.booleans(),
    asked=st.none() | VERSIONS,
    observed=st.none() | st.builds(observed, VERSIONS, STATES),
)


@given(wanted=st.none() | VERSIONS, seen=SEEN, works=st.booleans())
def test_carrying_out_a_plan_leads_to_an_empty_plan(
    wanted: Desired | None, seen: Seen, works: bool
) -> None:
    plan = plan_deployment("m", wanted, seen)
    for action in plan.actions:
        seen = effect(action, seen)
    assert plan_deployment("m", wanted, seen).actions == ()
    seen = server_acts(seen, works)
    plan = plan_deployment("m", wanted, seen)
    assert plan.actions == ()
    if wanted is None:
        assert plan.progress == "Absent"
    else:
        assert plan.progress == ("Serving" if works else "Failed")


@given(wanted=st.none() | VERSIONS, seen=SEEN)
def test_the_same_state_gives_the_same_keys(
    wanted: Desired | None, seen: Seen
) -> None:
    plans = [plan_deployment("m", wanted, seen) for _ in range(2)]
    assert plans[0] == plans[1]


def effect(action: Action, seen: Seen) -> Seen:
    if isinstance(action, StartServer):
        return replace(seen, alive=True)
    if isinstance(action, Ask):
        return replace(seen, asked=action.desired)
    assert isinstance(action, Withdraw)
    return replace(seen, asked=None)


def server_acts(seen: Seen, works: bool) -> Seen:
    """What a live serving process does with what it is asked for."""
    if not seen.alive:
        return seen
    if seen.asked is None:
        return replace(seen, observed=None)
    state: State = "Serving" if works else "Failed"
    return replace(seen, observed=observed(seen.asked, state))


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(ServerProcess(tmp_path / "serving"))


def test_asking_and_withdrawing_are_idempotent(
    deployment: Deployment, tmp_path: Path
) -> None:
    (tmp_path / "m-1").mkdir()
    (tmp_path / "current").symlink_to("m-1")
    for _ in range(2):
        wanted = deployment.desired(
            "m", tmp_path / "current", "m-1", "sha256:x", "CPU"
        )
    assert wanted.path == str(tmp_path.resolve() / "m-1")
    assert deployment.seen("m") == Seen(alive=False, asked=wanted)
    for _ in range(2):
        deployment.withdraw("m")
    assert deployment.seen("m") == Seen(alive=False)
    assert deployment.observed("m") is None


def test_a_version_that_does_not_exist_cannot_be_asked_for(
    deployment: Deployment, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError):
        deployment.desired("m", tmp_path / "no", "m-1", "sha256:x", "CPU")


def test_actions_are_carried_out(
    deployment: Deployment, tmp_path: Path
) -> None:
    wanted = wanted_version("m", tmp_path, "m-1", "sha256:x", "CPU")
    deployment.carry_out(Ask("k", wanted))
    assert deployment.seen("m").asked == wanted
    deployment.carry_out(Withdraw("k", "m"))
    assert deployment.seen("m").asked is None
    with pytest.raises(TypeError, match="Action k"):
        deployment.carry_out(Action("k"))
