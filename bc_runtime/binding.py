# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Do a policy and a robot fit together? Decided by names and units before anything runs."""

from __future__ import annotations

from bc_runtime.observation import bind
from bc_runtime.spec.actions import ActionKind
from bc_runtime.spec.errors import BindingError, available
from bc_runtime.spec.policy_spec import PolicySpec
from bc_runtime.spec.robot_config import RobotConfig

#: Command types that carry joint positions.
POSITION_COMMANDS = ('joint_trajectory', 'float64_multi_array', 'joint_state')

_POSITION_KINDS = (
    ActionKind.JOINT_POSITION,
    ActionKind.CONTINUOUS_JOINT,
    ActionKind.GRIPPER,
    ActionKind.BINARY,
)


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
    command = robot.command.type
    if command not in POSITION_COMMANDS:
        raise BindingError(
            f'{robot.source}: command type {command!r} is not supported yet; '
            f'supported: {available(POSITION_COMMANDS)}'
        )
    for name, kind in zip(names, spec.action_kinds, strict=True):
        if kind not in _POSITION_KINDS:
            raise BindingError(
                f'policy {spec.name!r} gives {kind.value} actions ({name!r}), but the command of '
                f'robot {robot.name!r} ({command}) carries joint positions; kinds that fit: '
                f'{available(k.value for k in _POSITION_KINDS)}'
            )
    if set(names) != set(robot.command.joints):
        raise BindingError(
            f'policy {spec.name!r} and robot {robot.name!r} do not command the same joints. '
            f'Only in the policy: {available(set(names) - set(robot.command.joints))}. '
            f'Only in the robot: {available(set(robot.command.joints) - set(names))}. '
            "Rename the joints in the robot YAML or export the policy with the robot's names."
        )
    for name, unit in zip(names, spec.action_units, strict=True):
        expected = robot.joint(name).unit
        if unit != expected:
            raise BindingError(
                f'policy {spec.name!r} commands {name!r} in {unit!r}, but robot {robot.name!r} '
                f'has it in {expected!r}; convert in the graph when exporting the policy'
            )
