# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""A joint or an axis of a mobile base, with its limits: `joints` and `command.axes`."""

from __future__ import annotations

from dataclasses import dataclass
import math
from typing import Annotated, Any, Self

from bc_runtime.spec.fields import Fields
from bc_runtime.spec.schema import Checked, Key, Values

#: Units a joint may have -> the unit of its speed (REP 103: SI).
JOINT_UNITS = {'rad': 'rad/s', 'm': 'm/s'}
#: Axes that a Twist has, in the order of its fields -> unit of the way that the axis travels.
TWIST_AXES = {
    'linear.x': 'm',
    'linear.y': 'm',
    'linear.z': 'm',
    'angular.x': 'rad',
    'angular.y': 'rad',
    'angular.z': 'rad',
}
_UNBOUNDED = (-math.inf, math.inf)


def _acceleration(values: Values) -> Any:
    return values['acceleration']


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisLimits(Checked):
    """How fast something may move, in its unit (rad or m) and seconds."""

    velocity: Annotated[float, Key('largest speed', unit='unit/s', above=0.0)]
    acceleration: Annotated[float, Key('largest acceleration', unit='unit/s²', above=0.0)]
    deceleration: Annotated[
        float,
        Key(
            'at least `acceleration`: braking must always be possible',
            unit='unit/s²',
            above=0.0,
            default=_acceleration,
            default_text='`acceleration`',
        ),
    ]

    def checked(self, f: Fields) -> Self:
        """Refuse a joint that brakes more slowly than it speeds up."""
        if self.deceleration < self.acceleration:
            raise f.fail(
                'deceleration',
                f'expected at least {self.acceleration:g}, got {self.deceleration:g}',
            )
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class JointConfig(AxisLimits):
    """One joint and its limits, in its unit (rad or m) and seconds."""

    name: Annotated[str, Key('as in `sensor_msgs/JointState`', filled=True)]
    unit: Annotated[str, Key('unit of its position', choices=tuple(JOINT_UNITS))]
    continuous: Annotated[bool, Key('no position limits; angles wrap')] = False
    position: Annotated[
        tuple[float, float],
        Key(
            '`[lower, upper]`',
            unit='unit',
            only_if=('continuous', (False,)),
            otherwise=_UNBOUNDED,
            refusal='a continuous joint has no position limits; remove the key',
        ),
    ]
    jerk: Annotated[float | None, Key('largest jerk', unit='unit/s³', above=0.0)] = None
    margin: Annotated[
        float,
        Key('kept free inside `position`, less than half the range', unit='unit', minimum=0.0),
    ] = 0.0
    gripper: Annotated[
        bool,
        Key(
            'it stops at what it holds, so that it need not reach its command '
            '([what is checked of it](../explanation/safety.md#types-of-joints-and-checks)). '
            'A joint that a policy moves by kind `gripper` is one, too'
        ),
    ] = False

    @property
    def lower(self) -> float:
        """Lower position limit; -inf for a continuous joint."""
        return self.position[0]

    @property
    def upper(self) -> float:
        """Upper position limit; inf for a continuous joint."""
        return self.position[1]

    def checked(self, f: Fields) -> Self:
        """Refuse limits that leave no room."""
        AxisLimits.checked(self, f)
        lower, upper = self.position
        if lower >= upper:
            raise f.fail(
                'position',
                f'expected [lower, upper] with lower < upper, got [{lower:g}, {upper:g}]',
            )
        if not self.continuous and 2.0 * self.margin >= upper - lower:
            raise f.fail('margin', f'expected less than half the range, got {self.margin:g}')
        return self


def axis_joint(name: str, limits: AxisLimits) -> JointConfig:
    """Return an axis of a Twist as what the limiter takes: a joint without position limits."""
    return JointConfig(
        name=name,
        unit=TWIST_AXES[name],
        continuous=True,
        position=_UNBOUNDED,
        velocity=limits.velocity,
        acceleration=limits.acceleration,
        deceleration=limits.deceleration,
    )
