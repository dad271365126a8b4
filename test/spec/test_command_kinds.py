# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Robots that take velocities, mobile bases, and what a human may steer them with."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from bc_runtime.binding import check_actions
from bc_runtime.spec import BindingError, PolicySpec, RobotConfig, RobotConfigError

AXES = {
    'linear.x': {'velocity': 1.0, 'acceleration': 2.0, 'deceleration': 4.0},
    'angular.z': {'velocity': 2.0, 'acceleration': 6.0},
}
ARM_JOINTS = [
    {'name': 'a', 'unit': 'rad', 'position': [-1, 1], 'velocity': 1.0, 'acceleration': 5.0},
    {'name': 'b', 'unit': 'm', 'position': [0, 1], 'velocity': 1.0, 'acceleration': 5.0},
]


def base(**changes: Any) -> dict[str, Any]:
    command = {'type': 'twist', 'topic': 'cmd_vel', 'rate_hz': 50.0, 'axes': AXES}
    return {'schema_version': 1, 'name': 'car', 'command': command | changes}


def arm(human: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    command = {
        'type': 'float64_multi_array',
        'topic': 'commands',
        'joints': ['b', 'a'],
        'rate_hz': 50.0,
    }
    return {
        'schema_version': 1,
        'name': 'arm',
        'joints': ARM_JOINTS,
        'joint_states': {'topic': 'joint_states'},
        'command': command | changes,
        'human': human or {},
    }


def read(robot: dict[str, Any]) -> RobotConfig:
    return RobotConfig.from_yaml(yaml.safe_dump(robot, sort_keys=False))


def policy(*groups: tuple[str, list[str], list[str]]) -> PolicySpec:
    return PolicySpec.from_dict(
        {
            'schema_version': 1,
            'name': 'p',
            'family': 'mlp',
            'control_hz': 10.0,
            'chunk_size': 4,
            'inputs': [{'kind': 'noise', 'name': 'n', 'shape': [1, 2], 'distribution': 'normal'}],
            'output': {
                'name': 'action',
                'groups': [{'kind': k, 'names': n, 'units': u} for k, n, u in groups],
            },
        }
    )


def test_a_base_needs_no_joints():
    robot = read(base())
    assert robot.joints == ()
    assert robot.joint_states.topic == ''
    assert robot.command.joints == ('linear.x', 'angular.z')
    assert robot.command.is_twist
    assert robot.command.takes_velocities
    assert [axis.unit for axis in robot.commanded] == ['m', 'rad']
    assert robot.joint('linear.x').deceleration == 4.0
    assert robot.joint('angular.z').deceleration == 6.0


def test_a_stamped_twist_has_a_frame():
    assert read(base(type='twist_stamped')).command.frame_id == 'base_link'
    assert read(base(type='twist_stamped', frame_id='base')).command.frame_id == 'base'


@pytest.mark.parametrize(
    ('robot', 'words'),
    [
        (base(axes={'linear.w': {}}), 'a Twist has no such axis'),
        (base(axes={}), 'expected at least one axis'),
        (base(joints=['a']), 'a Twist commands no joints'),
        (base(interface='position'), 'interface'),
        (base(type='joint_state'), 'joints: required key'),
        (arm(type='joint_trajectory', interface='velocity'), 'a joint_trajectory carries positio'),
        (arm(interface='effort'), "expected one of position, velocity; got 'effort'"),
        (
            arm({'takeover_topic': 't', 'teleop_topic': 'x', 'teleop_type': 'twist'}),
            'twist cannot steer a robot with command.type float64_multi_array: .*kinematics',
        ),
        (
            base() | {'human': {'takeover_topic': 't', 'teleop_topic': 'x',
                                'teleop_type': 'joint_state'}},
            'the command is a Twist',
        ),
        (arm({'teleop_topic': 'x'}), 'only a held button'),
        (arm({'takeover_type': 'service'}), 'needs a teleop_topic'),
        (
            arm({'takeover_type': 'service', 'takeover_topic': 't', 'teleop_topic': 'x'}),
            'service has no topic',
        ),
        (
            arm({'takeover_type': 'joy', 'takeover_topic': 't', 'teleop_topic': 'x'}),
            'takeover_button: required key is missing',
        ),
    ],
)  # fmt: skip
def test_each_mistake_is_named(robot, words):
    with pytest.raises(RobotConfigError, match=words):
        read(robot)


def test_what_a_human_may_steer_with():
    human = {'takeover_type': 'joy', 'takeover_topic': 'joy', 'takeover_button': 4,
             'teleop_topic': 'x', 'teleop_type': 'joint_trajectory'}  # fmt: skip
    read_human = read(arm(human)).human
    assert (read_human.takeover_type, read_human.takeover_button) == ('joy', 4)
    service = {'takeover_type': 'service', 'teleop_topic': 'x'}
    assert read(base() | {'human': service}).human.teleop_type == 'twist'
    assert read(arm(service)).human.teleop_type == 'joint_state'


CAR = policy(
    ('linear_velocity', ['linear.x'], ['m/s']), ('angular_velocity', ['angular.z'], ['rad/s'])
)
RATES = policy(('joint_velocity', ['a', 'b'], ['rad/s', 'm/s']))
PLACES = policy(('joint_position', ['a', 'b'], ['rad', 'm']))
MIXED = policy(('joint_velocity', ['a'], ['rad/s']), ('gripper', ['b'], ['m']))


@pytest.mark.parametrize(
    ('spec', 'robot'),
    [
        (CAR, base()),
        (CAR, base(type='twist_stamped')),
        (PLACES, arm()),
        (RATES, arm()),
        (MIXED, arm()),
        (RATES, arm(interface='velocity')),
        (RATES, arm(type='joint_state', interface='velocity')),
    ],
)
def test_what_fits(spec, robot):
    check_actions(spec, read(robot))


@pytest.mark.parametrize(
    ('spec', 'robot', 'words'),
    [
        (CAR, arm(), 'carries joint positions'),
        (PLACES, arm(interface='velocity'), 'carries joint velocities'),
        (MIXED, arm(interface='velocity'), 'carries joint velocities'),
        (RATES, base(), 'carries velocities of its body'),
        (policy(('linear_velocity', ['linear.x'], ['m/s'])), base(), 'the same axes.*angular.z'),
        (policy(('joint_velocity', ['a', 'b'], ['rad', 'm'])), arm(), "'a' in 'rad'.*'rad/s'"),
        (
            policy(('linear_velocity', ['linear.x', 'angular.z'], ['m/s', 'rad/s'])),
            base(),
            "calls 'angular.z' a linear_velocity",
        ),
    ],
)
def test_what_does_not_fit_is_said(spec, robot, words):
    with pytest.raises(BindingError, match=words):
        check_actions(spec, read(robot))
