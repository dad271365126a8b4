# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""CommandConfig: how a robot is commanded; the section `command` of its YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from bc_runtime.spec.errors import available, did_you_mean
from bc_runtime.spec.fields import Fields
from bc_runtime.spec.joint_config import TWIST_AXES, JointConfig, read_axis

TWIST_COMMANDS = ('twist', 'twist_stamped')
#: When what is sent in a tick acts, by type, in periods after the tick. The point of a trajectory
#: is to be reached at the end of the period. A set-point, position or velocity, acts at once and
#: stands for the period, like an action that was held in training.
ACTS_AFTER: Mapping[str, float] = MappingProxyType(
    {
        'joint_trajectory': 1.0,
        'float64_multi_array': 0.0,
        'joint_state': 0.0,
        **dict.fromkeys(TWIST_COMMANDS, 0.0),
    }
)
COMMAND_TYPES = tuple(ACTS_AFTER)
#: Command types whose numbers may be positions or velocities, as the driver takes them.
TWO_INTERFACES = ('float64_multi_array', 'joint_state')
INTERFACES = ('position', 'velocity')


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandConfig:
    """How the robot is commanded.

    Attributes:
        type: joint_trajectory, float64_multi_array, joint_state, twist or twist_stamped.
        joints: Names of what is commanded, in the driver's order: joints, or axes of a Twist.
        rate_hz: Control rate.
        tail_s: Longest braking tail appended to a joint trajectory.
        interface: What the numbers are: `position` or `velocity`.
        axes: Limits of the axes of a Twist; empty for joint commands.
        frame_id: twist_stamped: frame that the Twist is expressed in.
    """

    type: str
    topic: str
    joints: tuple[str, ...]
    rate_hz: float
    tail_s: float
    interface: str = 'position'
    axes: tuple[JointConfig, ...] = ()
    frame_id: str = ''

    @property
    def is_twist(self) -> bool:
        """Whether the robot takes velocities of its body instead of its joints."""
        return self.type in TWIST_COMMANDS

    @property
    def acts_after_s(self) -> float:
        """How long after a tick the command of that tick acts [s]: see `ACTS_AFTER`."""
        return ACTS_AFTER[self.type] / self.rate_hz

    @property
    def takes_velocities(self) -> bool:
        """Whether velocities are sent: silence then means that the last one stands."""
        return self.interface == 'velocity'


def read_command(f: Fields, joints: Sequence[JointConfig]) -> CommandConfig:
    """Read the section; `joints` are those of the robot."""
    kind = f.text('type', choices=COMMAND_TYPES)
    axes: tuple[JointConfig, ...] = ()
    interface = 'velocity'
    if kind in TWIST_COMMANDS:
        axes = _read_axes(f)
        names = tuple(axis.name for axis in axes)
    else:
        names = _read_joints(f, [joint.name for joint in joints])
        interface = f.text('interface', 'position', choices=INTERFACES)
        if interface == 'velocity' and kind not in TWO_INTERFACES:
            raise f.fail(
                'interface',
                f'a {kind} carries positions; types that may carry velocities: '
                f'{available(TWO_INTERFACES)}',
            )
    return CommandConfig(
        type=kind,
        topic=f.topic('topic'),
        joints=names,
        rate_hz=f.number('rate_hz', minimum=10.0, maximum=500.0),
        tail_s=f.number('tail_s', 0.5, above=0.0),
        interface=interface,
        axes=axes,
        frame_id=f.text('frame_id', 'base_link') if kind == 'twist_stamped' else '',
    )


def _read_axes(f: Fields) -> tuple[JointConfig, ...]:
    if f.has('joints'):
        raise f.fail('joints', 'a Twist commands no joints; give the limits of its axes in `axes`')
    axes = []
    for name, section in f.named_sections('axes'):
        if name not in TWIST_AXES:
            raise section.fail(
                '',
                f'a Twist has no such axis; axes: {available(TWIST_AXES)}.'
                f'{did_you_mean(name, tuple(TWIST_AXES))}',
            )
        axes.append(read_axis(name, section))
    if not axes:
        raise f.fail(
            'axes',
            'expected at least one axis with its limits, e.g. '
            'linear.x: {velocity: 1.0, acceleration: 2.0}',
        )
    return tuple(axes)


def _read_joints(f: Fields, names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        raise f.fail('type', 'a joint command needs `joints` with at least one joint')
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
    return joints
