from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import reconciler.training
from reconciler.kernels import native
from reconciler.training import advantages
from reconciler.training.advantages import (
    discounted_returns,
    gae,
    reference_gae,
    whitened,
)


def ragged(lengths, seed=0):
    rng = np.random.default_rng(seed)
    offsets = np.cumsum([0, *lengths])
    rewards, values = rng.standard_normal((2, offsets[-1])).astype(np.float32)
    bootstrap = rng.standard_normal(len(lengths)).astype(np.float32)
    return rewards, values, offsets, bootstrap


def plain(rewards, values, gamma, lam, last):
    """One trajectory, as a textbook writes it."""
    found, carry, following = [], 0.0, float(last)
    for r, v in zip(rewards[::-1], values[::-1], strict=True):
        carry = float(r) + gamma * following - float(v) + gamma * lam * carry
        following = float(v)
        found.append(carry)
    return np.array(found[::-1])


lengths = st.lists(st.integers(0, 70), max_size=12)
unit = st.floats(0, 1)


@given(lengths, unit, unit, st.integers(0, 5))
def test_the_reference_is_the_textbook(lengths, gamma, lam, seed) -> None:
    rewards, values, offsets, last = ragged(lengths, seed)
    found, returns = reference_gae(rewards, values, offsets, gamma, lam, last)
    for i, (start, end) in enumerate(pairwise(offsets)):
        expected = plain(
            rewards[start:end], values[start:end], gamma, lam, last[i]
        )
        np.testing.assert_allclose(
            found[start:end], expected, rtol=1e-6, atol=1e-6
        )
        np.testing.assert_allclose(
            returns[start:end],
            expected + values[start:end],
            rtol=1e-6,
            atol=1e-6,
        )


@pytest.fixture(params=native().isa_levels() if native() else ["numpy"])
def isa(request):
    if native() is None:
        yield
        return
    before = native().isa()
    native().use_isa(request.param)
    yield
    native().use_isa(before)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize(
    ("gamma", "lam"), [(0.99, 0.95), (1.0, 1.0), (0.0, 0.5), (1.0, 0.0)]
)
def test_every_instruction_set_is_the_reference(gamma, lam) -> None:
    rewards, values, offsets, last = ragged([*range(70), 1000, 0, 17])
    found = gae(rewards, values, offsets, gamma, lam, last)
    expected = reference_gae(rewards, values, offsets, gamma, lam, last)
    # What float32 can lose: 64 roundings of sums of the absolute terms.
    size, _ = reference_gae(
        abs(rewards) + abs(values),
        -abs(values),
        offsets,
        gamma,
        lam,
        abs(last),
    )
    limit = 64 * 2.0**-24 * (abs(size) + 1)
    assert (abs(found[0] - expected[0]) <= limit).all()
    assert (abs(found[1] - expected[1]) <= limit).all()


def test_bits_do_not_depend_on_the_instruction_set() -> None:
    if not native():
        pytest.skip("installed without a C++ compiler")
    before = native().isa()
    rewards, values, offsets, last = ragged([5, 16, 33, 400, 1])
    answers = []
    for level in native().isa_levels():
        native().use_isa(level)
        answers.append(gae(rewards, values, offsets, 0.99, 0.95, last))
    native().use_isa(before)
    for answer in answers:
        np.testing.assert_array_equal(answer[0], answers[0][0])
        np.testing.assert_array_equal(answer[1], answers[0][1])


def test_a_trajectory_does_not_see_its_neighbours() -> None:
    rewards, values, offsets, last = ragged([20, 7, 40])
    whole, _ = gae(rewards, values, offsets, 0.9, 0.8, last)
    for i, (start, end) in enumerate(pairwise(offsets)):
        own, _ = gae(
            rewards[start:end],
            values[start:end],
            [0, end - start],
            0.9,
            0.8,
            last[i : i + 1],
        )
        np.testing.assert_array_equal(whole[start:end], own)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("lengths", [[20, 7, 40], [3, 2, 0, 9, 1, 30], [16]])
def test_a_damaged_trajectory_damages_no_other(lengths) -> None:
    rewards, values, offsets, last = ragged(lengths)
    expected = gae(rewards, values, offsets, 0.9, 0.8, last)
    for start, end in pairwise(offsets):
        broken = rewards.copy()
        broken[start:end] = np.nan
        found = gae(broken, values, offsets, 0.9, 0.8, last)
        for ours, theirs in zip(found, expected, strict=True):
            assert np.isnan(ours[start:end]).all()
            kept = np.r_[0:start, end : len(rewards)]
            np.testing.assert_array_equal(ours[kept], theirs[kept])


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("lengths", [[20, 7, 40], [3, 2, 0, 9, 1, 30], [16]])
def test_results_may_replace_what_they_come_from(lengths) -> None:
    rewards, values, offsets, last = ragged(lengths)
    expected = gae(rewards, values, offsets, 0.9, 0.8, last)
    for swap in (False, True):
        r, v = rewards.copy(), values.copy()
        out = (v, r) if swap else (r, v)
        gae(r, v, offsets, 0.9, 0.8, last, out=out)
        np.testing.assert_array_equal(out[0], expected[0])
        np.testing.assert_array_equal(out[1], expected[1])


def test_returns_are_discounted() -> None:
    found = discounted_returns([1, 1, 1, 5], [0, 3, 4], 0.5)
    assert found.tolist() == [1.75, 1.5, 1.0, 5.0]
    found = discounted_returns([0, 0], [0, 2], 0.5, bootstrap=[8])
    assert found.tolist() == [2.0, 4.0]


def test_whitened_advantages_have_mean_zero_and_deviation_one() -> None:
    found = whitened(np.random.default_rng(0).normal(7, 3, 1000))
    assert found.dtype == np.float32
    assert abs(found.mean()) < 1e-6
    assert abs(found.std() - 1) < 1e-6
    assert whitened([4.0, 4.0]).tolist() == [0, 0]
    assert whitened([]).shape == (0,)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="1 values for 2 rewards"):
        gae([1, 2], [1], [0, 2], 0.9, 0.9)
    with pytest.raises(ValueError, match="from 0 to 2"):
        gae([1, 2], [1, 2], [0, 1], 0.9, 0.9)
    with pytest.raises(ValueError, match="fall"):
        gae([1, 2], [1, 2], [0, 3, 2], 0.9, 0.9)
    with pytest.raises(ValueError, match="at least one"):
        gae([], [], [], 0.9, 0.9)
    with pytest.raises(ValueError, match="1 last values for 2"):
        gae([1, 2], [1, 2], [0, 1, 2], 0.9, 0.9, [1])
    with pytest.raises(ValueError, match="0 to 1"):
        gae([1], [1], [0, 1], 1.1, 0.9)
    with pytest.raises(ValueError, match="one dimension"):
        gae([[1]], [[1]], [0, 1], 0.9, 0.9)


def test_buffers_are_filled_and_returned(monkeypatch) -> None:
    rewards, values, offsets, last = ragged([30, 2])
    expected = gae(rewards, values, offsets, 0.99, 0.95, last)
    out = np.zeros(32, np.float32), np.zeros(32, np.float32)
    found = gae(rewards, values, offsets, 0.99, 0.95, last, out=out)
    assert found[0] is out[0]
    assert found[1] is out[1]
    np.testing.assert_array_equal(out[0], expected[0])
    np.testing.assert_array_equal(out[1], expected[1])
    short = np.zeros(31, np.float32), np.zeros(32, np.float32)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"value|shape"):
            gae(rewards, values, offsets, 0.99, 0.95, last, out=short)
        monkeypatch.setattr(advantages, "native", lambda: None)


def test_the_package_offers_them() -> None:
    assert reconciler.training.gae is gae
    assert reconciler.training.whitened is whitened
    with pytest.raises(AttributeError, match="nothing"):
        _ = reconciler.training.nothing


def test_it_works_without_the_extension(monkeypatch) -> None:
    rewards, values, offsets, last = ragged([30, 2])
    ours = gae(rewards, values, offsets, 0.99, 0.95, last)
    monkeypatch.setattr(advantages, "native", lambda: None)
    expected = gae(rewards, values, offsets, 0.99, 0.95, last)
    np.testing.assert_allclose(ours[0], expected[0], atol=1e-4)
    np.testing.assert_allclose(ours[1], expected[1], atol=1e-4)
