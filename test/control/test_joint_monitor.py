# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What the joint monitor takes for a joint state of the robot, and what it says otherwise."""

from __future__ import annotations

from loop_rig import DT, ROBOT, Rig
import pytest

from bc_runtime.control.joint_monitor import JointMonitor
from bc_runtime.safety import Flag, State, limits_of

NAMES = ['a', 'b']
WHEELS = ['wheel_left', 'wheel_right']


@pytest.fixture
def monitor() -> JointMonitor:
    return JointMonitor(ROBOT, limits_of(ROBOT.commanded))


def take(monitor: JointMonitor, names: list[str], positions: list[float], t: int) -> bool:
    return monitor.update(names, positions, (), arrival_ns=t, command=None, stamp_ns=t)


def test_messages_about_other_joints_say_nothing(monitor):
    """Regressions pinned: wheels at 5 to 50 Hz on the same topic stopped the robot."""
    for k in range(1, 100):
        assert take(monitor, NAMES, [0.0, 0.1], k * DT)
        # Their stamps may be ahead of the driver's.
        assert not take(monitor, WHEELS, [float(k), float(k)], k * DT + 3_000_000)
        assert monitor.flags(k * DT + 4_000_000) == {}
    assert monitor.measured == (0.0, 0.1)


def test_other_joints_do_not_keep_a_dead_driver_fresh(monitor):
    take(monitor, NAMES, [0.0, 0.1], DT)
    for k in range(2, 20):
        take(monitor, WHEELS, [0.0, 0.0], k * DT)
    assert list(monitor.flags(19 * DT)) == [Flag.JOINT_STATES_STALE]


def test_what_does_not_count_is_counted_by_its_reason(monitor):
    take(monitor, NAMES, [0.0, 0.1], 10 * DT)
    for stamp in (10 * DT, 9 * DT):
        assert not take(monitor, NAMES, [0.0, 0.1], stamp)
    assert not take(monitor, NAMES, [1.0, 0.1], 11 * DT)
    assert not take(monitor, WHEELS, [0.0, 0.0], 12 * DT)
    assert dict(monitor.passed_over) == {'repeated or late': 2, 'refused': 1}


def test_a_message_without_all_joints_is_passed_over(monitor):
    for k in range(1, 100):
        take(monitor, NAMES, [0.0, 0.1], k * DT)
        assert not take(monitor, ['b'], [0.5], k * DT + 3_000_000)
        assert monitor.flags(k * DT + 4_000_000) == {}
    assert monitor.measured == (0.0, 0.1)


def test_a_joint_that_does_not_come_for_its_longest_age_is_named(monitor):
    take(monitor, NAMES, [0.0, 0.1], 10 * DT)
    for k in range(11, 20):
        take(monitor, ['a'], [0.0], k * DT)
        assert monitor.flags(k * DT) == {}
    take(monitor, ['a'], [0.0], 21 * DT)
    flags = monitor.flags(21 * DT)
    assert flags[Flag.JOINT_MISSING] == 'b'
    assert next(iter(flags)) is Flag.JOINT_MISSING


def test_joints_that_come_in_separate_messages_are_told_so(monitor):
    for k in range(1, 40):
        take(monitor, ['a'], [0.0], k * DT)
        take(monitor, ['b'], [0.0], k * DT + 1)
    assert Flag.JOINT_MISSING not in monitor.flags(39 * DT)
    assert 'no message holds all of a, b' in monitor.blockers()[0]


@pytest.mark.parametrize(
    ('names', 'positions', 'why'),
    [
        ([], [], 'no message holds all'),
        ([], [0.0, 0.0], 'no message holds all'),
        (NAMES, [0.0], '2 names and 1 positions'),
        (['a', 'b', 'a'], [0.0, 0.0, 1.0], 'names a twice'),
        (NAMES, [0.0, float('nan')], 'not finite in the last message: b at nan'),
    ],
)
def test_a_first_message_of_no_use_is_no_measurement(names, positions, why, monitor):
    assert not take(monitor, names, positions, DT)
    assert monitor.measured is None
    assert why in monitor.blockers()[0]
    assert not monitor.flags(DT).keys() - {Flag.JOINT_STATES_STALE}


def test_why_joint_states_are_old_is_said(monitor):
    take(monitor, NAMES, [0.0, 0.1], DT)
    for k in range(2, 20):
        take(monitor, NAMES, [0.0, float('inf')], k * DT)
    assert (
        'not finite in the last message: b at inf'
        in (monitor.flags(19 * DT)[Flag.JOINT_STATES_STALE])
    )


def test_the_robot_goes_on_while_wheels_publish_on_its_topic():
    rig = Rig().auto()
    for k in range(100):
        rig.loop.on_joint_state(WHEELS, [0.0, float(k)], arrival_ns=rig.t + DT // 2)
        assert rig.run(0.01).state is State.AUTO
