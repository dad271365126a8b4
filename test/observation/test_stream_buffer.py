# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bc_runtime.observation import Alignment, AlignMode, PushResult, Selection, StreamBuffer
from bc_runtime.observation.stream_buffer import STEPPED_BACK_AFTER

FAR = 10**12
ANY = Alignment(mode=AlignMode.LAST_BEFORE, max_skew_ns=FAR, max_age_ns=FAR)


def same(a: bytes, b: bytes) -> bool:
    return a == b


def test_duplicates_and_late_samples_are_dropped_and_counted() -> None:
    buffer: StreamBuffer[str] = StreamBuffer(horizon_ns=FAR)
    assert buffer.push(10, None, 'a') is PushResult.ACCEPTED
    assert buffer.push(30, None, 'c') is PushResult.ACCEPTED
    assert buffer.push(30, None, 'again') is PushResult.DUPLICATE
    assert buffer.push(10, None, 'again') is PushResult.DUPLICATE
    assert buffer.push(20, None, 'late') is PushResult.OUT_OF_ORDER
    assert len(buffer) == 2
    counters = buffer.counters
    assert (counters.accepted, counters.duplicate, counters.out_of_order) == (2, 2, 1)
    found = buffer.select(25, ANY)
    assert isinstance(found, Selection)
    assert found.first.payload == 'a'


def test_latency_is_subtracted_from_the_stamp() -> None:
    buffer: StreamBuffer[str] = StreamBuffer(horizon_ns=FAR, latency_ns=7)
    buffer.push(10, None, 'a')
    assert buffer.newest is not None
    assert buffer.newest.stamp_ns == 3


def test_a_clock_that_was_set_back_restarts_the_buffer() -> None:
    buffer: StreamBuffer[int] = StreamBuffer(horizon_ns=FAR)
    for stamp in (1000, 1010, 1020):
        buffer.push(stamp, None, stamp)
    results = [buffer.push(10 * i, None, i) for i in range(1, STEPPED_BACK_AFTER + 2)]
    assert results[: STEPPED_BACK_AFTER - 1] == [PushResult.OUT_OF_ORDER] * (
        STEPPED_BACK_AFTER - 1
    )
    assert results[STEPPED_BACK_AFTER - 1 :] == [
        PushResult.CLOCK_STEPPED_BACK,
        PushResult.ACCEPTED,
    ]
    assert buffer.newest is not None
    assert buffer.newest.stamp_ns == 10 * (STEPPED_BACK_AFTER + 1)
    assert buffer.counters.clock_stepped_back == 1


def test_late_stragglers_between_good_samples_do_not_restart_the_buffer() -> None:
    buffer: StreamBuffer[int] = StreamBuffer(horizon_ns=FAR)
    for i in range(20):
        assert buffer.push(1000 + 10 * i, None, i) is PushResult.ACCEPTED
        assert buffer.push(105 + 10 * i, None, i) is PushResult.OUT_OF_ORDER


@given(st.lists(st.integers(0, 500), max_size=80), st.integers(0, 100))
def test_property_samples_are_ordered_bounded_and_cover_the_horizon(
    stamps: list[int], horizon: int
) -> None:
    buffer: StreamBuffer[int] = StreamBuffer(horizon_ns=horizon)
    kept: list[int] = []
    for stamp in stamps:
        result = buffer.push(stamp, None, stamp)
        if result is PushResult.CLOCK_STEPPED_BACK:
            kept = [stamp]
        elif result is PushResult.ACCEPTED:
            assert not kept or stamp > kept[-1]
            kept.append(stamp)
    if not kept:
        return
    for t in range(max(kept[-1] - horizon, kept[0]), kept[-1] + 1):
        found = buffer.select(t, ANY)
        assert isinstance(found, Selection)
        assert found.first.stamp_ns == max(s for s in kept if s <= t)
    assert len(buffer) <= horizon + 2


def test_capacity_bounds_the_number_of_samples() -> None:
    buffer: StreamBuffer[int] = StreamBuffer(horizon_ns=FAR, capacity=16)
    for i in range(1000):
        buffer.push(i, None, i)
    assert len(buffer) == 16
    assert buffer.first_stamp_ns == 0


def test_unchanged_time_runs_over_equal_payloads_and_restarts_with_a_new_one() -> None:
    buffer: StreamBuffer[bytes] = StreamBuffer(horizon_ns=FAR, same=same)
    seen = []
    for stamp, payload in ((0, b'a'), (10, b'a'), (25, b'a'), (30, b'b'), (40, b'b')):
        buffer.push(stamp, None, payload)
        assert buffer.newest is not None
        seen.append(buffer.newest.unchanged_ns)
    assert seen == [0, 10, 25, 0, 10]
    assert buffer.counters.unchanged == 3


def test_clear_forgets_samples_but_not_counters() -> None:
    buffer: StreamBuffer[int] = StreamBuffer(horizon_ns=FAR)
    buffer.push(10, None, 1)
    buffer.clear()
    assert len(buffer) == 0
    assert buffer.first_stamp_ns is None
    assert buffer.push(5, None, 1) is PushResult.ACCEPTED
    assert buffer.counters.accepted == 2
