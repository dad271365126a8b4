# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""One description of the deployment, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from bc_runtime.cli.processes import command_line
from bc_runtime.deployment import ARGUMENTS, OWNED_PARAMETERS, describe, recorded_topics
from bc_runtime.spec import ConfigError


def test_defaults_describe_the_shipped_robot() -> None:
    deployment = describe({})
    assert [node.name for node in deployment.nodes] == [
        'controller',
        'observation',
        'inference',
        'recorder',
    ]
    for node in deployment.nodes:
        line = command_line(node)
        assert node.module in line
        assert '--params-file' in line


def test_without_recording_there_is_no_recorder() -> None:
    assert 'recorder' not in [node.name for node in describe({'record': 'none'}).nodes]


def test_namespace_and_values_reach_every_process() -> None:
    deployment = describe({'namespace': '/left', 'dry_run': 'true', 'use_sim_time': 'true'})
    for node in deployment.nodes:
        line = command_line(node)
        assert '__ns:=/left' in line
        assert 'use_sim_time:=true' in line
    assert 'dry_run:=true' in command_line(deployment.nodes[0])


def test_pictures_are_recorded_as_asked() -> None:
    robot = describe({}).robot
    raw = dict(recorded_topics(robot, 'raw'))
    small = dict(recorded_topics(robot, 'compressed'))
    assert raw['front/image_raw'] == 'sensor_msgs/msg/Image'
    assert small['front/image_raw/compressed'] == 'sensor_msgs/msg/CompressedImage'


@pytest.mark.parametrize(
    ('given', 'words'),
    [
        ({'robott': 'x'}, ['unknown launch argument robott', 'robot']),
        ({'dry_run': 'yes'}, ['dry_run', 'true', "'yes'"]),
        ({'robot': 'sim_arn'}, ["no robot 'sim_arn'", "Did you mean 'sim_arm'"]),
        ({'params_file': '/no/such.yaml'}, ['params_file /no/such.yaml']),
    ],
)
def test_bad_arguments_say_what_is_possible(given: dict[str, str], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        describe(given)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize('name', OWNED_PARAMETERS)
def test_a_parameters_file_cannot_overrule_a_launch_argument(tmp_path: Path, name: str) -> None:
    file = tmp_path / 'params.yaml'
    file.write_text(f'/**/controller:\n  ros__parameters:\n    {name}: false\n')
    with pytest.raises(ConfigError, match=name):
        describe({'params_file': str(file), 'dry_run': 'true'})


def test_nested_namespaces_are_looked_into(tmp_path: Path) -> None:
    file = tmp_path / 'params.yaml'
    file.write_text('left:\n  controller:\n    ros__parameters:\n      dry_run: false\n')
    with pytest.raises(ConfigError, match='left/controller'):
        describe({'params_file': str(file)})


def test_every_argument_says_what_it_is() -> None:
    assert all(len(argument.description) > 10 for argument in ARGUMENTS)


def test_a_shadow_has_topics_of_its_own_and_is_not_required() -> None:
    deployment = describe({'shadow_model': 'sim_arm_act'})
    shadows = [node for node in deployment.nodes if node.name.startswith('shadow_')]
    assert [node.name for node in shadows] == ['shadow_observation', 'shadow_inference']
    for node in shadows:
        assert 'action_chunk:=shadow/action_chunk' in command_line(node)
        assert not node.required
    recorder = deployment.nodes[-1]
    assert any('shadow/action_chunk' in topic for topic in recorder.parameters['topics'])
    assert all(node.required for node in deployment.nodes if node not in shadows)


def test_model_directories_reach_whoever_loads_models() -> None:
    nodes = {n.name: n for n in describe({'model_directories': '/a:/b'}).nodes}
    assert nodes['inference'].parameters['model_directories'] == ['/a', '/b']
    assert "model_directories:=['/a', '/b']" in command_line(nodes['inference'])
    assert 'model_directories' not in describe({}).nodes[2].parameters


def test_a_robot_without_joints_and_with_a_joystick_is_recorded(tmp_path: Path) -> None:
    file = tmp_path / 'car.yaml'
    file.write_text("""
schema_version: 1
name: car
command:
  {type: twist, topic: cmd_vel, rate_hz: 50.0, axes: {linear.x: {velocity: 1, acceleration: 1}}}
human: {takeover_type: joy, takeover_topic: joy, takeover_button: 1, teleop_topic: stick}
""")
    topics = dict(recorded_topics(describe({'robot': str(file)}).robot, 'raw'))
    assert topics['cmd_vel'] == 'geometry_msgs/msg/Twist'
    assert topics['joy'] == 'sensor_msgs/msg/Joy'
    assert topics['stick'] == 'geometry_msgs/msg/Twist'
    assert '' not in topics
