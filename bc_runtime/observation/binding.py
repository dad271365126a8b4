# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""bind: which streams of the robot a policy needs, by name, or an error that prints both sides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from bc_runtime.observation.instruction import INSTRUCTION
from bc_runtime.observation.picture import DTYPES
from bc_runtime.spec.actions import Reference
from bc_runtime.spec.errors import BindingError
from bc_runtime.spec.inputs import ImageInput, StateInput, VectorInput
from bc_runtime.spec.joint_config import JOINT_UNITS
from bc_runtime.spec.policy_spec import PolicySpec
from bc_runtime.spec.robot_config import RobotConfig

JOINT_STATES = 'joint_states'


def camera_stream(name: str) -> str:
    """Return the stream name of a camera."""
    return f'cameras/{name}'


def vector_stream(name: str) -> str:
    """Return the stream name of a vector stream."""
    return f'streams/{name}'


class StreamKind(StrEnum):
    """What kind of message a stream carries."""

    JOINT_STATES = 'joint_states'
    CAMERA = 'camera'
    VECTOR = 'vector'
    INSTRUCTION = 'instruction'


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRequest:
    """A stream that the policy needs; what a node has to subscribe to.

    Attributes:
        name: `joint_states`, `cameras/<name>`, `streams/<name>` or `instruction`.
        topic: Relative topic name.
        type: Message type, e.g. `sensor_msgs/msg/Image`.
        key: Name of the camera or vector stream in the robot YAML, else empty.
        fields: Vector streams: name -> path inside the message (see `FieldPath`).
    """

    name: str
    kind: StreamKind
    topic: str
    type: str
    key: str
    fields: Mapping[str, str]


def bind(spec: PolicySpec, robot: RobotConfig) -> Mapping[str, StreamRequest]:
    """Return the streams that the policy needs of the robot, by stream name.

    Raises:
        BindingError: lists everything that does not fit, then both sides.
    """
    problems = list(_problems(spec, robot))
    if problems:
        raise BindingError(
            f'the policy {spec.name!r} does not fit the robot {robot.name!r}:\n'
            + ''.join(f'  - {problem}\n' for problem in problems)
            + _sides(spec, robot)
        )
    requests = []
    if spec.state_inputs or anchor_joints(spec, robot):
        requests.append(
            _request(JOINT_STATES, StreamKind.JOINT_STATES, robot.joint_states.topic, 'JointState')
        )
    for name in dict.fromkeys(item.camera for item in spec.image_inputs):
        camera = robot.cameras[name]
        kind = 'CompressedImage' if camera.transport == 'compressed' else 'Image'
        requests.append(
            _request(camera_stream(name), StreamKind.CAMERA, camera.topic, kind, key=name)
        )
    for name in dict.fromkeys(item.stream for item in vector_inputs(spec)):
        vector = robot.streams[name]
        requests.append(
            StreamRequest(
                name=vector_stream(name),
                kind=StreamKind.VECTOR,
                topic=vector.topic,
                type=vector.type,
                key=name,
                fields=vector.fields,
            )
        )
    if spec.instruction_inputs:
        requests.append(
            StreamRequest(
                name=INSTRUCTION,
                kind=StreamKind.INSTRUCTION,
                topic=robot.instruction_topic,
                type='std_msgs/msg/String',
                key='',
                fields=MappingProxyType({}),
            )
        )
    return MappingProxyType({request.name: request for request in requests})


def vector_inputs(spec: PolicySpec) -> tuple[VectorInput, ...]:
    """Return the inputs made of vector streams."""
    return tuple(item for item in spec.inputs if isinstance(item, VectorInput))


def anchor_names(spec: PolicySpec) -> tuple[str, ...]:
    """Return the names whose observed value relative actions start from."""
    return tuple(
        name
        for group in spec.actions
        if group.reference is Reference.OBSERVATION_STATE
        for name in group.names
    )


def anchor_joints(spec: PolicySpec, robot: RobotConfig) -> tuple[str, ...]:
    """Return the anchor names that are joints; the others are fields of vector inputs."""
    return tuple(name for name in anchor_names(spec) if name in robot.joint_names)


def _request(name: str, kind: StreamKind, topic: str, type_: str, key: str = '') -> StreamRequest:
    return StreamRequest(
        name=name,
        kind=kind,
        topic=topic,
        type=f'sensor_msgs/msg/{type_}',
        key=key,
        fields=MappingProxyType({}),
    )


def _problems(spec: PolicySpec, robot: RobotConfig) -> Iterator[str]:
    for item in spec.inputs:
        if isinstance(item, StateInput):
            yield from _state_problems(item, robot)
        elif isinstance(item, ImageInput):
            yield from _image_problems(item, robot)
        elif isinstance(item, VectorInput):
            yield from _vector_problems(item, robot)
    fields = [name for item in vector_inputs(spec) for name in item.names]
    for name in anchor_names(spec):
        if name not in robot.joint_names and name not in fields:
            yield (
                f'the action {name!r} is relative to the observed state, but there is no joint '
                'and no vector input of that name'
            )


def _state_problems(item: StateInput, robot: RobotConfig) -> Iterator[str]:
    for joint, unit in zip(item.joints, item.units, strict=True):
        if joint not in robot.joint_names:
            yield f'input {item.name!r} needs the joint {joint!r}, which the robot lacks'
            continue
        have = robot.joint(joint).unit
        expected = {'position': have, 'velocity': JOINT_UNITS[have]}.get(item.quantity, unit)
        if unit != expected:
            yield (
                f'input {item.name!r} takes the {item.quantity} of {joint!r} in {unit}, '
                f'the robot gives {expected}'
            )


def _image_problems(item: ImageInput, robot: RobotConfig) -> Iterator[str]:
    if item.camera not in robot.cameras:
        yield f'input {item.name!r} needs the camera {item.camera!r}, which the robot lacks'
    dtypes = DTYPES[item.color]
    if item.dtype not in dtypes:
        yield (
            f'input {item.name!r} wants {item.color} pictures as {item.dtype}; '
            f'possible are {", ".join(dtypes)}'
        )
    if item.color == 'depth' and item.value_range != (0.0, 255.0):
        yield (
            f'input {item.name!r} gives a value_range for depth; depth stays in m (float32) or mm '
            '(uint16): remove value_range and scale inside the graph'
        )


def _vector_problems(item: VectorInput, robot: RobotConfig) -> Iterator[str]:
    if item.stream not in robot.streams:
        yield f'input {item.name!r} needs the stream {item.stream!r}, which the robot lacks'
        return
    fields = robot.streams[item.stream].fields
    for name in item.names:
        if name not in fields:
            yield f'input {item.name!r} needs {name!r}, which the stream {item.stream!r} lacks'


def _sides(spec: PolicySpec, robot: RobotConfig) -> str:
    joints = dict.fromkeys(joint for item in spec.state_inputs for joint in item.joints)
    joints |= dict.fromkeys(anchor_names(spec))
    cameras = dict.fromkeys(item.camera for item in spec.image_inputs)
    streams = {f'{item.stream}({", ".join(item.names)})': None for item in vector_inputs(spec)}
    have = [f'{name}({", ".join(v.fields)})' for name, v in robot.streams.items()]
    rows = [
        ('joints', list(joints), list(robot.joint_names)),
        ('cameras', list(cameras), list(robot.cameras)),
        ('streams', list(streams), have),
    ]
    lines = []
    for what, needed, given in rows:
        if needed or given:
            lines.append(f'policy {what}: {", ".join(needed) or "(none)"}')
            lines.append(f'robot {what}:  {", ".join(given) or "(none)"}')
    source = f' ({robot.source})' if robot.source else ''
    return '\n'.join(lines) + f'\nName the robot side in its YAML{source} as the policy does.'
