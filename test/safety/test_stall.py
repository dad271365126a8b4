# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""StallMonitor: a blocked joint is found however the plan behaves; a lagging one never is."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from bc_runtime.safety import StallMonitor
from bc_runtime.spec.errors import SafetyError

NS = 1_000_000_000
DT_S = 0.01
ERROR, WINDOW_S, LAG_S = 0.05, 0.5, 0.2

#: A velocity for some ticks, again and again: any path of a command.
MOVES = st.lists(st.tuples(st.floats(-4.0, 4.0), st.integers(1, 120)), min_size=1, max_size=8)


def monitor(watched=(True,)):
    names = [f'joint_{k + 1}' for k in range(len(watched))]
    return StallMonitor(names, watched=watched, error=ERROR, window_s=WINDOW_S, lag_s=LAG_S)


def path(moves):
    q = 0.0
    for velocity, ticks in moves:
        for _ in range(ticks):
            q += velocity * DT_S
            yield q


def run(stall, pairs, start_ns=0):
    """Feed (measured, command) at the control rate; return the first text and when it came [s]."""
    for k, (measured, command) in enumerate(pairs):
        text = stall.measure(start_ns + round(k * DT_S * NS), (measured,), (command,))
        if text:
            return text, k * DT_S
    return '', math.inf


@given(moves=MOVES, lag_s=st.floats(0.0, LAG_S), at=st.floats(-2.0, 2.0))
@settings(deadline=None)
def test_property_no_command_makes_a_lagging_servo_look_blocked(moves, lag_s, at):
    share = 1.0 if lag_s == 0.0 else 1.0 - math.exp(-DT_S / lag_s)

    def servo():
        q = at
        for command in path(moves):
            yield q, command
            q += share * (command - q)

    assert run(monitor(), servo()) == ('', math.inf)


@given(moves=MOVES, ticks=st.integers(0, 6))
@settings(deadline=None)
def test_property_a_short_delay_is_not_blocked(moves, ticks):
    assert ERROR * WINDOW_S * (1.0 - 0.06 / (2.0 * LAG_S)) >= 4.0 * 0.06**2
    commands = [0.0] * ticks + list(path(moves))
    assert run(monitor(), zip(commands, commands[ticks:], strict=False)) == ('', math.inf)


@given(
    distances=st.lists(st.floats(-0.3, 0.3), min_size=50, max_size=200),
    at=st.floats(-2.0, 2.0),
)
@settings(deadline=None)
def test_property_a_blocked_joint_is_found_when_it_was_behind_by_enough_on_average(distances, at):
    text, when_s = run(monitor(), ((at, at + d) for d in distances))
    width = round(WINDOW_S / DT_S)
    behind = [
        abs(math.fsum(distances[k : k + width])) / width for k in range(len(distances) - width)
    ]
    if any(b > ERROR * (1.0 + 1e-9) for b in behind):
        first = next(k for k, b in enumerate(behind) if b > ERROR * (1.0 - 1e-9))
        assert text
        assert when_s <= (first + width + 1) * DT_S + 1e-9 or behind[first] < ERROR * (1 + 1e-6)
    elif all(b < ERROR * (1.0 - 1e-9) for b in behind):
        assert not text


def test_a_plan_that_begins_at_the_robot_again_and_again_does_not_hide_the_block():
    """Chunks of 0.4 s, each anchored at the measured state: the distance is a saw."""
    ramp = [0.6 * DT_S * k for k in range(40)]
    text, when_s = run(monitor(), ((1.0, 1.0 + d) for d in ramp * 5))
    assert text == 'joint_1: behind by +0.099 on average for 0.5 s and came 0 nearer'
    assert when_s <= WINDOW_S + DT_S


def test_a_joint_that_stops_in_motion_is_found_within_its_window():
    """A servo of 0.1 s follows at 0.6 rad/s, then something holds the joint."""

    def servo():
        q = command = 0.0
        for k in range(300):
            command += 0.6 * DT_S
            yield q, min(command, q + 0.2)  # the plan stays near the robot
            if k < 150:
                q += 0.1 * (command - q)

    text, when_s = run(monitor(), servo())
    assert text
    assert 1.5 < when_s <= 1.5 + WINDOW_S


def test_a_gripper_that_holds_something_is_not_judged():
    stall = monitor(watched=(True, False))
    for k in range(200):
        assert stall.measure(round(k * DT_S * NS), (0.0, 0.04), (0.0, -0.1)) == ''


def test_only_the_blocked_joint_is_named():
    stall = monitor(watched=(True, True))
    texts = [stall.measure(round(k * DT_S * NS), (0.0, 0.3), (0.0, 0.1)) for k in range(60)]
    assert texts[-1].startswith('joint_2: behind by -0.2 on average')
    assert 'joint_1' not in texts[-1]


def test_reset_and_a_pause_begin_a_new_window():
    stall = monitor()
    far = [(0.0, 0.3)] * 49
    assert run(stall, far) == ('', math.inf)
    stall.reset()
    assert run(stall, far, start_ns=NS) == ('', math.inf)
    assert run(stall, far, start_ns=2 * NS) == ('', math.inf)  # half a second of silence before
    assert run(stall, [(0.0, 0.3)] * 60, start_ns=3 * NS)[0]


@pytest.mark.parametrize('field', ['error', 'window_s', 'lag_s'])
def test_what_makes_no_sense_is_refused(field):
    with pytest.raises(SafetyError, match=field):
        StallMonitor(['a'], watched=[True], **{field: 0.0})
    with pytest.raises(SafetyError, match='watched'):
        StallMonitor(['a'], watched=[])
