# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from bc_runtime.observation import (
    Alignment,
    AlignMode,
    PushResult,
    ReasonCode,
    Selection,
    StreamBuffer,
    Unserved,
    history_times,
    interpolate,
)

SECOND = 1_000_000_000
MS = 1_000_000
FAR = 10 * SECOND

stamps_lists = st.lists(st.integers(0, 1000), min_size=1, max_size=40, unique=True).map(sorted)
finite = st.floats(-100.0, 100.0, allow_nan=False)
weights = st.floats(0.0, 1.0, allow_nan=False)


def alignment(mode: AlignMode, *, skew: int = FAR, age: int = FAR, grace: int = 0) -> Alignment:
    return Alignment(mode=mode, max_skew_ns=skew, max_age_ns=age, grace_ns=grace)


def buffer_of(stamps: list[int]) -> StreamBuffer[int]:
    buffer: StreamBuffer[int] = StreamBuffer(horizon_ns=FAR)
    for stamp in stamps:
        assert buffer.push(stamp, None, stamp) is PushResult.ACCEPTED
    return buffer


@given(stamps_lists, st.integers(0, 1100))
def test_property_last_before_is_the_last_sample_not_after_t(stamps: list[int], t: int) -> None:
    found = buffer_of(stamps).select(t, alignment(AlignMode.LAST_BEFORE))
    before = [s for s in stamps if s <= t]
    if max(stamps) < t:
        assert isinstance(found, Unserved)
        assert found.code is ReasonCode.NOT_YET
    elif not before:
        assert isinstance(found, Unserved)
        assert found.code is ReasonCode.HISTORY
    else:
        assert isinstance(found, Selection)
        assert found.first.stamp_ns == max(before)
        assert found.second is None
        assert found.skew_ns == t - max(before)


@given(stamps_lists, st.integers(0, 1100))
def test_property_nearest_is_nearest_and_the_earlier_of_two(stamps: list[int], t: int) -> None:
    found = buffer_of(stamps).select(t, alignment(AlignMode.NEAREST))
    if max(stamps) < t:
        assert isinstance(found, Unserved)
        return
    assert isinstance(found, Selection)
    best = min(abs(s - t) for s in stamps)
    assert found.first.stamp_ns == min(s for s in stamps if abs(s - t) == best)
    assert found.skew_ns == best


@given(stamps_lists, st.integers(0, 1100))
def test_property_interpolate_uses_both_neighbours(stamps: list[int], t: int) -> None:
    found = buffer_of(stamps).select(t, alignment(AlignMode.INTERPOLATE))
    if t > max(stamps) or t < min(stamps):
        assert isinstance(found, Unserved)
        return
    assert isinstance(found, Selection)
    if t in stamps:
        assert (found.first.stamp_ns, found.second, found.skew_ns) == (t, None, 0)
        return
    before, after = max(s for s in stamps if s < t), min(s for s in stamps if s > t)
    assert found.second is not None
    assert (found.first.stamp_ns, found.second.stamp_ns) == (before, after)
    assert found.weight == (t - before) / (after - before)
    assert found.skew_ns == max(t - before, after - t)


@given(stamps_lists, st.integers(0, 1100), st.sampled_from(AlignMode), st.integers(0, 40))
def test_property_an_answer_is_final_once_the_stream_reached_t(
    stamps: list[int], t: int, mode: AlignMode, cut: int
) -> None:
    """What arrives later, in order, never changes the samples chosen for t (without grace)."""
    early = buffer_of(stamps[: cut + 1]).select(t, alignment(mode))
    late = buffer_of(stamps).select(t, alignment(mode))
    if isinstance(early, Selection):
        assert isinstance(late, Selection)
        assert late.first.stamp_ns == early.first.stamp_ns
        assert late.weight == early.weight


@given(stamps_lists, st.integers(0, 1100), st.sampled_from(AlignMode), st.integers(0, 50))
def test_property_no_sample_beyond_the_skew_limit_is_used(
    stamps: list[int], t: int, mode: AlignMode, skew: int
) -> None:
    found = buffer_of(stamps).select(t, alignment(mode, skew=skew, grace=2000))
    if isinstance(found, Selection):
        used = [s.stamp_ns for s in (found.first, found.second) if s is not None]
        assert max(abs(t - s) for s in used) == found.skew_ns <= skew


def test_grace_serves_a_little_past_the_newest_sample_but_never_extrapolates() -> None:
    buffer = buffer_of([0, 100])
    graceful = buffer.select(130, alignment(AlignMode.LAST_BEFORE, grace=30))
    assert isinstance(graceful, Selection)
    assert graceful.first.stamp_ns == 100
    late = buffer.select(131, alignment(AlignMode.LAST_BEFORE, grace=30))
    assert isinstance(late, Unserved)
    assert late.code is ReasonCode.NOT_YET
    between = buffer.select(130, alignment(AlignMode.INTERPOLATE, grace=30))
    assert isinstance(between, Unserved)


def test_far_past_the_newest_sample_is_stale() -> None:
    found = buffer_of([0]).select(101, alignment(AlignMode.LAST_BEFORE, age=100))
    assert isinstance(found, Unserved)
    assert found.code is ReasonCode.STALE


def test_skew_names_the_distance_and_the_limit() -> None:
    found = buffer_of([0, 100 * MS]).select(
        30 * MS, alignment(AlignMode.LAST_BEFORE, skew=20 * MS)
    )
    assert isinstance(found, Unserved)
    assert found.code is ReasonCode.SKEW
    assert '30.0 ms' in found.text
    assert '20.0 ms' in found.text


def test_a_gap_in_an_interpolated_stream_is_skew() -> None:
    found = buffer_of([0, 100 * MS]).select(
        99 * MS, alignment(AlignMode.INTERPOLATE, skew=50 * MS)
    )
    assert isinstance(found, Unserved)
    assert found.code is ReasonCode.SKEW


@given(st.lists(st.tuples(finite, finite), min_size=1, max_size=8), weights)
def test_property_linear_stays_between_its_neighbours(
    pairs: list[tuple[float, float]], weight: float
) -> None:
    first, second = (np.array(side) for side in zip(*pairs, strict=True))
    value = interpolate(first, second, weight)
    assert (value >= np.minimum(first, second)).all()
    assert (value <= np.maximum(first, second)).all()
    np.testing.assert_allclose(value, first * (1 - weight) + second * weight, atol=1e-12)
    np.testing.assert_array_equal(interpolate(first, second, 0.0), first)


@given(finite, weights)
def test_property_equal_neighbours_give_exactly_that_value(value: float, weight: float) -> None:
    row = np.array([value])
    flags = np.array([True])
    assert interpolate(row, row, weight)[0] == value
    assert interpolate(row, row, weight, flags)[0] == value


@given(st.floats(-math.pi, math.pi), st.floats(-3.0, 3.0), weights)
def test_property_continuous_joint_takes_the_shortest_arc(
    start: float, arc: float, weight: float
) -> None:
    """A driver that wraps at +-pi gives the same motion as one that does not."""
    end = math.remainder(start + arc, 2 * math.pi)
    flags = np.array([True])
    value = interpolate(np.array([start]), np.array([end]), weight, flags)[0]
    assert abs(math.remainder(value - (start + arc * weight), 2 * math.pi)) < 1e-9
    assert abs(value) <= math.pi


@given(st.floats(-50, 50), st.floats(-3.0, 3.0), weights)
def test_property_unwrapped_angles_stay_unwrapped(start: float, arc: float, weight: float) -> None:
    first, second = np.array([start]), np.array([start + arc])
    value = interpolate(first, second, weight, np.array([True]))
    np.testing.assert_allclose(value, start + arc * weight, atol=1e-9)


@given(st.floats(-math.pi, math.pi), st.floats(-math.pi, math.pi), weights)
def test_property_interpolation_is_symmetric_in_time(a: float, b: float, weight: float) -> None:
    flags = np.array([True])
    forward = interpolate(np.array([a]), np.array([b]), weight, flags)[0]
    backward = interpolate(np.array([b]), np.array([a]), 1.0 - weight, flags)[0]
    # Opposite angles have two shortest arcs.
    if abs(abs(b - a) - math.pi) > 1e-6:
        assert abs(math.remainder(forward - backward, 2 * math.pi)) < 1e-9


def test_only_continuous_columns_wrap() -> None:
    first, second = np.array([3.0, 3.0]), np.array([-3.0, -3.0])
    value = interpolate(first, second, 0.5, np.array([False, True]))
    assert value[0] == 0.0
    assert abs(value[1]) == pytest.approx(math.pi)


@given(st.integers(0, 10**18), st.integers(1, 60), st.floats(0.5, 1000.0))
def test_property_history_steps_never_drift(t: int, steps: int, rate: float) -> None:
    times = history_times(t, steps, rate)
    assert len(times) == steps
    assert times[-1] == t
    assert list(times) == sorted(times)
    for k, time in enumerate(reversed(times)):
        assert abs((t - time) - k * 1e9 / rate) <= 0.5 + 1e-3
