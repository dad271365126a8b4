# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""RobotConfig: what the YAML says, and each mistake named by key path."""

from __future__ import annotations

from collections.abc import Callable
import math
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from bc_runtime.spec import RobotConfig, RobotConfigError

Change = Callable[[dict[str, Any]], None]


def read(robot: dict[str, Any]) -> RobotConfig:
    return RobotConfig.from_yaml(yaml.safe_dump(robot, sort_keys=False), source='arm.yaml')


def test_the_shipped_robots_are_valid(repository: Path) -> None:
    files = sorted((repository / 'config' / 'robots').glob('*.yaml'))
    assert files
    for path in files:
        assert RobotConfig.from_file(path).name == path.stem


def test_what_the_yaml_says(robot: dict[str, Any]) -> None:
    config = read(robot)
    assert config.joint_names == ('lift', 'wheel', 'grip')
    lift, wheel, grip = config.joints
    assert (lift.lower, lift.upper, lift.jerk, lift.deceleration) == (-1.5, 1.5, 200.0, 10.0)
    assert (wheel.continuous, wheel.lower, wheel.upper) == (True, -math.inf, math.inf)
    assert (wheel.deceleration, wheel.jerk) == (30.0, None)
    assert grip.gripper
    assert config.command.joints == ('grip', 'lift', 'wheel')
    assert config.cameras['wrist'].clock == 'arrival'
    assert config.streams['wrench'].fields == {'force_z': 'wrench.force.z'}
    assert config.joint('grip') is grip
    assert config.source == 'arm.yaml'


def test_an_unknown_joint_lists_the_known(robot: dict[str, Any]) -> None:
    with pytest.raises(
        RobotConfigError, match="there is no joint 'lit'; joints: grip, lift, wheel"
    ):
        read(robot).joint('lit')


def put(*path: Any, value: Any) -> Change:
    def change(robot: dict[str, Any]) -> None:
        target = robot
        for key in path[:-1]:
            target = target[key]
        if value is None:
            del target[path[-1]]
        else:
            target[path[-1]] = value

    return change


MISTAKES: list[tuple[Change, str, str]] = [
    (put('joints', 0, 'unit', value='deg'), 'joints[0].unit', "expected one of m, rad; got 'deg'"),
    (
        put('joints', 0, 'unit', value=None),
        'joints[0].unit',
        'required key is missing; keys given here',
    ),
    (
        put('joints', 0, 'velocty', value=1),
        'joints[0]',
        'unknown key velocty; known here: acceleration',
    ),
    (put('joints', 0, 'velocty', value=1), 'joints[0]', "Did you mean 'velocity'?"),
    (put('joints', 0, 'velocity', value=0), 'joints[0].velocity', 'a number above 0, got 0'),
    (
        put('joints', 0, 'velocity', value='2 rad/s'),
        'joints[0].velocity',
        "a number, got '2 rad/s' (str)",
    ),
    (put('joints', 0, 'velocity', value=math.inf), 'joints[0].velocity', 'finite number, got inf'),
    (
        put('joints', 0, 'position', value=[1, 1]),
        'joints[0].position',
        'lower < upper, got [1, 1]',
    ),
    (put('joints', 0, 'position', value=[1]), 'joints[0].position', 'expected 2 numbers, got 1'),
    (put('joints', 0, 'position', value=None), 'joints[0].position', 'required key is missing'),
    (
        put('joints', 1, 'position', value=[0, 1]),
        'joints[1].position',
        'no position limits; remove',
    ),
    (
        put('joints', 0, 'margin', value=1.5),
        'joints[0].margin',
        'less than half the range, got 1.5',
    ),
    (
        put('joints', 1, 'deceleration', value=5),
        'joints[1].deceleration',
        'expected at least 20, got 5',
    ),
    (put('joints', 1, 'name', value='lift'), 'joints', 'given more than once: lift'),
    (put('joints', 1, 'name', value=' '), 'joints[1].name', "expected a name, got ' '"),
    (put('joints', value=[]), 'joints', 'at least one joint, got an empty list'),
    (put('joints', value={'lift': {}}), 'joints', 'expected a list, got'),
    (put('command', 'joints', value=['grip', 'lift']), 'command.joints', 'missing: wheel'),
    (
        put('command', 'joints', value=['grip', 'lift', 'weel']),
        'command.joints',
        "not among the robot's joints: weel; joints: grip, lift, wheel",
    ),
    (
        put('command', 'joints', value=['grip', 'lift', 'lift']),
        'command.joints',
        'more than once: lift',
    ),
    (
        put('command', 'type', value='trajectory'),
        'command.type',
        "Did you mean 'joint_trajectory'?",
    ),
    (put('command', 'rate_hz', value=5), 'command.rate_hz', 'expected at least 10, got 5'),
    (put('command', 'rate_hz', value=1000), 'command.rate_hz', 'expected at most 500, got 1000'),
    (put('command', 'topic', value=''), 'command.topic', "expected a name, got ''"),
    (put('command', value=None), 'command', 'required key is missing'),
    (put('joint_states', 'topic', value=None), 'joint_states.topic', 'required key is missing'),
    (put('joint_states', 'max_age_s', value=0), 'joint_states.max_age_s', 'above 0'),
    (put('joint_states', 'latency_s', value=-1), 'joint_states.latency_s', 'at least 0'),
    (put('joint_states', 'rate', value=9), 'joint_states', 'unknown key rate'),
    (
        put('cameras', 'front', 'transport', value='h264'),
        'cameras.front.transport',
        'compressed, raw',
    ),
    (put('cameras', 'front', 'clock', value='wall'), 'cameras.front.clock', 'arrival, header'),
    (put('cameras', 'front', value='front/image_raw'), 'cameras.front', 'expected a mapping, got'),
    (
        put('cameras', 1, value={'topic': 'x'}),
        'cameras',
        'expected keys of text, got 1 (int); quote it',
    ),
    (
        put('streams', 'wrench', 'fields', value={}),
        'streams.wrench.fields',
        'at least one field, e.g.',
    ),
    (
        put('streams', 'wrench', 'type', value=None),
        'streams.wrench.type',
        'required key is missing',
    ),
    (put('human', value={'estop': 'x'}), 'human', "Did you mean 'estop_topic'?"),
    (put('tolerances', value={'tracking': 0}), 'tolerances.tracking', 'above 0'),
    (put('schema_version', value=9), 'schema_version', 'reads version 1, got 9'),
    (put('camera', value={}), '', 'unknown key camera; known here: cameras, command'),
]


@pytest.mark.parametrize(
    ('change', 'path', 'words'), MISTAKES, ids=[f'{p or "top"}: {w[:30]}' for _, p, w in MISTAKES]
)
def test_a_mistake_is_named(robot: dict[str, Any], change: Change, path: str, words: str) -> None:
    change(robot)
    with pytest.raises(RobotConfigError) as error:
        read(robot)
    text = str(error.value)
    assert text.startswith('arm.yaml: ' + (f'{path}: ' if path else ''))
    assert words in text
    assert error.value.path == path
    assert error.value.source == 'arm.yaml'


#: What a JSON Schema does not say: it compares a key with another one, or with the names in it.
LEFT_TO_THE_READER = (
    'lower < upper',
    'less than half the range',
    'expected at least 20',
    'more than once',
    'at least one joint',
    'missing: wheel',
    'not among the robot',
    'reads version 1',
    'keys of text',
    'finite number, got inf',
)


@pytest.mark.parametrize(
    ('change', 'words'),
    [(c, w) for c, _, w in MISTAKES if not any(part in w for part in LEFT_TO_THE_READER)],
)
def test_the_json_schema_refuses_a_mistake(
    robot: dict[str, Any],
    validator: jsonschema.Draft202012Validator,
    change: Change,
    words: str,
) -> None:
    change(robot)
    assert list(validator.iter_errors(robot)), words


def test_a_camera_given_twice_is_refused(robot: dict[str, Any]) -> None:
    text = yaml.safe_dump(robot).replace('  wrist:', '  front:')
    with pytest.raises(RobotConfigError, match='key given more than once: front'):
        RobotConfig.from_yaml(text)


def test_yaml_anchors_may_be_overridden(robot: dict[str, Any]) -> None:
    text = yaml.safe_dump(robot) + ('human: &human {estop_topic: estop, heartbeat_s: 1.0}\n')
    text = text.replace('cameras:\n', 'cameras:\n  top: {<<: *cam, topic: top}\n')
    text = text.replace(
        '  top: {<<: *cam', '  side: &cam {topic: side, rate_hz: 15.0}\n  top: {<<: *cam'
    )
    config = RobotConfig.from_yaml(text)
    assert (config.cameras['top'].topic, config.cameras['top'].rate_hz) == ('top', 15.0)


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        (b'', 'expected a mapping, got None'),
        (b'- a\n', "expected a mapping, got ['a'] (list)"),
        (b'joints: [\n', 'not valid YAML'),
        (b'\xff\xfe\x00\x01', 'cannot be read'),
        (b'# ' + b'x' * 1_000_001, 'larger than 1 MB'),
    ],
)
def test_a_file_that_is_no_robot(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / 'arm.yaml'
    path.write_bytes(content)
    with pytest.raises(RobotConfigError) as error:
        RobotConfig.from_file(path)
    assert words in str(error.value)
    assert str(path) in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RobotConfigError, match=r'nowhere\.yaml: cannot be read'):
        RobotConfig.from_file(tmp_path / 'nowhere.yaml')
