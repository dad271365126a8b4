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

from bc_runtime.spec.errors import RobotConfigError, available
from bc_runtime.spec.fields import Fields
from bc_runtime.spec.text_formats import TextFormatError, parse_yaml

SCHEMA_VERSION = 1
MAX_FILE_BYTES = 1_000_000

#: Units a joint may have -> the unit of its speed (REP 103: SI).
JOINT_UNITS = {'rad': 'rad/s', 'm': 'm/s'}
COMMAND_TYPES = (
    'joint_trajectory',
    'float64_multi_array',
    'joint_state',
    'twist',
    'twist_stamped',
)
CLOCKS = ('header', 'arrival')


@dataclass(frozen=True, slots=True, kw_only=True)
class JointConfig:
    """One joint and its limits, in its unit (rad or m) and seconds.

    Attributes:
        margin: Kept free inside [lower, upper].
        continuous: No position limit; angles wrap.
        gripper: The joint opens and closes a gripper (newest command wins, no averaging).
    """

    name: str
    unit: str
    lower: float
    upper: float
    velocity: float
    acceleration: float
    deceleration: float
    jerk: float | None
    margin: float
    continuous: bool
    gripper: bool


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
class CommandConfig:
    """How the robot is commanded.

    Attributes:
        type: joint_trajectory, float64_multi_array, joint_state, twist or twist_stamped.
        joints: Joint order of the driver.
        rate_hz: Control rate.
        tail_s: Longest braking tail appended to a joint trajectory.
    """

    type: str
    topic: str
    joints: tuple[str, ...]
    rate_hz: float
    tail_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HumanConfig:
    """Topics of the human: e-stop, takeover and teleoperation; empty means not connected."""

    estop_topic: str
    takeover_topic: str
    teleop_topic: str
    teleop_type: str
    heartbeat_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerances:
    """Limits of the monitors.

    Attributes:
        tracking: Largest |command - measured| per joint [rad or m].
        tracking_s: Time that `tracking` must be exceeded before the robot stops.
        start: Largest distance of the first action from the measured pose [rad or m].
        max_observation_age_s: Oldest observation that a policy may act on.
    """

    tracking: float
    tracking_s: float
    start: float
    max_observation_age_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RobotConfig:
    """One robot; see the module's docstring and docs/reference/robot_yaml.md."""

    name: str
    source: str
    joints: tuple[JointConfig, ...]
    joint_states: StreamConfig
    cameras: Mapping[str, CameraConfig]
    streams: Mapping[str, VectorConfig]
    instruction_topic: str
    command: CommandConfig
    human: HumanConfig
    tolerances: Tolerances

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Names in the order of the YAML."""
        return tuple(joint.name for joint in self.joints)

    def joint(self, name: str) -> JointConfig:
        """Return the joint of that name; an unknown name lists the known ones."""
        for joint in self.joints:
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
    joints = tuple(_read_joint(section) for section in f.sections('joints'))
    names = [joint.name for joint in joints]
    if not joints:
        raise f.fail('joints', 'expected at least one joint, got an empty list')
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise f.fail('joints', f'expected unique names; given more than once: {available(twice)}')
    config = RobotConfig(
        name=f.text('name', filled=True),
        source=f.source,
        joints=joints,
        joint_states=f.build('joint_states', lambda s: _read_stream(s, max_age_s=0.1)),
        cameras=MappingProxyType(
            {name: _read_camera(section) for name, section in f.named_sections('cameras', {})}
        ),
        streams=MappingProxyType(
            {name: _read_vector(section) for name, section in f.named_sections('streams', {})}
        ),
        instruction_topic=f.text('instruction_topic', 'instruction'),
        command=f.build('command', lambda s: _read_command(s, names)),
        human=_read_human(f.section('human', {})),
        tolerances=_read_tolerances(f.section('tolerances', {})),
    )
    f.done()
    return config


def _read_joint(f: Fields) -> JointConfig:
    unit = f.text('unit', choices=tuple(JOINT_UNITS))
    continuous = f.flag('continuous', False)
    if continuous:
        lower, upper = float('-inf'), float('inf')
        if f.has('position'):
            raise f.fail('position', 'a continuous joint has no position limits; remove the key')
    else:
        lower, upper = f.numbers('position', length=2)
        if lower >= upper:
            raise f.fail(
                'position',
                f'expected [lower, upper] with lower < upper, got [{lower:g}, {upper:g}]',
            )
    acceleration = f.number('acceleration', above=0.0)
    joint = JointConfig(
        name=f.text('name', filled=True),
        unit=unit,
        lower=lower,
        upper=upper,
        velocity=f.number('velocity', above=0.0),
        acceleration=acceleration,
        deceleration=f.number('deceleration', acceleration, minimum=acceleration),
        jerk=f.number('jerk', None, above=0.0),
        margin=f.number('margin', 0.0, minimum=0.0),
        continuous=continuous,
        gripper=f.flag('gripper', False),
    )
    if not continuous and 2.0 * joint.margin >= upper - lower:
        raise f.fail('margin', f'expected less than half the range, got {joint.margin:g}')
    f.done()
    return joint


def _read_stream(f: Fields, *, max_age_s: float) -> StreamConfig:
    return StreamConfig(
        topic=f.text('topic', filled=True),
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


def _read_command(f: Fields, names: list[str]) -> CommandConfig:
    kind = f.text('type', choices=COMMAND_TYPES)
    joints = f.texts('joints')
    unknown = [name for name in joints if name not in names]
    if unknown:
        raise f.fail(
            'joints',
            f"not among the robot's joints: {available(unknown)}; joints: {available(names)}",
        )
    missing = [name for name in names if name not in joints]
    if missing:
        raise f.fail(
            'joints',
            f'the command must list every joint of the robot; missing: {available(missing)}',
        )
    return CommandConfig(
        type=kind,
        topic=f.text('topic', filled=True),
        joints=joints,
        rate_hz=f.number('rate_hz', minimum=10.0, maximum=500.0),
        tail_s=f.number('tail_s', 0.5, above=0.0),
    )


def _read_human(f: Fields) -> HumanConfig:
    human = HumanConfig(
        estop_topic=f.text('estop_topic', 'estop'),
        takeover_topic=f.text('takeover_topic', ''),
        teleop_topic=f.text('teleop_topic', ''),
        teleop_type=f.text('teleop_type', 'joint_state', choices=('joint_state',)),
        heartbeat_s=f.number('heartbeat_s', 0.5, above=0.0),
    )
    if human.takeover_topic and not human.teleop_topic:
        raise f.fail('teleop_topic', 'a takeover_topic needs a teleop_topic to take over with')
    f.done()
    return human


def _read_tolerances(f: Fields) -> Tolerances:
    tolerances = Tolerances(
        tracking=f.number('tracking', 0.15, above=0.0),
        tracking_s=f.number('tracking_s', 0.2, above=0.0),
        start=f.number('start', 0.5, above=0.0),
        max_observation_age_s=f.number('max_observation_age_s', 0.5, above=0.0),
    )
    f.done()
    return tolerances
