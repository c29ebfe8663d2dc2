from __future__ import annotations

from dataclasses import replace

from generation_objects import NOW, generation, model, passed, rejected
from hypothesis import given
from hypothesis import strategies as st

from reconciler.engine import conditions
from reconciler.engine.resource import ANNOTATIONS
from reconciler.generations.model_actions import (
    Activate,
    Deploy,
    EnsureServer,
    Hold,
    Release,
    StoreGeneration,
    Undeploy,
    slot,
)
from reconciler.generations.model_plan import (
    CHECK_SECONDS,
    POLL_SECONDS,
    Observed,
    Served,
    choose,
    plan,
)
from reconciler.generations.resource import RefusedGeneration

BLANK = Observed(device="CPU")


def ready(outcome):
    return conditions.find(outcome.status.conditions, "Ready")


def apply(observed: Observed, action) -> Observed:
    """The world after an action, with a server that loads at once."""
    match action:
        case StoreGeneration(generation=name, digest=digest):
            return replace(
                observed, stored=observed.stored | {slot(name, digest)}
            )
        case EnsureServer():
            return replace(observed, server_alive=True, endpoint="http://x")
        case Deploy(generation=name, digest=digest, device=device):
            served = Served(name, digest, device, "Serving")
            asked = (name, digest, device)
            return replace(observed, wanted=asked, served=served)
        case Activate(slot=name):
            return replace(observed, pointer=name)
        case Hold(slot=name):
            return replace(observed, held=observed.held | {name})
        case Release(slot=name):
            return replace(observed, held=observed.held - {name})
    raise AssertionError(action)


def settle(desired, observed):
    """Apply plans until there is nothing to do; returns the end."""
    done = []
    for _ in range(40):
        outcome = plan(desired, observed, NOW)
        desired = desired.model_copy(update={"status": outcome.status})
        if not outcome.actions and outcome.requeue_after != POLL_SECONDS:
            return desired, observed, done
        for action in outcome.actions:
            observed = apply(observed, action)
            done.append(action)
    raise AssertionError(done)


def test_without_a_generation_it_waits() -> None:
    outcome = plan(model(), BLANK, NOW)
    assert outcome.actions == ()
    assert ready(outcome).reason == "NoGeneration"


def test_the_first_generation_is_promoted_in_order() -> None:
    observed = replace(BLANK, generations=[passed(1)])
    desired, observed, done = settle(model(), observed)
    assert [type(a) for a in done] == [
        StoreGeneration,
        EnsureServer,
        Deploy,
        Activate,
        Hold,
    ]
    status = desired.status
    assert status.production.generation == "m-1"
    assert status.promotion.state == "Pending"
    assert conditions.is_true(status.conditions, "Ready", 1)


def test_the_old_one_is_production_until_the_new_one_answers() -> None:
    desired, observed, _ = settle(
        model(), replace(BLANK, generations=[passed(1)])
    )
    observed = replace(observed, generations=[passed(1), passed(2)])
    loading = replace(
        observed,
        stored=observed.stored | {slot("m-2", "sha256:ir2")},
        wanted=("m-2", "sha256:ir2", "CPU"),
        served=Served("m-2", "sha256:ir2", "CPU", "Loading"),
    )
    outcome = plan(desired, loading, NOW)
    assert outcome.actions == ()
    assert outcome.requeue_after is not None
    assert outcome.status.production.generation == "m-1"
    assert ready(outcome).reason == "Promoting"
    assert ready(outcome).status == "False"


def test_a_rejected_generation_changes_nothing() -> None:
    desired, observed, _ = settle(
        model(), replace(BLANK, generations=[passed(1)])
    )
    observed = replace(observed, generations=[passed(1), rejected(2)])
    outcome = plan(desired, observed, NOW)
    assert outcome.actions == ()
    assert outcome.status.production.generation == "m-1"
    assert outcome.status.lineage_summary == "[1] > x2"


def promoted_to_two(pin):
    generations = [passed(1, "t"), passed(2, "t")]
    desired, observed, _ = settle(
        model(), replace(BLANK, generations=generations[:1])
    )
    observed = replace(observed, generations=generations)
    desired, observed, _ = settle(desired, observed)
    spec = desired.spec.model_copy(update={"generation": pin})
    return desired.model_copy(update={"spec": spec}), observed


def test_write_back_and_then_a_revert_roll_back() -> None:
    written, observed = promoted_to_two("m-2")
    written, observed, done = settle(written, observed)
    assert done == []
    assert written.status.promotion.state == "Recorded"
    spec = written.spec.model_copy(update={"generation": "m-1"})
    reverted = written.model_copy(update={"spec": spec})
    first = plan(reverted, observed, NOW)
    assert ready(first).reason == "RollingBack"
    rolled, observed, done = settle(reverted, observed)
    assert [type(a) for a in done] == [Deploy, Activate]
    assert rolled.status.production.generation == "m-1"
    assert rolled.status.previous.generation == "m-2"
    again = plan(rolled, observed, NOW)
    assert again.actions == ()
    assert again.requeue_after == CHECK_SECONDS
    assert again.status.production.generation == "m-1"


def test_removing_the_pin_by_a_revert_rolls_back_to_nothing_new() -> None:
    """The first promotion's revert leaves no pin: the newest stays."""
    written, observed = promoted_to_two("m-2")
    written, observed, _ = settle(written, observed)
    spec = written.spec.model_copy(update={"generation": None})
    unpinned = written.model_copy(update={"spec": spec})
    assert choose(unpinned, observed.generations) == "m-2"


def test_a_revert_before_the_pin_was_seen_rolls_back_too() -> None:
    waiting, observed = promoted_to_two(None)
    assert waiting.status.promotion.state == "Pending"
    assert plan(waiting, observed, NOW).actions == ()
    spec = waiting.spec.model_copy(update={"generation": "m-1"})
    noted = {ANNOTATIONS.promotion_recorded: "m-2"}
    meta = waiting.metadata.model_copy(update={"annotations": noted})
    reverted = waiting.model_copy(update={"spec": spec, "metadata": meta})
    rolled, _, _ = settle(reverted, observed)
    assert rolled.status.production.generation == "m-1"
    assert rolled.status.promotion.state == "Recorded"


def test_an_outdated_pin_does_not_undo_a_promotion() -> None:
    pinned = model(generation="m-1")
    observed = replace(BLANK, generations=[passed(1)])
    pinned, observed, _ = settle(pinned, observed)
    observed = replace(observed, generations=[passed(1), passed(2)])
    pinned, observed, _ = settle(pinned, observed)
    assert pinned.status.production.generation == "m-2"
    assert pinned.status.promotion.previous_pin == "m-1"
    assert plan(pinned, observed, NOW).actions == ()


def test_manual_mode_serves_only_the_pin() -> None:
    manual = model(generation="m-1", promotion={"mode": "Manual"})
    generations = [passed(1), passed(2)]
    manual, _, _ = settle(manual, replace(BLANK, generations=generations))
    assert manual.status.production.generation == "m-1"


def test_a_pin_that_does_not_exist_keeps_what_serves() -> None:
    desired, observed, _ = settle(
        model(), replace(BLANK, generations=[passed(1)])
    )
    record = desired.status.promotion.model_copy(update={"state": "Recorded"})
    desired = desired.model_copy(
        update={
            "spec": desired.spec.model_copy(update={"generation": "m-9"}),
            "status": desired.status.model_copy(update={"promotion": record}),
        }
    )
    outcome = plan(desired, observed, NOW)
    assert outcome.actions == ()
    assert ready(outcome).reason == "GenerationNotFound"
    assert "m-1 serves" in ready(outcome).message


def test_a_generation_that_does_not_load_is_refused_and_undone() -> None:
    desired, observed, _ = settle(
        model(), replace(BLANK, generations=[passed(1)])
    )
    broken = replace(
        observed,
        generations=[passed(1), passed(2)],
        stored=observed.stored | {slot("m-2", "sha256:ir2")},
        wanted=("m-2", "sha256:ir2", "CPU"),
        served=Served("m-2", "sha256:ir2", "CPU", "Failed", "bad weights"),
    )
    outcome = plan(desired, broken, NOW)
    refused = desired.model_copy(update={"status": outcome.status})
    assert outcome.status.refused.generation == "m-2"
    desired, observed, done = settle(refused, broken)
    assert [type(a) for a in done] == [Deploy]
    assert done[0].generation == "m-1"
    assert desired.status.production.generation == "m-1"
    assert ready(plan(desired, observed, NOW)).reason == "DeploymentFailed"


def test_production_that_failed_once_and_recovered_is_ready_again() -> None:
    desired, observed, _ = settle(
        model(), replace(BLANK, generations=[passed(1)])
    )
    serving = observed.served
    failed = replace(serving, state="Failed", message="no memory")
    outcome = plan(desired, replace(observed, served=failed), NOW)
    desired = desired.model_copy(update={"status": outcome.status})
    assert outcome.requeue_after == CHECK_SECONDS
    outcome = plan(desired, replace(observed, served=failed), NOW)
    assert ready(outcome).reason == "DeploymentFailed"
    assert "nothing serves" in ready(outcome).message
    desired = desired.model_copy(update={"status": outcome.status})
    outcome = plan(desired, observed, NOW)
    assert ready(outcome).status == "True"
    assert outcome.status.refused is None


def test_deleting_what_was_reverted_promotes_nothing_else() -> None:
    """The pin holds though the newest promotion's object is gone."""
    written, observed = promoted_to_two("m-2")
    observed = replace(
        observed, generations=[passed(1, "t"), passed(2, "t"), passed(3)]
    )
    desired, observed, _ = settle(written, observed)
    assert desired.status.production.generation == "m-3"

    def pin(model_, name):
        spec = model_.spec.model_copy(update={"generation": name})
        return model_.model_copy(update={"spec": spec})

    desired, observed, _ = settle(pin(desired, "m-3"), observed)
    desired, observed, _ = settle(pin(desired, "m-1"), observed)
    observed = replace(observed, generations=[passed(1, "t"), passed(2, "t")])
    outcome = plan(desired, observed, NOW)
    assert outcome.actions == ()
    assert outcome.status.production.generation == "m-1"


def test_a_moved_directory_is_deployed_again() -> None:
    desired, observed, _ = settle(
        model(), replace(BLANK, generations=[passed(1)])
    )
    moved = replace(observed, wanted=None)
    (action,) = plan(desired, moved, NOW).actions
    assert isinstance(action, Deploy)


def test_without_its_layout_the_status_stays_true() -> None:
    desired, observed, _ = settle(
        model(), replace(BLANK, generations=[passed(1)])
    )
    missing = Observed(
        generations=observed.generations,
        missing="DatasetLayout l does not exist",
        endpoint=observed.endpoint,
    )
    outcome = plan(desired, missing, NOW)
    assert ready(outcome).reason == "DependencyNotReady"
    assert outcome.status.endpoint == desired.status.endpoint
    assert outcome.status.lineage == desired.status.lineage


def test_a_refused_generation_is_tried_again_on_request() -> None:
    desired, observed, _ = settle(
        model(), replace(BLANK, generations=[passed(1)])
    )
    status = desired.status.model_copy(
        update={"refused": RefusedGeneration(generation="m-2", message="bad")}
    )
    desired = model(
        status.model_dump(by_alias=True),
        meta={"annotations": {ANNOTATIONS.requested_at: "now"}},
    )
    observed = replace(observed, generations=[passed(1), passed(2)])
    (action,) = plan(desired, observed, NOW).actions
    assert isinstance(action, StoreGeneration)
    assert action.generation == "m-2"


def test_without_a_device_it_says_so() -> None:
    observed = Observed(
        generations=[passed(1)], device_problem="no NPU on this node"
    )
    outcome = plan(model(), observed, NOW)
    assert ready(outcome).reason == "DeviceUnavailable"


def test_suspended_keeps_serving() -> None:
    desired, observed, _ = settle(
        model(), replace(BLANK, generations=[passed(1)])
    )
    spec = desired.spec.model_copy(update={"suspend": True})
    desired = desired.model_copy(update={"spec": spec})
    observed = replace(observed, generations=[passed(1), passed(2)])
    assert plan(desired, observed, NOW).actions == ()


def test_deleting_stops_serving_first() -> None:
    deleting = model(meta={"deletionTimestamp": "2026-11-25T11:00:00Z"})
    served = replace(BLANK, wanted=("m-1", "d", "CPU"))
    assert [type(a) for a in plan(deleting, served, NOW).actions] == [Undeploy]
    held = replace(BLANK, held=frozenset({"m-1-x"}))
    assert [type(a) for a in plan(deleting, held, NOW).actions] == [Release]
    assert not plan(deleting, held, NOW).release
    assert plan(deleting, BLANK, NOW).release


def test_an_unfinished_generation_is_the_candidate() -> None:
    observed = replace(BLANK, generations=[passed(1), generation(2)])
    outcome = plan(model(), observed, NOW)
    assert outcome.status.candidate == "m-2"


@given(
    st.lists(st.booleans(), min_size=1, max_size=6),
    st.sampled_from([None, "m-1", "m-2", "m-7"]),
    st.sampled_from(["Automatic", "Manual"]),
)
def test_applying_plans_leads_to_an_empty_plan(outcomes, pin, mode) -> None:
    generations = [
        passed(n) if good else rejected(n)
        for n, good in enumerate(outcomes, start=1)
    ]
    desired = model(promotion={"mode": mode})
    if pin:
        desired = model(generation=pin, promotion={"mode": mode})
    desired, observed, _ = settle(
        desired, replace(BLANK, generations=generations)
    )
    again = plan(desired, observed, NOW)
    assert again.actions == ()
    assert again.status == desired.status
    production = desired.status.production
    if production is not None:
        index = int(production.generation.removeprefix("m-")) - 1
        assert outcomes[index], "only what passed its gate ever serves"


def test_a_model_whose_data_is_on_another_node_is_left_to_it() -> None:
    serving = Observed(ours=False, wanted=("one", "sha256:1", "CPU"))
    (action,) = plan(model(), serving, NOW).actions
    assert isinstance(action, Undeploy)
    idle = plan(model(), Observed(ours=False), NOW)
    assert (idle.actions, idle.status) == ((), model().status)
