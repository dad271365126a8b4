# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The kinds of command: one row each, with all that the rest of the project asks about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandKind:
    """One value of `command.type` of a robot's YAML.

    Attributes:
        message: Its ROS message type.
        moves_axes: It carries velocities of the robot's body, not something for each joint.
        interfaces: What the numbers may be: `position`, `velocity`; the first is the default.
        acts_after: When what is sent in a tick acts, in periods after the tick. The point of a
            trajectory is to be reached at the end of the period. A set-point, position or
            velocity, acts at once and stands for the period, like an action that was held in
            training.
        ends_at_rest: The message itself ends at rest, so that the robot stops when none follows.
        has_frame: It says in which frame it is expressed (`command.frame_id`).
    """

    message: str
    moves_axes: bool = False
    interfaces: tuple[str, ...]
    acts_after: float
    ends_at_rest: bool = False
    has_frame: bool = False


COMMAND_KINDS: dict[str, CommandKind] = {
    'joint_trajectory': CommandKind(
        message='trajectory_msgs/msg/JointTrajectory',
        interfaces=('position',),
        acts_after=1.0,
        ends_at_rest=True,
    ),
    'float64_multi_array': CommandKind(
        message='std_msgs/msg/Float64MultiArray',
        interfaces=('position', 'velocity'),
        acts_after=0.0,
    ),
    'joint_state': CommandKind(
        message='sensor_msgs/msg/JointState',
        interfaces=('position', 'velocity'),
        acts_after=0.0,
    ),
    'twist': CommandKind(
        message='geometry_msgs/msg/Twist',
        moves_axes=True,
        interfaces=('velocity',),
        acts_after=0.0,
    ),
    'twist_stamped': CommandKind(
        message='geometry_msgs/msg/TwistStamped',
        moves_axes=True,
        interfaces=('velocity',),
        acts_after=0.0,
        has_frame=True,
    ),
}


def kinds_with(**wanted: object) -> tuple[str, ...]:
    """Return the names of the kinds that have these values: `kinds_with(moves_axes=True)`."""
    return tuple(
        name
        for name, kind in COMMAND_KINDS.items()
        if all(getattr(kind, key) == value for key, value in wanted.items())
    )


def kinds_that_carry(interface: str) -> tuple[str, ...]:
    """Return the names of the kinds for joints whose numbers may be this."""
    return tuple(
        name
        for name, kind in COMMAND_KINDS.items()
        if not kind.moves_axes and interface in kind.interfaces
    )
