# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""CommandConfig: how a robot is commanded; the section `command` of its YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Annotated, Any, Self

from bc_runtime.spec.command_kinds import (
    COMMAND_KINDS,
    CommandKind,
    kinds_that_carry,
    kinds_with,
)
from bc_runtime.spec.errors import available
from bc_runtime.spec.fields import Fields
from bc_runtime.spec.joint_config import TWIST_AXES, AxisLimits, JointConfig, axis_joint
from bc_runtime.spec.schema import Checked, Key

#: What the numbers of a command may be, with the plural.
INTERFACES = {'position': 'positions', 'velocity': 'velocities'}


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
            choices=tuple(COMMAND_KINDS),
        ),
    ]
    topic: Annotated[str, Key('of the commands', topic=True)]
    joints: Annotated[
        tuple[str, ...],
        Key(
            "the driver's order; every joint of the robot exactly once",
            only_if=('type', kinds_with(moves_axes=False)),
            otherwise=(),
            refusal='a Twist commands no joints; give the limits of its axes in `axes`',
        ),
    ]
    axes: Annotated[
        Mapping[str, AxisLimits],
        Key(
            'limits by axis (`linear.x` … `angular.z`)',
            only_if=('type', kinds_with(moves_axes=True)),
            otherwise=MappingProxyType({}),
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
            choices=tuple(INTERFACES),
            only_if=('type', kinds_with(moves_axes=False)),
            otherwise='velocity',
        ),
    ] = 'position'
    frame_id: Annotated[
        str,
        Key(
            'frame that the Twist is expressed in',
            only_if=('type', kinds_with(has_frame=True)),
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
    def kind(self) -> CommandKind:
        """What is known of its type."""
        return COMMAND_KINDS[self.type]

    @property
    def is_twist(self) -> bool:
        """Whether the robot takes velocities of its body instead of its joints."""
        return self.kind.moves_axes

    @property
    def acts_after_s(self) -> float:
        """How long after a tick the command of that tick acts [s]: see `CommandKind`."""
        return self.kind.acts_after / self.rate_hz

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
        if self.interface not in self.kind.interfaces:
            raise f.fail(
                'interface',
                f'a {self.type} carries {INTERFACES[self.kind.interfaces[0]]}; types that may '
                f'carry {INTERFACES[self.interface]}: '
                f'{available(kinds_that_carry(self.interface))}',
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
