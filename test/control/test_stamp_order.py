# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Old joint states are dropped; a clock that was set back is followed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bc_runtime.control.stamp_order import STEPPED_BACK_AFTER, StampOrder

S = 1_000_000_000


def test_old_and_repeated_messages_are_dropped_and_counted():
    order = StampOrder()
    assert [order.is_new(t * S) for t in (5, 6, 6, 2, 7, 2, 8)] == [
        True, True, False, False, True, False, True,
    ]  # fmt: skip
    assert order.dropped == 3


def test_the_same_old_message_again_and_again_never_counts():
    order = StampOrder()
    order.is_new(10 * S)
    assert not any(order.is_new(3 * S) for _ in range(50))
    assert not any(order.is_new(10 * S) for _ in range(50))


def test_a_clock_that_was_set_back_is_followed_soon():
    order = StampOrder()
    order.is_new(100 * S)
    taken = [order.is_new(95 * S + k) for k in range(1, 6)]
    assert taken == [k >= STEPPED_BACK_AFTER for k in range(1, 6)]


def test_messages_without_a_stamp_always_count():
    order = StampOrder()
    assert all(order.is_new(0) for _ in range(5))


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=50))
def test_property_a_stream_in_order_is_never_dropped(steps):
    order, now = StampOrder(), 0
    for step in steps:
        now += step
        assert order.is_new(now)
