# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""A joint or an axis of a mobile base, with its limits: `joints` and `command.axes`."""

from __future__ import annotations

from dataclasses import dataclass

from bc_runtime.spec.fields import Fields

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


def read_joint(f: Fields) -> JointConfig:
    """Read one entry of `joints`."""
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


def read_axis(name: str, f: Fields) -> JointConfig:
    """Read one entry of `command.axes`: the limits of one component of a Twist."""
    acceleration = f.number('acceleration', above=0.0)
    axis = JointConfig(
        name=name,
        unit=TWIST_AXES[name],
        lower=float('-inf'),
        upper=float('inf'),
        velocity=f.number('velocity', above=0.0),
        acceleration=acceleration,
        deceleration=f.number('deceleration', acceleration, minimum=acceleration),
        jerk=None,
        margin=0.0,
        continuous=True,
        gripper=False,
    )
    f.done()
    return axis
