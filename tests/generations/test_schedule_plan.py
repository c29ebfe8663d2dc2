from __future__ import annotations

from datetime import UTC, datetime, timedelta

from generation_objects import (
    NOW,
    generation,
    model,
    passed,
    rejected,
    schedule,
)
from hypothesis import given
from hypothesis import strategies as st

from reconciler.engine import conditions
from reconciler.generations.resource import (
    ModelGeneration,
    RefusedGeneration,
    ServedGeneration,
)
from reconciler.generations.schedule_plan import (
    SCHEDULE_GENERATION,
    CreateGeneration,
    Observed,
    consumed,
    plan,
)
from reconciler.generations.template import generation_body

SERVED = "2026-11-25T10:00:00Z"


def serving(name: str = "m-1"):
    live = model()
    production = ServedGeneration(generation=name, digest="d", device="CPU")
    status = live.status.model_copy(update={"production": production})
    return live.model_copy(update={"status": status})


def ready(outcome):
    return conditions.find(outcome.status.conditions, "Ready")


def fed(number: int, through: str, base=passed) -> ModelGeneration:
    made = base(number) if base is rejected else base(number, SERVED)
    data = made.spec.data
    feedback = data.feedback.model_copy(update={"through": through})
    spec = made.spec.model_copy(
        update={"data": data.model_copy(update={"feedback": feedback})}
    )
    return made.model_copy(update={"spec": spec})


def test_the_first_generation_comes_from_scratch() -> None:
    (action,) = plan(schedule(), Observed(model=model()), NOW).actions
    assert isinstance(action, CreateGeneration)
    assert (action.name, action.parent) == ("m-1", None)
    assert "scratch" in action.describe()


def test_without_its_model_it_waits() -> None:
    outcome = plan(schedule(), Observed(), NOW)
    assert outcome.actions == ()
    assert ready(outcome).reason == "DependencyNotReady"


def test_one_generation_at_a_time() -> None:
    observed = Observed(model=model(), generations=[generation(1)])
    outcome = plan(schedule(), observed, NOW)
    assert outcome.actions == ()
    assert outcome.status.active == "m-1"


def test_enough_new_feedback_starts_the_next() -> None:
    observed = Observed(
        model=serving(),
        generations=[passed(1, SERVED)],
        store_ready=True,
        through="900",
        new_rows=10,
    )
    (action,) = plan(schedule(), observed, NOW).actions
    assert (action.name, action.parent) == ("m-2", "m-1")
    assert (action.after, action.through) == ("0", "900")


def test_too_little_feedback_waits_and_says_how_much() -> None:
    observed = Observed(
        model=serving(),
        generations=[passed(1, SERVED)],
        store_ready=True,
        through="900",
        new_rows=9,
    )
    outcome = plan(schedule(), observed, NOW)
    assert outcome.actions == ()
    assert ready(outcome).message == "9 of 10 new judgements"


def test_rows_of_a_rejected_generation_are_consumed() -> None:
    generations = [passed(1, SERVED), fed(2, "900", rejected)]
    assert consumed(generations, "opinions") == "900"
    observed = Observed(
        model=serving(),
        generations=generations,
        store_ready=True,
        through="950",
        new_rows=20,
    )
    (action,) = plan(schedule(), observed, NOW).actions
    assert (action.name, action.parent) == ("m-3", "m-1")
    assert (action.after, action.through) == ("900", "950")


def test_transaction_ids_of_another_store_say_nothing() -> None:
    remembered = {
        "modelUid": model().metadata.uid,
        "store": "opinions",
        "lastNumber": 2,
        "consumedThrough": "900",
    }
    observed = Observed(
        model=serving(),
        generations=[passed(1, SERVED), fed(2, "900", rejected)],
        store_ready=True,
        through="50",
        new_rows=20,
    )
    other = schedule(
        remembered, learnFrom={"storeRef": {"name": "other"}, "minRows": 10}
    )
    outcome = plan(other, observed, NOW)
    (action,) = outcome.actions
    assert (action.name, action.after, action.through) == ("m-3", "0", "50")
    assert outcome.status.store == "other"


def test_a_generation_that_passed_is_promoted_before_the_next() -> None:
    observed = Observed(
        model=serving(),
        generations=[passed(1, SERVED), passed(2)],
        store_ready=True,
        through="950",
        new_rows=20,
    )
    outcome = plan(schedule(), observed, NOW)
    assert outcome.actions == ()
    assert ready(outcome).message == "m-2 is being promoted"


def test_a_failed_bootstrap_is_tried_again_after_an_edit() -> None:
    failed = rejected(1)

    def made_by(number: str) -> Observed:
        annotations = {SCHEDULE_GENERATION: number}
        meta = failed.metadata.model_copy(update={"annotations": annotations})
        last = failed.model_copy(update={"metadata": meta})
        return Observed(model=model(), generations=[last])

    assert plan(schedule(), made_by("3"), NOW).actions == ()
    (action,) = plan(schedule(), made_by("2"), NOW).actions
    assert (action.name, action.parent) == ("m-2", None)


def test_deleted_generations_give_nothing_back() -> None:
    observed = Observed(
        model=serving(),
        generations=[passed(1, SERVED)],
        store_ready=True,
        through="950",
        new_rows=20,
    )
    status = {"modelUid": "uid-m", "lastNumber": 4, "consumedThrough": "900"}
    (action,) = plan(schedule(status), observed, NOW).actions
    assert (action.name, action.after) == ("m-5", "900")
    anew = {**status, "modelUid": "another"}
    (action,) = plan(schedule(anew), observed, NOW).actions
    assert (action.name, action.after) == ("m-2", "0")


def test_without_the_object_of_production_it_says_so() -> None:
    observed = Observed(
        model=serving("m-7"),
        generations=[rejected(1)],
        store_ready=True,
        through="950",
        new_rows=20,
    )
    outcome = plan(schedule(), observed, NOW)
    assert outcome.actions == ()
    assert "m-7 serves, but its object was deleted" in ready(outcome).message


def test_a_first_generation_that_could_not_be_loaded_is_not_the_last() -> None:
    live = model()
    refused = RefusedGeneration(generation="m-1", message="bad")
    status = live.status.model_copy(update={"refused": refused})
    live = live.model_copy(update={"status": status})
    observed = Observed(model=live, generations=[passed(1)])
    (action,) = plan(schedule(), observed, NOW).actions
    assert (action.name, action.parent) == ("m-2", None)


def test_an_unknown_time_zone_is_named() -> None:
    outcome = plan(
        schedule(timeZone="Mars/Olympus"), Observed(model=model()), NOW
    )
    assert ready(outcome).reason == "InvalidTimeZone"
    assert "Mars/Olympus" in ready(outcome).message


def test_outside_its_windows_it_waits_for_the_next() -> None:
    night = schedule(
        timeZone="Europe/Berlin",
        windows=[{"start": "22:00", "duration": "8h"}],
    )
    outcome = plan(night, Observed(model=model()), NOW)
    assert outcome.actions == ()
    assert ready(outcome).reason == "OutsideWindow"
    assert outcome.status.next_window == "2026-11-25T21:00:00Z"
    assert outcome.requeue_after == timedelta(hours=9).total_seconds()
    late = datetime(2026, 11, 25, 21, 0, tzinfo=UTC)
    assert plan(night, Observed(model=model()), late).actions != ()


def test_suspended_starts_nothing() -> None:
    outcome = plan(schedule(suspend=True), Observed(model=model()), NOW)
    assert outcome.actions == ()
    assert ready(outcome).reason == "Suspended"


def test_the_object_is_complete_and_deterministic() -> None:
    action = CreateGeneration("k", "m-2", 2, "m-1", "5", "900")
    body = generation_body(schedule(), serving(), action)
    assert body == generation_body(schedule(), serving(), action)
    parsed = ModelGeneration.parse(body)
    assert parsed.spec.parent_ref.name == "m-1"
    assert parsed.spec.architecture is None
    assert parsed.spec.data.feedback.through == "900"
    assert body["metadata"]["ownerReferences"][0]["uid"] == "uid-m"
    first = generation_body(
        schedule(),
        model(),
        CreateGeneration("k", "m-1", 1, None, "0", None),
    )
    assert ModelGeneration.parse(first).spec.architecture is not None


@given(st.integers(0, 40), st.integers(1, 20), st.booleans())
def test_applying_plans_leads_to_an_empty_plan(rows, least, better) -> None:
    """Creating what is due, and finishing it, ends without more to do."""
    desired = schedule(
        learnFrom={"storeRef": {"name": "opinions"}, "minRows": least}
    )
    generations: list[ModelGeneration] = []
    live, taken = model(), 0
    for _ in range(10):
        observed = Observed(
            model=live,
            generations=generations,
            store_ready=True,
            through=str(100 + rows),
            new_rows=rows - taken,
        )
        outcome = plan(desired, observed, NOW)
        desired = desired.model_copy(update={"status": outcome.status})
        if not outcome.actions:
            break
        (action,) = outcome.actions
        if action.parent is None:
            generations.append(passed(1, SERVED))
            live = serving()
        else:
            taken = rows
            done = fed(
                action.number, action.through, passed if better else rejected
            )
            generations.append(done)
    assert plan(desired, observed, NOW).actions == ()
    assert len(generations) == (2 if rows >= least else 1)
