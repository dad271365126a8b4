# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
import pytest

from bc_runtime.safety import (
    AgeWatchdog,
    ClockSkew,
    ClockStep,
    FrozenJoints,
    JointLimits,
    Level,
    MissedTicks,
    OverspeedMonitor,
    StampWatchdog,
    TickWatchdog,
    TrackingMonitor,
    TrainingRangeMonitor,
    camera_watchdog,
    joint_state_watchdog,
    not_farther_than,
    outside_limits,
    overspeed,
)
from bc_runtime.spec.errors import SafetyError

MS = 1_000_000
S = 1_000_000_000


def joints() -> list[JointLimits]:
    return [
        JointLimits(
            name=name, lower=-1.5, upper=1.5, velocity=2.0, acceleration=10.0, deceleration=10.0
        )
        for name in ('a', 'b')
    ]


def test_age_goes_from_ok_to_warn_to_stop_and_back() -> None:
    dog = AgeWatchdog('front', warn_s=0.1, stop_s=0.3)
    assert dog.level(0) is Level.STOP
    assert dog.age_s(0) == math.inf
    assert 'never came' in dog.text(0)
    dog.feed(1 * S)
    assert dog.level(1 * S + 100 * MS) is Level.OK
    assert dog.level(1 * S + 101 * MS) is Level.WARN
    assert dog.level(1 * S + 301 * MS) is Level.STOP
    assert dog.text(1 * S + 310 * MS) == 'front: 0.310 s old, allowed 0.300 s'
    dog.feed(2 * S)
    dog.feed(1 * S)  # out of order: cannot make it older
    assert dog.level(2 * S) is Level.OK
    dog.reset()
    assert dog.level(2 * S) is Level.STOP


def test_default_ages_are_those_of_the_fault_matrix() -> None:
    camera = camera_watchdog('front', 1 / 30)
    camera.feed(0)
    assert camera.level(60 * MS) is Level.OK
    assert camera.level(70 * MS) is Level.WARN
    assert camera.level(251 * MS) is Level.STOP
    slow = camera_watchdog('slow', 0.2)
    slow.feed(0)
    assert slow.level(900 * MS) is Level.WARN
    assert slow.level(1001 * MS) is Level.STOP
    for period, stop in ((0.002, 50), (0.01, 50), (0.025, 75), (0.05, 100)):
        dog = joint_state_watchdog(period)
        dog.feed(0)
        assert dog.level(stop * MS) is not Level.STOP, period
        assert dog.level((stop + 1) * MS) is Level.STOP, period
    with pytest.raises(SafetyError, match='warn_s <= stop_s'):
        AgeWatchdog('x', warn_s=1.0, stop_s=0.5)


def test_the_tick_watchdog_sees_a_stall_from_outside_and_from_inside() -> None:
    dog = TickWatchdog(0.2)
    assert not dog.stalled(10 * S)
    assert dog.beat(0) == 0.0
    assert dog.beat(10 * MS) == pytest.approx(0.01)
    assert not dog.stalled(200 * MS)
    assert dog.stalled(211 * MS)
    gap = dog.beat(5 * S)
    assert dog.stood_still(gap)
    assert not dog.stood_still(dog.beat(5 * S + 150 * MS))
    dog.stop()
    assert not dog.stalled(60 * S)


def test_missed_ticks_are_counted_in_a_window() -> None:
    missed = MissedTicks(0.01)
    for k in range(1000):
        missed.note(k * 10 * MS, 1 if k % 25 == 0 else 0)
    assert missed.share == pytest.approx(0.04)
    assert not missed.too_many
    missed.note(10 * S, 20)
    assert missed.too_many
    assert missed.total == 60
    missed.note(30 * S, 0)
    assert not missed.too_many


def test_a_stepped_wall_clock_is_seen_once_and_drift_never() -> None:
    clock = ClockStep()
    wall = 1_700_000_000 * S
    for k in range(1000):
        assert clock.check(wall + k * 10 * MS + k * 5_000, k * 10 * MS) == 0.0  # 500 ppm
    assert clock.check(wall + 5 * S + 10 * S, 10 * S) == pytest.approx(5.0, abs=0.01)
    assert clock.active(10 * S + 1)
    assert clock.check(wall + 5 * S + 10 * S + 10 * MS, 10 * S + 10 * MS) == 0.0
    assert not clock.active(21 * S)
    assert clock.check(wall + 20 * S, 20 * S) == pytest.approx(-5.0, abs=0.01)


def test_skew_is_the_smallest_difference() -> None:
    skew = ClockSkew()
    for k in range(100):
        skew.push(k * 10 * MS, k * 10 * MS + 2 * MS + (k % 7) * 3 * MS)
    assert skew.offset_s == pytest.approx(0.002)
    assert not skew.suspicious
    for k in range(100, 350):
        skew.push(k * 10 * MS + 200 * MS, k * 10 * MS)
    assert skew.suspicious
    assert skew.too_large
    future = ClockSkew()
    for k in range(20):
        future.push(k * 10 * MS + 20 * MS, k * 10 * MS)
    assert future.suspicious
    assert not future.too_large


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(-300, 300)), min_size=1, max_size=60))
def test_property_skew_is_the_smallest_difference_of_the_window(
    steps: list[tuple[int, int]],
) -> None:
    skew, arrival, known = ClockSkew(window_s=1.0), 10 * S, []
    for step_ms, difference_ms in steps:
        arrival += step_ms * MS
        known.append((arrival, difference_ms * MS))
        skew.push(arrival - difference_ms * MS, arrival)
        expected = min(d for at, d in known if arrival - at <= S)
        assert skew.offset_s == expected * 1e-9


def test_skew_is_measured_anew_when_time_goes_back() -> None:
    skew = ClockSkew()
    for k in range(200):
        skew.push(100 * S + k * 10 * MS, 100 * S + k * 10 * MS + MS)
    skew.push(102 * S, 97 * S)  # sent before the jump, received after it
    for k in range(150):
        skew.push(97 * S + k * 10 * MS, 97 * S + k * 10 * MS + MS)
    assert not skew.too_large
    assert not skew.suspicious


def test_stamps_that_stand_still_or_jump() -> None:
    dog = StampWatchdog()
    for k in range(10):
        assert dog.push(k * 33 * MS, k * 33 * MS + 5 * MS) is Level.OK
    stuck = 9 * 33 * MS
    levels = [dog.push(stuck, (10 + k) * 33 * MS) for k in range(40)]
    assert levels[0] is Level.WARN
    assert levels[-1] is Level.STOP
    assert levels.index(Level.STOP) == math.ceil(1000 / 33)
    dog.push(50 * 33 * MS, 50 * 33 * MS)
    assert dog.push(51 * 33 * MS, 51 * 33 * MS) is Level.OK
    assert dog.push(51 * 33 * MS + 9 * S, 52 * 33 * MS) is Level.WARN


def test_tracking_warns_at_half_and_stops_after_a_while() -> None:
    monitor = TrackingMonitor(joints(), tolerance=0.15, hold_s=0.2)
    assert monitor.measure(0, [9.0, 9.0]).level is Level.OK  # no command yet
    monitor.command(0, (0.0, 0.0), (0.0, 0.0))
    assert monitor.measure(10 * MS, [0.0, 0.07]).level is Level.OK
    assert monitor.measure(20 * MS, [0.0, 0.08]).level is Level.WARN
    report = monitor.measure(30 * MS, [0.0, 0.2])
    assert report.level is Level.WARN
    assert report.text == 'b: off by 0.2, allowed 0.15'
    assert monitor.measure(229 * MS, [0.0, 0.2]).level is Level.WARN
    assert monitor.measure(230 * MS, [0.0, 0.2]).level is Level.STOP
    assert monitor.measure(240 * MS, [0.0, 0.0]).level is Level.OK
    assert monitor.measure(250 * MS, [0.0, 0.2]).level is Level.WARN


def test_tracking_allows_for_the_lag() -> None:
    lag = 0.1
    monitor = TrackingMonitor(joints(), tolerance=0.05, lag_s=lag)
    for k in range(200):
        now = k * 10 * MS
        where = 1.0 * k * 0.01
        monitor.command(now, (where, 0.0), (1.0, 0.0))
        report = monitor.measure(now, [max(where - lag, 0.0), 0.0])
        assert report.level is Level.OK, k
    assert report.tolerance == pytest.approx(0.3)
    monitor.reset()
    assert monitor.measure(3 * S, [9.0, 9.0]).level is Level.OK


def test_anti_wind_up_changes_nothing_within_the_tolerance() -> None:
    def kept(reference: float, command: float, tolerance: float = 0.15) -> float:
        one = not_farther_than(
            [tolerance], reference=[reference], command=[command], measured=[1.0]
        )
        return one[0]

    assert kept(9.0, 1.1) == 9.0  # far, but the command is not
    assert kept(9.0, 1.2) == 1.2
    assert kept(-9.0, 1.2) == -9.0  # back to the robot and on
    assert kept(-9.0, 0.8) == 0.8
    assert kept(9.0, 1.2, math.inf) == 9.0


def test_frozen_joint_states_need_motion_of_the_command() -> None:
    frozen = FrozenJoints()
    for k in range(100):
        assert not frozen.check(k * 10 * MS, (0.1, 0.2), (0.1, 0.2))
    hits = [
        frozen.check((100 + k) * 10 * MS, (0.1, 0.2), (0.1 + 0.009 * k, 0.2)) for k in range(9)
    ]
    assert hits.index(True) == 3
    assert not frozen.check(2 * S, (0.11, 0.2), (0.2, 0.2))
    frozen.reset()
    assert not frozen.check(3 * S, (0.11, 0.2), (0.2, 0.2))


def test_overspeed_and_outside_name_their_joints() -> None:
    assert overspeed([2.3, 0.0], joints()) == ''
    assert 'b: 2.5 per second, limit 2' in overspeed([0.0, -2.5], joints())
    assert outside_limits([1.5, 0.0], joints()) == ''
    assert 'a: 1.6 is outside [-1.5, 1.5]' in outside_limits([1.6, 0.0], joints())


def test_overspeed_has_to_last_unless_it_is_far_beyond() -> None:
    """Regressions pinned: one late command, caught up with, stopped the demo (1.2 x, 20 ms)."""
    monitor = OverspeedMonitor(joints())
    assert monitor.check(0, [0.0, -2.5]) == ''
    assert monitor.check(10 * MS, [0.0, -2.5]) == ''
    assert monitor.check(20 * MS, [0.0, 1.9]) == ''
    assert monitor.check(30 * MS, [2.5, 0.0]) == ''
    assert monitor.check(79 * MS, [2.5, 0.0]) == ''
    assert 'a: 2.5 per second, limit 2' in monitor.check(80 * MS, [2.5, 0.0])
    assert monitor.check(90 * MS, [0.0, 0.0]) == ''
    assert 'b: 4.1 per second, limit 2' in monitor.check(100 * MS, [2.5, -4.1])


def test_states_outside_training_are_reported_after_a_while() -> None:
    monitor = TrainingRangeMonitor({'a': (-1.0, 1.0), 'b': (0.0, 0.1)})
    assert monitor.check(0, {'a': 1.09, 'b': 0.0, 'c': 99.0}) == ''
    assert monitor.check(10 * MS, {'a': 1.2, 'b': 0.0}) == ''
    text = monitor.check(210 * MS, {'a': 1.2, 'b': 0.0})
    assert 'a: 1.2 is outside [-1.1, 1.1]' in text
    assert monitor.check(220 * MS, {'a': 0.0}) == ''
    assert monitor.check(1 * S, {'a': 1.2}) == ''
