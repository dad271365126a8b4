# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""RobotConfig: what a robot is, read from `config/robots/<name>.yaml`.

Nothing is matched by index: cameras have names, joints have names, and the command lists the
joints in the order that the driver expects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from bc_runtime.spec.command_config import TWIST_COMMANDS, CommandConfig, read_command
from bc_runtime.spec.driver_config import DriverConfig, read_driver
from bc_runtime.spec.errors import RobotConfigError, available
from bc_runtime.spec.fields import Fields
from bc_runtime.spec.human_config import HumanConfig, read_human
from bc_runtime.spec.joint_config import JointConfig, read_joint
from bc_runtime.spec.ros_names import message_type_problem
from bc_runtime.spec.text_formats import TextFormatError, parse_yaml

SCHEMA_VERSION = 1
MAX_FILE_BYTES = 1_000_000

CLOCKS = ('header', 'arrival')


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamConfig:
    """One sensor topic.

    Attributes:
        topic: Relative topic name (REP 135).
        latency_s: Measured time from the physical event to the stamp; subtracted from the stamp.
        max_age_s: Older than this is stale.
        max_skew_s: Largest allowed distance between a sample and the time it stands for.
        clock: `header` (the message's stamp) or `arrival` (time of receipt).
    """

    topic: str
    latency_s: float
    max_age_s: float
    max_skew_s: float
    clock: str


#: Stands for a robot without joints; no topic, nothing to wait for.
NO_JOINT_STATES = StreamConfig(
    topic='', latency_s=0.0, max_age_s=0.1, max_skew_s=0.1, clock='header'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraConfig(StreamConfig):
    """A camera: raw (`sensor_msgs/Image`) or compressed (`sensor_msgs/CompressedImage`).

    Attributes:
        rate_hz: Expected rate, for watchdogs and preflight.
        frozen_s: Same pixels for longer than this means frozen; 0 switches the check off.
    """

    transport: str
    rate_hz: float
    frozen_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorConfig(StreamConfig):
    """Numeric fields of any message type.

    Attributes:
        type: e.g. `geometry_msgs/msg/WrenchStamped`.
        fields: Name -> path inside the message, e.g. `force_z: wrench.force.z`.
    """

    type: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerances:
    """Limits of the monitors.

    Attributes:
        tracking: Largest |command - measured| per joint [rad or m].
        tracking_s: Time that `tracking` must be exceeded before the robot stops.
        start: Largest distance of the first action from the measured pose [rad or m].
        max_observation_age_s: Oldest observation that a policy may act on.
        stall: A joint that is behind by more on average and does not come nearer is blocked
            [rad or m]; the servo's own error at rest must stay below. Grippers are not judged.
        stall_s: Window of that average [s].
        lag_s: Largest lag that the robot's servo may have [s].
        jump: A joint state may differ from the one before by this much more than motion explains
            [rad or m].
        jump_speed: Motion may be faster than the velocity limit by this factor: a hand is, and a
            joint that swings.
        agreeing: So many joint states must agree before anything begins from them.
        refused: So many joint states that cannot be true within a second stop the robot.
    """

    tracking: float
    tracking_s: float
    start: float
    max_observation_age_s: float
    stall: float
    stall_s: float
    lag_s: float
    jump: float = 0.05
    jump_speed: float = 2.0
    agreeing: int = 5
    refused: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RobotConfig:
    """One robot; see the module's docstring and docs/reference/robot_yaml.md.

    Attributes:
        joints: In the order of the YAML; may be empty where the command is a Twist.
        joint_states: Its topic is empty for a robot without joints.
    """

    name: str
    source: str
    joints: tuple[JointConfig, ...]
    joint_states: StreamConfig
    cameras: Mapping[str, CameraConfig]
    streams: Mapping[str, VectorConfig]
    instruction_topic: str
    command: CommandConfig
    human: HumanConfig
    driver: DriverConfig
    tolerances: Tolerances

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
        for joint in (*self.joints, *self.command.axes):
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
        return _read(Fields(value, source=source, error=RobotConfigError))


def _read(f: Fields) -> RobotConfig:
    version = f.integer('schema_version', minimum=1)
    if version > SCHEMA_VERSION:
        raise f.fail(
            'schema_version', f'this bc_runtime reads version {SCHEMA_VERSION}, got {version}'
        )
    twist = f.section('command').text('type', '') in TWIST_COMMANDS
    joints = tuple(read_joint(s) for s in f.sections('joints', *([[]] if twist else [])))
    names = [joint.name for joint in joints]
    if not joints and not twist:
        raise f.fail('joints', 'expected at least one joint, got an empty list')
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise f.fail('joints', f'expected unique names; given more than once: {available(twice)}')
    command = f.build('command', lambda s: read_command(s, joints))
    config = RobotConfig(
        name=f.text('name', filled=True),
        source=f.source,
        joints=joints,
        joint_states=(
            f.build('joint_states', lambda s: _read_stream(s, max_age_s=0.1))
            if joints or f.has('joint_states')
            else NO_JOINT_STATES
        ),
        cameras=MappingProxyType(
            {name: _read_camera(section) for name, section in f.named_sections('cameras', {})}
        ),
        streams=MappingProxyType(
            {name: _read_vector(section) for name, section in f.named_sections('streams', {})}
        ),
        instruction_topic=f.topic('instruction_topic', 'instruction'),
        command=command,
        human=read_human(f.section('human', {}), command),
        driver=read_driver(f.section('driver', {})),
        tolerances=_read_tolerances(f.section('tolerances', {})),
    )
    f.done()
    return config


def _read_stream(f: Fields, *, max_age_s: float) -> StreamConfig:
    return StreamConfig(
        topic=f.topic('topic'),
        latency_s=f.number('latency_s', 0.0, minimum=0.0),
        max_age_s=f.number('max_age_s', max_age_s, above=0.0),
        max_skew_s=f.number('max_skew_s', max_age_s, above=0.0),
        clock=f.text('clock', 'header', choices=CLOCKS),
    )


def _read_camera(f: Fields) -> CameraConfig:
    rate = f.number('rate_hz', 30.0, above=0.0)
    base = _read_stream(f, max_age_s=max(0.25, 5.0 / rate))
    camera = CameraConfig(
        topic=base.topic,
        latency_s=base.latency_s,
        max_age_s=base.max_age_s,
        max_skew_s=base.max_skew_s,
        clock=base.clock,
        transport=f.text('transport', 'raw', choices=('raw', 'compressed')),
        rate_hz=rate,
        frozen_s=f.number('frozen_s', max(0.5, 5.0 / rate), minimum=0.0),
    )
    f.done()
    return camera


def _read_vector(f: Fields) -> VectorConfig:
    base = _read_stream(f, max_age_s=0.1)
    fields = {}
    section = f.section('fields')
    for name in section.names():
        fields[name] = section.text(name)
    if not fields:
        raise f.fail('fields', 'expected at least one field, e.g. force_z: wrench.force.z')
    problem = message_type_problem(f.text('type'))
    if problem:
        raise f.fail('type', problem)
    stream = VectorConfig(
        topic=base.topic,
        latency_s=base.latency_s,
        max_age_s=base.max_age_s,
        max_skew_s=base.max_skew_s,
        clock=base.clock,
        type=f.text('type'),
        fields=MappingProxyType(fields),
    )
    f.done()
    return stream


def _read_tolerances(f: Fields) -> Tolerances:
    tolerances = Tolerances(
        tracking=f.number('tracking', 0.15, above=0.0),
        tracking_s=f.number('tracking_s', 0.2, above=0.0),
        start=f.number('start', 0.5, above=0.0),
        max_observation_age_s=f.number('max_observation_age_s', 0.5, above=0.0),
        stall=f.number('stall', 0.1, above=0.0),
        stall_s=f.number('stall_s', 0.5, above=0.0),
        lag_s=f.number('lag_s', 0.2, above=0.0),
        jump=f.number('jump', 0.05, above=0.0),
        jump_speed=f.number('jump_speed', 2.0, minimum=1.0),
        agreeing=f.integer('agreeing', 5, minimum=2),
        refused=f.integer('refused', 3, minimum=2),
    )
    f.done()
    return tolerances
