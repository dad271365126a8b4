# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bc_runtime.observation import ObservationAssembler, StreamKind, bind
from bc_runtime.spec import BindingError, PolicySpec, RobotConfig

Specs = Callable[..., PolicySpec]
Robots = Callable[..., RobotConfig]


def refusal(spec: PolicySpec, robot: RobotConfig) -> str:
    with pytest.raises(BindingError) as caught:
        ObservationAssembler(spec=spec, robot=robot)
    return str(caught.value)


def test_streams_say_what_to_subscribe_to(
    make_spec: Specs, make_robot: Robots, inputs: Any
) -> None:
    spec = make_spec(
        inputs.state(), inputs.image('front'), inputs.image('side'), inputs.vector(), inputs.task()
    )
    streams = bind(spec, make_robot())
    assert list(streams) == [
        'joint_states',
        'cameras/front',
        'cameras/side',
        'streams/wrench',
        'instruction',
    ]
    assert streams['cameras/side'].type == 'sensor_msgs/msg/CompressedImage'
    assert streams['cameras/side'].topic == 'side/image/compressed'
    assert streams['cameras/side'].key == 'side'
    assert streams['streams/wrench'].fields['force_z'] == 'wrench.force.z'
    assert streams['streams/wrench'].kind is StreamKind.VECTOR
    assert streams['instruction'].topic == 'instruction'


def test_only_what_the_policy_uses_is_asked_for(
    make_spec: Specs, make_robot: Robots, inputs: Any
) -> None:
    assert list(bind(make_spec(inputs.image()), make_robot())) == ['cameras/front']


def test_a_missing_joint_and_camera_print_both_sides(
    make_spec: Specs, make_robot: Robots, inputs: Any
) -> None:
    spec = make_spec(inputs.state(joints=['shoulder', 'elbow']), inputs.image('top'))
    text = refusal(spec, make_robot())
    assert "'policy'" in text
    assert "'arm'" in text
    assert "input 'state' needs the joint 'elbow'" in text
    assert "input 'top' needs the camera 'top'" in text
    assert 'policy joints: shoulder, elbow' in text
    assert 'robot joints:  shoulder, wrist, gripper' in text
    assert 'policy cameras: top' in text
    assert 'robot cameras:  front, side' in text


def test_units_must_agree(make_spec: Specs, make_robot: Robots, inputs: Any) -> None:
    spec = make_spec(inputs.state(units=['rad', 'rad', 'mm']))
    text = refusal(spec, make_robot())
    assert "takes the position of 'gripper' in mm, the robot gives m" in text
    spec = make_spec(inputs.state(quantity='velocity'))
    assert "velocity of 'shoulder' in rad, the robot gives rad/s" in refusal(spec, make_robot())


def test_a_missing_stream_and_field(make_spec: Specs, make_robot: Robots, inputs: Any) -> None:
    text = refusal(make_spec(inputs.vector(stream='touch')), make_robot())
    assert "needs the stream 'touch', which the robot lacks" in text
    assert 'robot streams:  wrench(force_x, force_z)' in text
    text = refusal(make_spec(inputs.vector(names=['torque_z'])), make_robot())
    assert "needs 'torque_z', which the stream 'wrench' lacks" in text


def test_relative_actions_need_an_observed_state(
    make_spec: Specs, make_robot: Robots, inputs: Any
) -> None:
    spec = make_spec(
        inputs.image(), reference='observation_state', action_names=('shoulder', 'tool.x')
    )
    text = refusal(spec, make_robot())
    assert "the action 'tool.x' is relative to the observed state" in text
    spec = make_spec(inputs.image(), reference='observation_state', action_names=('shoulder',))
    assert 'joint_states' in bind(spec, make_robot())


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'dtype': 'uint16'}, 'rgb pictures as uint16; possible are uint8, float32'),
        ({'color': 'depth', 'dtype': 'uint8'}, 'depth pictures as uint8; possible are uint16'),
        (
            {'color': 'depth', 'dtype': 'float32', 'value_range': [0.0, 1.0]},
            'gives a value_range for depth',
        ),
    ],
)
def test_pictures_that_cannot_be_made(
    changes: dict[str, Any], words: str, make_spec: Specs, make_robot: Robots, inputs: Any
) -> None:
    assert words in refusal(make_spec(inputs.image(**changes)), make_robot())
