# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Names that ROS refuses are refused where they are written, before a node is made."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from bc_runtime.deployment import describe
from bc_runtime.spec import RobotConfig, RobotConfigError
from bc_runtime.spec.errors import ConfigError
from bc_runtime.spec.ros_names import message_type_problem, namespace_problem, topic_problem

GOOD = ('a', '/a', '~/a', 'arm_1/joint_states', '/Arm/_x9', '{node}/x', 'a' * 200)
BAD = (
    'joint-states', 'joint states', '/left-arm/joint_states', 'a//b', 'a/', '/', '//a', '1a',
    'a/2b', 'ä', 'a.b', 'a:b', '~a', '~', 'a/~/b', 'a{b}', ' a', 'a\n', 'a' * 201, 'a/b c/d',
)  # fmt: skip


@pytest.mark.parametrize('name', GOOD)
def test_topics_of_ros(name: str) -> None:
    assert topic_problem(name) == ''


@pytest.mark.parametrize('name', BAD)
def test_what_is_no_topic(name: str) -> None:
    assert topic_problem(name)


@pytest.mark.ros
@pytest.mark.parametrize('name', [*GOOD, *BAD])
def test_rclpy_agrees(name: str) -> None:
    from rclpy.exceptions import InvalidTopicNameException
    from rclpy.expand_topic_name import expand_topic_name
    from rclpy.validate_full_topic_name import validate_full_topic_name

    try:
        valid = bool(validate_full_topic_name(expand_topic_name(name, 'node', '/')))
    except (InvalidTopicNameException, ValueError):
        valid = False
    stricter = len(name) > 200 or name.startswith('~')
    assert valid == (topic_problem(name) == '') or (stricter and valid)


@pytest.mark.parametrize('key', ['joint_states.topic', 'command.topic', 'instruction_topic',
                                 'human.estop_topic', 'driver.stopped_topic',
                                 'driver.running_topic', 'driver.speed_scaling_topic',
                                 'cameras.wrist.topic', 'streams.wrench.topic'])  # fmt: skip
@pytest.mark.parametrize('name', ['left-arm/x', 'two words', '9x', 'x/'])
def test_the_robot_yaml_is_read_with_them(robot: dict[str, Any], key: str, name: str) -> None:
    """Regressions pinned: a dash in a topic ended each node with a traceback."""
    *path, last = key.split('.')
    place: Any = robot
    for part in path:
        place = place.setdefault(part, {})
    place[last] = name
    with pytest.raises(RobotConfigError) as no:
        RobotConfig.from_yaml(yaml.safe_dump(robot), source='arm.yaml')
    assert key in str(no.value)
    assert 'is no name that ROS takes for a topic' in str(no.value)
    assert '\n' not in str(no.value)


def test_joints_and_cameras_may_have_dashes_and_spaces(robot: dict[str, Any]) -> None:
    robot['cameras']['wrist cam-2'] = robot['cameras'].pop('wrist')
    text = yaml.safe_dump(robot).replace('lift', 'lift-joint 1')
    config = RobotConfig.from_yaml(text, source='arm.yaml')
    assert 'lift-joint 1' in config.joint_names
    assert 'wrist cam-2' in config.cameras


@pytest.mark.parametrize('name', ['left-arm', 'left arm', 'a//b', '1', 'a/'])
def test_a_namespace_is_refused_before_a_process_starts(name: str) -> None:
    assert namespace_problem(name)
    with pytest.raises(ConfigError, match='no name that ROS takes for a namespace'):
        describe({'namespace': name})


@pytest.mark.parametrize('name', ['', 'arm', '/arm', 'left_arm/one'])
def test_namespaces_of_ros(name: str) -> None:
    assert namespace_problem(name) == ''


@pytest.mark.parametrize(
    'name', ['X', '/msg/X', 'a-b/msg/X', 'a/msg/x y', 'a/srv/X', 'a/msg/', '']
)
def test_message_types(name: str) -> None:
    assert message_type_problem(name)
    assert message_type_problem('geometry_msgs/msg/Wrench') == ''
    assert message_type_problem('geometry_msgs/Wrench') == ''
