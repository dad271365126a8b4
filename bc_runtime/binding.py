# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Do a policy and a robot fit together? Decided by names and units before anything runs."""

from __future__ import annotations

from bc_runtime.observation import bind
from bc_runtime.spec.actions import ActionKind
from bc_runtime.spec.errors import BindingError, available
from bc_runtime.spec.joint_config import JOINT_UNITS
from bc_runtime.spec.policy_spec import PolicySpec
from bc_runtime.spec.robot_config import RobotConfig

#: Kinds that a driver of joint positions can be given. Velocities are integrated from the last
#: command on, so that the driver still gets positions.
_POSITION_KINDS = (
    ActionKind.JOINT_POSITION,
    ActionKind.CONTINUOUS_JOINT,
    ActionKind.GRIPPER,
    ActionKind.BINARY,
    ActionKind.JOINT_VELOCITY,
)
_VELOCITY_KINDS = (ActionKind.JOINT_VELOCITY,)
_TWIST_KINDS = (ActionKind.LINEAR_VELOCITY, ActionKind.ANGULAR_VELOCITY)
_RATES = (*_VELOCITY_KINDS, *_TWIST_KINDS)


def check_binding(spec: PolicySpec, robot: RobotConfig) -> None:
    """Refuse a policy that the robot cannot serve or obey.

    Every camera, stream and joint that the policy takes must exist with the same unit, and the
    policy must command exactly the joints of the robot's command. A robot may have cameras and
    streams that this policy does not use.

    Raises:
        BindingError: names what is missing, and prints both sides.
    """
    bind(spec, robot)
    check_actions(spec, robot)


def check_actions(spec: PolicySpec, robot: RobotConfig) -> None:
    """Refuse a policy whose actions are not what the robot's command carries.

    Raises:
        BindingError: see `check_binding`.
    """
    names = spec.action_names
    command = robot.command
    fitting, carries = _fitting(robot)
    for name, kind in zip(names, spec.action_kinds, strict=True):
        if kind not in fitting:
            raise BindingError(
                f'policy {spec.name!r} gives {kind.value} actions ({name!r}), but the command of '
                f'robot {robot.name!r} ({command.type}) carries {carries}; kinds that fit: '
                f'{available(k.value for k in fitting)}'
            )
    if set(names) != set(command.joints):
        what = 'axes' if command.is_twist else 'joints'
        raise BindingError(
            f'policy {spec.name!r} and robot {robot.name!r} do not command the same {what}. '
            f'Only in the policy: {available(set(names) - set(command.joints))}. '
            f'Only in the robot: {available(set(command.joints) - set(names))}. '
            f"Rename the {what} in the robot YAML or export the policy with the robot's names."
        )
    for name, kind, unit in zip(names, spec.action_kinds, spec.action_units, strict=True):
        expected = robot.joint(name).unit
        if kind in _RATES:
            expected = JOINT_UNITS[expected]
        if unit != expected:
            raise BindingError(
                f'policy {spec.name!r} commands {name!r} in {unit!r}, but robot {robot.name!r} '
                f'has it in {expected!r}; convert in the graph when exporting the policy'
            )
        if command.is_twist and (kind is ActionKind.LINEAR_VELOCITY) != (unit == 'm/s'):
            raise BindingError(
                f'policy {spec.name!r} calls {name!r} a {kind.value}, but {robot.name!r} moves '
                f'it in {expected}; export it as the other kind of velocity'
            )


def _fitting(robot: RobotConfig) -> tuple[tuple[ActionKind, ...], str]:
    """Return the action kinds that a robot's command can carry, and what it carries in words."""
    if robot.command.is_twist:
        return _TWIST_KINDS, 'velocities of its body'
    if robot.command.takes_velocities:
        return _VELOCITY_KINDS, 'joint velocities'
    return _POSITION_KINDS, 'joint positions'
