# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Do a policy and a robot fit together? Decided by names and units before anything runs."""

from __future__ import annotations

from collections.abc import Iterable

from bc_runtime.spec.actions import ActionKind
from bc_runtime.spec.errors import BindingError, available, did_you_mean
from bc_runtime.spec.inputs import ImageInput, StateInput, VectorInput
from bc_runtime.spec.policy_spec import PolicySpec
from bc_runtime.spec.robot_config import JOINT_UNITS, RobotConfig

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
    for item in spec.inputs:
        if isinstance(item, ImageInput) and item.camera not in robot.cameras:
            raise _missing(
                spec, robot, f'input {item.name!r}', 'camera', item.camera, robot.cameras
            )
        if isinstance(item, VectorInput):
            if item.stream not in robot.streams:
                raise _missing(
                    spec, robot, f'input {item.name!r}', 'stream', item.stream, robot.streams
                )
            fields = robot.streams[item.stream].fields
            for name in item.names:
                if name not in fields:
                    raise _missing(spec, robot, f'input {item.name!r}', 'field', name, fields)
        if isinstance(item, StateInput):
            for name, unit in zip(item.joints, item.units, strict=True):
                if name not in robot.joint_names:
                    raise _missing(
                        spec, robot, f'input {item.name!r}', 'joint', name, robot.joint_names
                    )
                if item.quantity != 'effort':
                    _check_unit(spec, robot, name, unit, rate=item.quantity == 'velocity')
    _check_actions(spec, robot)


def _check_actions(spec: PolicySpec, robot: RobotConfig) -> None:
    names = spec.action_names
    if robot.command.type not in POSITION_COMMANDS:
        raise BindingError(
            f'{robot.source}: command type {robot.command.type!r} is not supported yet; '
            f'supported: {available(POSITION_COMMANDS)}'
        )
    for name, kind in zip(names, spec.action_kinds, strict=True):
        if kind not in _POSITION_KINDS:
            raise BindingError(
                f'policy {spec.name!r} gives {kind.value} actions ({name!r}), but the command '
                f'type {robot.command.type!r} of robot {robot.name!r} carries joint positions; '
                f'kinds that fit: {available(k.value for k in _POSITION_KINDS)}'
            )
    if set(names) != set(robot.command.joints):
        raise BindingError(
            f'policy {spec.name!r} and robot {robot.name!r} do not command the same joints. '
            f'Only in the policy: {available(set(names) - set(robot.command.joints))}. '
            f'Only in the robot: {available(set(robot.command.joints) - set(names))}. '
            "Rename the joints in the robot YAML or export the policy with the robot's names."
        )
    for name, unit in zip(names, spec.action_units, strict=True):
        _check_unit(spec, robot, name, unit, rate=False)


def _check_unit(spec: PolicySpec, robot: RobotConfig, name: str, unit: str, *, rate: bool) -> None:
    joint = robot.joint(name)
    expected = JOINT_UNITS[joint.unit] if rate else joint.unit
    if unit != expected:
        raise BindingError(
            f'policy {spec.name!r} has {name!r} in {unit!r}, but robot {robot.name!r} has it in '
            f'{expected!r}; convert in the graph when exporting the policy'
        )


def _missing(
    spec: PolicySpec, robot: RobotConfig, where: str, what: str, name: str, known: Iterable[str]
) -> BindingError:
    names = list(known)
    wanted = {
        'camera': [i.camera for i in spec.image_inputs],
        'joint': [j for i in spec.state_inputs for j in i.joints],
    }.get(what, [name])
    return BindingError(
        f'policy {spec.name!r}, {where}: the robot {robot.name!r} has no {what} {name!r}. '
        f'The policy takes: {available(wanted)}. The robot has: {available(names)}.'
        f'{did_you_mean(name, names)} Name them alike in {robot.source}.'
    )
