# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""CommandConfig: how a robot is commanded; the section `command` of its YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Annotated, Any, Self

from bc_runtime.spec.errors import available
from bc_runtime.spec.fields import Fields
from bc_runtime.spec.joint_config import TWIST_AXES, AxisLimits, JointConfig, axis_joint
from bc_runtime.spec.schema import Checked, Key

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


_JOINT_COMMANDS = tuple(kind for kind in COMMAND_TYPES if kind not in TWIST_COMMANDS)
_NO_AXES: Mapping[str, AxisLimits] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandConfig(Checked):
    """How the robot is commanded.

    Attributes:
        joints: Names of what is commanded, in the driver's order: joints, or axes of a Twist.
        axis_joints: The axes of a Twist as joints; empty for joint commands.
    """

    type: Annotated[
        str,
        Key(
            'the message: [command_outputs.md](../how-to/command_outputs.md)',
            choices=COMMAND_TYPES,
        ),
    ]
    topic: Annotated[str, Key('of the commands', topic=True)]
    joints: Annotated[
        tuple[str, ...],
        Key(
            "the driver's order; every joint of the robot exactly once",
            only_if=('type', _JOINT_COMMANDS),
            otherwise=(),
            refusal='a Twist commands no joints; give the limits of its axes in `axes`',
        ),
    ]
    axes: Annotated[
        Mapping[str, AxisLimits],
        Key(
            'limits by axis (`linear.x` … `angular.z`)',
            only_if=('type', TWIST_COMMANDS),
            otherwise=_NO_AXES,
            names=tuple(TWIST_AXES),
            unknown_name='a Twist has no such axis; axes',
            none_given='expected at least one axis with its limits, e.g. '
            'linear.x: {velocity: 1.0, acceleration: 2.0}',
        ),
    ]
    interface: Annotated[
        str,
        Key(
            'what the numbers are; `velocity` for `float64_multi_array` and `joint_state` only',
            choices=INTERFACES,
            only_if=('type', _JOINT_COMMANDS),
            otherwise='velocity',
        ),
    ] = 'position'
    frame_id: Annotated[
        str,
        Key(
            'frame that the Twist is expressed in',
            only_if=('type', ('twist_stamped',)),
            otherwise='',
        ),
    ] = 'base_link'
    rate_hz: Annotated[float, Key('control rate', unit='Hz', minimum=10.0, maximum=500.0)]
    tail_s: Annotated[
        float,
        Key(
            'longest braking tail appended to a joint trajectory; at least velocity / '
            'deceleration of the joint that takes longest to stop',
            unit='s',
            above=0.0,
        ),
    ] = 0.5
    axis_joints: tuple[JointConfig, ...] = ()

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

    def checked(self, f: Fields) -> Self:
        """Complete the axes of a Twist; refuse velocities where the message has positions."""
        if self.is_twist:
            axes = tuple(axis_joint(name, limits) for name, limits in self.axes.items())
            given: dict[str, Any] = {'joints': tuple(self.axes), 'axis_joints': axes}
            return replace(self, **given)
        if self.takes_velocities and self.type not in TWO_INTERFACES:
            raise f.fail(
                'interface',
                f'a {self.type} carries positions; types that may carry velocities: '
                f'{available(TWO_INTERFACES)}',
            )
        return self

    def check_joints(self, f: Fields, names: Sequence[str]) -> None:
        """Refuse a command that does not name each of the robot's joints once."""
        if self.is_twist:
            return
        unknown = [name for name in self.joints if name not in names]
        if unknown:
            raise f.fail(
                'joints',
                f"not among the robot's joints: {available(unknown)}; joints: {available(names)}",
            )
        missing = [name for name in names if name not in self.joints]
        if missing:
            raise f.fail(
                'joints',
                f'the command must list every joint of the robot; missing: {available(missing)}',
            )
