"""EvaluationSuite: valid or stalled, judgements newest first, no writes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.engine.conditions import find, is_true
from reconciler.evaluation.controller import EvaluationSuiteController
from reconciler.evaluation.plan import Observed, newest, plan, problems
from reconciler.evaluation.resource import (
    EvaluationSuite,
    EvaluationSuiteSpec,
    SuiteReport,
)

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)

REPORTS = st.lists(
    st.builds(
        SuiteReport,
        generation=st.integers(1, 30).map(lambda n: f"docs-{n}"),
        gate=st.sampled_from(["Passed", "Failed", "Inconclusive"]),
        at=st.none()
        | st.integers(10, 59).map(lambda n: f"2026-11-25T10:{n}:00Z"),
    ),
    max_size=40,
)
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "alpha": st.sampled_from(["0.01", "0.5", "0"]),
        "minSamples": st.sampled_from([50, 900]),
    },
)


def spec(gate=None, **more):
    return {
        "data": {"corpus": "python-docstrings", "samples": 400},
        "primary": {"name": "house-style"},
        "gate": gate or {},
        **more,
    }


def suite(body=None, **meta):
    return EvaluationSuite.parse(
        {
            "metadata": {"name": "docs", "generation": 3, **meta},
            "spec": body or spec(),
        }
    )


def applied(desired, planned):
    return desired.model_copy(update={"status": planned.status})


@given(SPECS, REPORTS, st.integers(0, 10**6))
def test_planning_again_writes_nothing(gate, reports, later):
    desired = suite(spec(gate))
    first = plan(desired, Observed(tuple(reports)), NOW)
    assert first.actions == ()
    again = plan(
        applied(desired, first),
        Observed(tuple(reversed(reports)))
        if len({(r.at, r.generation) for r in reports}) == len(reports)
        else Observed(tuple(reports)),
        NOW + timedelta(seconds=later),
    )
    assert again.actions == ()
    assert again.status == first.status
    assert again.requeue_after is None


def test_a_valid_suite_is_ready_and_says_by_what_it_judges():
    body = spec(guardrails=[{"name": "chrf", "maxDrop": "0.02"}])
    status = plan(suite(body), Observed(), NOW).status
    assert is_true(status.conditions, "Ready", generation=3)
    assert status.observed_generation == 3
    ready = find(status.conditions, "Ready")
    assert ready is not None
    assert ready.reason == "Usable"
    assert "400 held-out questions" in ready.message
    assert "chrf -0.02" in ready.message
    assert find(status.conditions, "Stalled") is None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (spec({"alpha": "0"}), "gate.alpha 0 is not between"),
        (spec({"alpha": "0.5"}), "gate.alpha 0.5 is not between"),
        (spec({"alpha": "-0.01"}), "gate.alpha -0.01"),
        (
            spec({"alpha": "0.0001", "resamples": 1000}),
            "too few for gate.alpha 0.0001",
        ),
        (spec({"minImprovement": "1"}), "gate.minImprovement 1"),
        (spec({"minImprovement": "-1.5"}), "gate.minImprovement -1.5"),
        (spec({"minSamples": 500}), "fewer than gate.minSamples 500"),
        (spec(decoding={"temperature": "-1"}), "temperature is negative"),
        (spec(guardrails=[{"name": "chrf"}]), "chrf needs maxDrop"),
        (
            spec(guardrails=[{"name": "chrf", "maxDrop": "-0.1"}]),
            "chrf needs maxDrop",
        ),
    ],
)
def test_a_suite_that_can_never_pass_is_stalled(body, words):
    (problem,) = problems(EvaluationSuiteSpec.model_validate(body))
    assert words in problem
    status = plan(suite(body), Observed(), NOW).status
    assert is_true(status.conditions, "Stalled", generation=3)
    ready = find(status.conditions, "Ready")
    assert ready is not None
    assert (ready.status, ready.reason) == ("False", "InvalidSpec")
    assert words in ready.message


def test_a_repaired_suite_is_ready_again():
    broken = suite(spec({"alpha": "0"}))
    stalled = plan(broken, Observed(), NOW)
    repaired = suite(generation=4).model_copy(
        update={"status": stalled.status}
    )
    status = plan(repaired, Observed(), NOW).status
    assert is_true(status.conditions, "Ready", generation=4)
    assert find(status.conditions, "Stalled") is None


def test_the_defaults_have_no_problems():
    assert problems(EvaluationSuiteSpec.model_validate(spec())) == []


def report(generation, at=None, gate="Passed"):
    return SuiteReport(generation=generation, gate=gate, at=at)


def test_the_newest_judgement_comes_first():
    old = report("docs-3", "2026-11-25T10:00:00Z")
    new = report("docs-2", "2026-11-25T11:00:00Z")
    assert newest([old, new]) == (new, old)


def test_without_times_the_higher_number_is_newer():
    reports = [report(f"docs-{n}") for n in (2, 10, 9)]
    assert [r.generation for r in newest(reports)] == [
        "docs-10",
        "docs-9",
        "docs-2",
    ]


def test_one_judgement_per_generation_the_newest():
    old = report("docs-1", "2026-11-25T10:00:00Z", "Failed")
    new = report("docs-1", "2026-11-25T11:00:00Z", "Passed")
    assert newest([old, new]) == (new,)
    assert newest([new, old]) == (new,)


@given(REPORTS)
def test_judgements_are_bounded_and_sorted(reports):
    found = newest(reports)
    assert len(found) <= 20
    names = [r.generation for r in found]
    assert len(names) == len(set(names))
    times = [r.at or "" for r in found]
    assert times == sorted(times, reverse=True)
    assert set(names) <= {r.generation for r in reports}


def test_a_requested_look_is_acknowledged():
    at = "2026-11-25T11:11:11Z"
    asked = suite(annotations={"reconciler.dev/requested-at": at})
    status = plan(asked, Observed(), NOW).status
    assert status.last_handled_reconcile_at == at
    calm = suite().model_copy(update={"status": status})
    assert plan(calm, Observed(), NOW).status == status


def test_a_deleted_suite_holds_nothing():
    gone = suite(deletionTimestamp="2026-11-25T11:00:00Z")
    assert plan(gone, Observed(), NOW).release
    assert not plan(suite(), Observed(), NOW).release


class FakeContext:
    objects = object()


async def test_the_controller_reports_what_the_source_finds():
    asked = []

    def source(objects, namespace, name):
        asked.append((objects, namespace, name))
        return [report("docs-1"), report("docs-2", gate="Failed")]

    controller = EvaluationSuiteController(source)
    desired = suite(namespace="team")
    observed = await controller.observe(FakeContext(), desired)
    assert asked == [(FakeContext.objects, "team", "docs")]
    status = controller.plan(desired, observed, NOW).status
    assert [r.generation for r in status.reports] == ["docs-2", "docs-1"]


async def test_the_controller_has_no_effects():
    from reconciler.engine.plan import Action

    controller = EvaluationSuiteController(lambda *_: [])
    assert not controller.finalizer
    assert controller.watches == ()
    with pytest.raises(TypeError, match="has no action action"):
        await controller.act(FakeContext(), suite(), Action("abc"))
