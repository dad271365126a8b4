# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from bc_runtime.control.surroundings import Surroundings
from bc_runtime.safety import Flag, JointLimits
from bc_runtime.spec import ActionKind

MS = 1_000_000
S = 1_000_000_000
LIMITS = [
    JointLimits(name=name, lower=-1.0, upper=1.0, velocity=1.0, acceleration=5.0, deceleration=5.0)
    for name in ('a', 'b')
]


def raised(one):
    return {flag for flag, text in one.flags().items() if text}


def joint_states(one, positions=(0.0, 0.0), *, seconds=2.0, start_s=0.0, early_s=0.0):
    for k in range(round(seconds * 100)):
        now = 1000 * S + round((start_s + k * 0.01) * S)
        one.on_joint_state(
            ('b', 'a'),
            positions,
            mono_ns=now,
            ros_ns=now,
            stamp_ns=now + round(early_s * S) - MS,
        )


def test_a_healthy_robot_has_nothing_to_say():
    one = Surroundings(LIMITS)
    joint_states(one)
    one.on_observation({'cameras/front': ''}, mono_ns=0)
    assert raised(one) == set()
    assert one.blockers() == ()


def test_a_robot_outside_its_limits_starts_only_to_recover():
    one = Surroundings(LIMITS)
    joint_states(one, (1.2, 0.0))
    assert 'b: 1.2 is outside' in one.blockers()[0]
    assert 'recover' in one.blockers()[0]
    allowed = Surroundings(LIMITS, recover=True)
    joint_states(allowed, (1.2, 0.0))
    assert allowed.blockers() == ()


def test_those_who_say_that_the_robot_has_stopped_are_believed_each():
    one = Surroundings(LIMITS)
    one.on_robot_stopped(True, 'stopped')
    one.on_robot_stopped(False, 'running')
    for _ in range(2):
        assert Flag.ROBOT_STOPPED in raised(one)
    assert 'stopped itself' in one.blockers()[0]
    one.on_robot_stopped(False, 'stopped')
    assert raised(one) == set()


def test_a_stop_that_is_over_before_the_next_tick_counts_once():
    one = Surroundings(LIMITS)
    one.on_robot_stopped(True, 'stopped')
    one.on_robot_stopped(False, 'stopped')
    assert raised(one) == {Flag.ROBOT_STOPPED}
    assert raised(one) == set()


def test_a_joint_at_its_end_and_a_gripper_pressed_shut_may_start():
    one = Surroundings(LIMITS, grippers=['b'])
    joint_states(one, (1.2, 1.005))
    assert one.blockers() == ()


@pytest.mark.parametrize('early_s', [0.2, -0.2])
def test_a_clock_that_is_off_warns_and_refuses_a_start(early_s):
    one = Surroundings(LIMITS)
    joint_states(one, early_s=early_s)
    assert (Flag.CLOCK_SKEW in raised(one), len(one.blockers())) == (True, 1)
    assert f'{early_s - 0.001:+.3f} s' in one.blockers()[0]


def test_a_clock_that_is_a_little_ahead_only_warns():
    one = Surroundings(LIMITS)
    joint_states(one, early_s=0.02)
    assert raised(one) == {Flag.CLOCK_SKEW}
    assert one.blockers() == ()


def test_stamps_that_are_not_believed_are_not_judged():
    one = Surroundings(LIMITS)
    one.on_joint_state(('a', 'b'), (0.0, 0.0), mono_ns=0, ros_ns=5 * S, stamp_ns=0)
    assert raised(one) == set()


def test_a_camera_that_sees_nothing_counts_after_a_while():
    one = Surroundings(LIMITS)
    dark = {'cameras/front': 'BLANK', 'cameras/wrist': ''}
    for k in range(3):
        one.on_observation(dark, mono_ns=k * 66 * MS)
        assert raised(one) == set()
    one.on_observation(dark, mono_ns=3 * 66 * MS)  # row 4: within 0.3 s, a period before included
    assert 'cameras/front' in one.flags()[Flag.CAMERA_DARK]
    one.on_observation({'cameras/front': '', 'cameras/wrist': ''}, mono_ns=400 * MS)
    assert raised(one) == set()


def test_states_outside_training_are_named_and_forgotten_with_the_policy():
    one = Surroundings(LIMITS)
    known = SimpleNamespace(minimum=-0.5, maximum=0.5)
    gripper = SimpleNamespace(kind=ActionKind.GRIPPER, names=('b',))
    ranges = {'state.a': known, 'state.b': known, 'action.a': known}
    one.on_policy(SimpleNamespace(training_ranges=ranges, actions=(gripper,)))
    joint_states(one, (0.9, 0.9), seconds=0.1)
    assert raised(one) == set()
    joint_states(one, (0.9, 0.9), seconds=0.3, start_s=0.1)
    text = one.flags()[Flag.OUT_OF_DISTRIBUTION]
    assert text.startswith('a: 0.9') and 'b' not in text
    one.on_policy(SimpleNamespace(training_ranges={}, actions=()))
    joint_states(one, (0.9, 0.9), seconds=0.5, start_s=0.5)
    assert raised(one) == set()


def test_a_robot_that_stopped_itself_does_not_start_and_does_not_go_on():
    one = Surroundings(LIMITS)
    for stop, go in (
        (lambda: one.on_robot_stopped(True), lambda: one.on_robot_stopped(False)),
        (lambda: one.on_speed_scaling(0.0), lambda: one.on_speed_scaling(1.0)),
        (lambda: one.on_speed_scaling(float('nan')), lambda: one.on_speed_scaling(0.3)),
    ):
        stop()
        assert raised(one) == {Flag.ROBOT_STOPPED}
        assert 'stopped itself' in one.blockers()[0]
        go()
        assert raised(one) == set() and one.blockers() == ()


def test_a_camera_is_late_only_while_an_observation_waits_for_it():
    one = Surroundings(LIMITS, late_s={'cameras/front': 0.067, 'cameras/wrist': 0.067})
    good = {'cameras/front': '', 'cameras/wrist': ''}
    ages = {'cameras/front': 0.1, 'cameras/wrist': 0.02, 'joint_states': 9.0}
    one.on_observation(good, mono_ns=0, ages_s=ages)
    assert raised(one) == set(), 'a frame that no observation needed may be lost'
    one.on_observation(good, mono_ns=0, waits=True, ages_s=ages)
    assert one.flags()[Flag.CAMERA_LATE] == 'cameras/front: 0.10 s'
    one.on_observation(good, mono_ns=0, waits=True, ages_s={**ages, 'cameras/front': math.nan})
    assert raised(one) == set()
    one.on_observation(good, mono_ns=0, waits=True, ages_s=ages)
    one.on_observation(good, mono_ns=0, ages_s={**ages, 'cameras/front': 0.01})
    assert raised(one) == set()
