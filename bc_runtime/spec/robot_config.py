# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""RobotConfig: what a robot is, read from `config/robots/<name>.yaml`.

Nothing is matched by index: cameras have names, joints have names, and the command lists the
joints in the order that the driver expects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Final, Self

from bc_runtime.spec.command_config import CommandConfig
from bc_runtime.spec.driver_config import DriverConfig
from bc_runtime.spec.errors import RobotConfigError, available
from bc_runtime.spec.fields import Fields
from bc_runtime.spec.human_config import HumanConfig
from bc_runtime.spec.joint_config import JointConfig
from bc_runtime.spec.ros_names import message_type_problem
from bc_runtime.spec.schema import EMPTY, REQUIRED, Checked, Key, Values, read
from bc_runtime.spec.text_formats import TextFormatError, parse_yaml

SCHEMA_VERSION: Final = 1
MAX_FILE_BYTES = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamConfig:
    """One sensor topic."""

    topic: Annotated[str, Key('relative (REP 135) unless it begins with `/`', topic=True)]
    latency_s: Annotated[
        float,
        Key(
            'measured time from the physical event to the stamp; subtracted from the stamp',
            unit='s',
            minimum=0.0,
        ),
    ] = 0.0
    max_age_s: Annotated[float, Key('older is stale', unit='s', above=0.0)] = 0.1
    max_skew_s: Annotated[
        float,
        Key('largest distance between a sample and the time it stands for', unit='s', above=0.0),
    ] = 0.1
    clock: Annotated[
        str,
        Key(
            '`header` (the stamp) or `arrival` (time of receipt, for drivers without stamps)',
            choices=('header', 'arrival'),
        ),
    ] = 'header'


#: Stands for a robot without joints; no topic, nothing to wait for.
NO_JOINT_STATES = StreamConfig(topic='')


def _camera_age_s(values: Values) -> float:
    return max(0.25, 5.0 / float(values['rate_hz']))


def _frozen_s(values: Values) -> float:
    return max(0.5, 5.0 / float(values['rate_hz']))


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraConfig(StreamConfig):
    """A camera: raw (`sensor_msgs/Image`) or compressed (`sensor_msgs/CompressedImage`)."""

    max_age_s: Annotated[
        float,
        Key(
            'older is stale',
            unit='s',
            above=0.0,
            default=_camera_age_s,
            default_text='0.25 or five frames, whichever is longer',
        ),
    ]
    max_skew_s: Annotated[
        float,
        Key(
            'largest distance between a sample and the time it stands for',
            unit='s',
            above=0.0,
            default=_camera_age_s,
            default_text='0.25 or five frames, whichever is longer',
        ),
    ]
    transport: Annotated[
        str,
        Key(
            '`raw` (`sensor_msgs/Image`) or `compressed` (`sensor_msgs/CompressedImage`)',
            choices=('raw', 'compressed'),
        ),
    ] = 'raw'
    rate_hz: Annotated[float, Key('expected rate', unit='Hz', above=0.0)] = 30.0
    frozen_s: Annotated[
        float,
        Key(
            'same pixels for longer means frozen; 0 switches the check off',
            unit='s',
            minimum=0.0,
            default=_frozen_s,
            default_text='0.5 or five frames, whichever is longer',
        ),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorConfig(StreamConfig, Checked):
    """Numeric fields of any message type."""

    type: Annotated[str, Key('a message type, e.g. `geometry_msgs/msg/WrenchStamped`')]
    fields: Annotated[
        Mapping[str, str],
        Key(
            'name → path inside the message, e.g. `force_z: wrench.force.z`',
            none_given='expected at least one field, e.g. force_z: wrench.force.z',
        ),
    ]

    def checked(self, f: Fields) -> Self:
        """Refuse what cannot be a message type."""
        problem = message_type_problem(self.type)
        if problem:
            raise f.fail('type', problem)
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerances:
    """Limits of the monitors."""

    tracking: Annotated[
        float,
        Key('largest difference of command and measurement per joint', unit='rad or m', above=0.0),
    ] = 0.15
    tracking_s: Annotated[
        float, Key('time it must be exceeded before the robot stops', unit='s', above=0.0)
    ] = 0.2
    start: Annotated[
        float,
        Key(
            'largest distance of the first action from the measured pose',
            unit='rad or m',
            above=0.0,
        ),
    ] = 0.5
    max_observation_age_s: Annotated[
        float, Key('oldest observation a policy may act on', unit='s', above=0.0)
    ] = 0.5
    stall: Annotated[
        float,
        Key(
            'a joint that is behind by more on average and comes no nearer is blocked: the robot '
            'stops (JOINT_BLOCKED). Above what the servo leaves at rest under its load, below its '
            'error at the speed that must be noticed; grippers are not judged',
            unit='rad or m',
            above=0.0,
        ),
    ] = 0.1
    stall_s: Annotated[float, Key('window of that average', unit='s', above=0.0)] = 0.5
    lag_s: Annotated[
        float,
        Key(
            'largest lag that the servo may have; see '
            '[safety](../explanation/safety.md#a-joint-that-does-not-follow)',
            unit='s',
            above=0.0,
        ),
    ] = 0.2
    jump: Annotated[
        float,
        Key(
            'a joint state may differ from the one before by this much more than motion explains',
            unit='rad or m',
            above=0.0,
        ),
    ] = 0.05
    jump_speed: Annotated[
        float,
        Key(
            'and motion may be so many times faster than the velocity limit: a hand is, and so is '
            'a joint that swings',
            minimum=1.0,
        ),
    ] = 2.0
    agreeing: Annotated[
        int,
        Key(
            'so many joint states in a row must agree before a start, a resume or a takeover '
            'begins from them',
            minimum=2,
        ),
    ] = 5
    refused: Annotated[
        int,
        Key(
            'so many joint states that cannot be true within a second stop the robot '
            '(JOINT_STATES_IMPLAUSIBLE); fewer are passed over and reported',
            minimum=2,
        ),
    ] = 3


def _no_joints(values: Values) -> Any:
    return () if values['command'].is_twist else REQUIRED


def _no_joint_states(values: Values) -> Any:
    return REQUIRED if values['joints'] else NO_JOINT_STATES


def _empty(_values: Values) -> Any:
    return EMPTY


@dataclass(frozen=True, slots=True, kw_only=True)
class RobotConfig(Checked):
    """One robot; see the module's docstring and docs/reference/robot_yaml.md.

    Attributes:
        joints: In the order of the YAML; may be empty where the command is a Twist.
        joint_states: Its topic is empty for a robot without joints.
        source: Where it was read from.
    """

    schema_version: Annotated[
        int, Key('version of this format: 1', minimum=1, default=lambda _: REQUIRED)
    ] = SCHEMA_VERSION
    name: Annotated[str, Key('of the robot', filled=True)]
    joints: Annotated[
        tuple[JointConfig, ...],
        Key(
            'the joints and their limits',
            default=_no_joints,
            default_text='none for a Twist, else required',
        ),
    ]
    joint_states: Annotated[
        StreamConfig,
        Key(
            '`sensor_msgs/JointState`',
            default=_no_joint_states,
            default_text='none for a robot without joints, else required',
        ),
    ]
    cameras: Annotated[
        Mapping[str, CameraConfig], Key('camera name that a policy asks for → its topic')
    ] = field(default_factory=dict)
    streams: Annotated[Mapping[str, VectorConfig], Key('name → numeric fields of any message')] = (
        field(default_factory=dict)
    )
    instruction_topic: Annotated[
        str, Key('the task in words (`std_msgs/String`, transient local)', topic=True)
    ] = 'instruction'
    command: Annotated[CommandConfig, Key('how the robot is commanded')]
    human: Annotated[
        HumanConfig, Key('who may stop it and take over', default=_empty, default_text='empty')
    ]
    driver: Annotated[
        DriverConfig,
        Key('what its driver says about itself', default=_empty, default_text='empty'),
    ]
    tolerances: Annotated[
        Tolerances, Key('limits of the monitors', default=_empty, default_text='as below')
    ]
    source: str

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Names in the order of the YAML."""
        return tuple(joint.name for joint in self.joints)

    @property
    def commanded(self) -> tuple[JointConfig, ...]:
        """What is commanded, in the driver's order: joints, or axes of a Twist."""
        return tuple(self.joint(name) for name in self.command.joints)

    def joint(self, name: str) -> JointConfig:
        """Return the joint or axis of that name; an unknown name lists the known ones."""
        for joint in (*self.joints, *self.command.axis_joints):
            if joint.name == name:
                return joint
        raise RobotConfigError(
            f'there is no joint {name!r}; joints: {available(self.joint_names)}',
            source=self.source,
        )

    @classmethod
    def from_file(cls, path: Path) -> RobotConfig:
        """Read and validate a robot's YAML.

        Raises:
            RobotConfigError: names the file, the key path, what was expected and what came.
        """
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                raise RobotConfigError('file is larger than 1 MB', source=str(path))
            text = path.read_text(encoding='utf-8')
        except (OSError, UnicodeDecodeError) as error:
            raise RobotConfigError(f'cannot be read: {error}', source=str(path)) from None
        return cls.from_yaml(text, source=str(path))

    @classmethod
    def from_yaml(cls, text: str, *, source: str = 'robot YAML') -> RobotConfig:
        """Read and validate YAML text; see `from_file`."""
        try:
            value = parse_yaml(text)
        except TextFormatError as error:
            raise RobotConfigError(str(error), source=source) from None
        f = Fields(value, source=source, error=RobotConfigError)
        version = f.integer('schema_version', minimum=1)
        if version > SCHEMA_VERSION:
            raise f.fail(
                'schema_version', f'this bc_runtime reads version {SCHEMA_VERSION}, got {version}'
            )
        return read(cls, f, source=source)

    def checked(self, f: Fields) -> Self:
        """Refuse sections that do not fit together; complete what depends on another section."""
        names = list(self.joint_names)
        if not names and not self.command.is_twist:
            raise f.fail('joints', 'expected at least one joint, got an empty list')
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise f.fail(
                'joints', f'expected unique names; given more than once: {available(twice)}'
            )
        self.command.check_joints(f.section('command'), names)
        return replace(self, human=self.human.fitted(f.section('human', {}), self.command))
