# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""HumanConfig: how a person stops, takes over and moves a robot; the section `human`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Self

from bc_runtime.spec.command_config import CommandConfig
from bc_runtime.spec.errors import available
from bc_runtime.spec.fields import Fields
from bc_runtime.spec.schema import Checked, Key

TAKEOVER_TYPES = ('bool', 'joy', 'service')
JOINT_TELEOP = ('joint_state', 'joint_trajectory')
TWIST_TELEOP = ('twist', 'twist_stamped')


@dataclass(frozen=True, slots=True, kw_only=True)
class HumanConfig(Checked):
    """Inputs of the human: e-stop, takeover and teleoperation; empty means not connected.

    `teleop_type` is never empty once the robot is read: see `fitted`.
    """

    estop_topic: Annotated[str, Key('`std_msgs/Bool`, true: emergency stop', topic=True)] = 'estop'
    takeover_type: Annotated[
        str,
        Key(
            '`bool` (`std_msgs/Bool`), `joy` (a button of a `sensor_msgs/Joy`) or `service` '
            '(`~/takeover` of the controller): [takeover.md](../how-to/takeover.md)',
            choices=TAKEOVER_TYPES,
        ),
    ] = 'bool'
    takeover_topic: Annotated[str, Key('empty: not connected; none for `service`', topic=True)] = (
        ''
    )
    takeover_button: Annotated[
        int,
        Key(
            'index of the button, from 0',
            minimum=0,
            only_if=('takeover_type', ('joy',)),
            otherwise=0,
        ),
    ]
    teleop_topic: Annotated[str, Key('empty: not connected', topic=True)] = ''
    teleop_type: Annotated[
        str,
        Key(
            'what moves the robot; for a Twist `twist` or `twist_stamped`, for joints one of the '
            'others',
            choices=(*JOINT_TELEOP, *TWIST_TELEOP),
            default=lambda _: '',
            default_text='`joint_state`; for a Twist `twist`',
        ),
    ]
    heartbeat_s: Annotated[
        float, Key('the human counts as gone after this silence', unit='s', above=0.0)
    ] = 0.5

    @property
    def can_take_over(self) -> bool:
        """Whether a takeover is connected at all."""
        return bool(self.teleop_topic)

    def checked(self, f: Fields) -> Self:
        """Refuse a takeover with nothing to move the robot by, and the reverse."""
        wants_topic = self.takeover_type != 'service'
        if not wants_topic and self.takeover_topic:
            raise f.fail('takeover_topic', 'takeover_type service has no topic; remove the key')
        if (self.takeover_topic or not wants_topic) and not self.teleop_topic:
            raise f.fail('teleop_topic', 'a takeover needs a teleop_topic to take over with')
        if wants_topic and self.teleop_topic and not self.takeover_topic:
            raise f.fail(
                'takeover_topic',
                'a teleop_topic needs a takeover_topic (or takeover_type: service), because only '
                'a held button gives the robot to the human',
            )
        return self

    def fitted(self, f: Fields, command: CommandConfig) -> Self:
        """Return this with the `teleop_type` that fits a command, if none was given.

        Raises:
            ConfigError: the one that was given does not fit.
        """
        kind = self.teleop_type or ('twist' if command.is_twist else 'joint_state')
        if self.teleop_topic:
            _check_teleop(f, kind, command)
        return replace(self, teleop_type=kind)


def _check_teleop(f: Fields, teleop: str, command: CommandConfig) -> None:
    fitting = TWIST_TELEOP if command.is_twist else JOINT_TELEOP
    if teleop in fitting:
        return
    reason = (
        'the command is a Twist, which joint positions say nothing about'
        if command.is_twist
        else 'turning the velocity of a tool into joint motion needs the inverse kinematics of '
        'the robot, which bc_runtime does not have; put e.g. MoveIt Servo in between'
    )
    raise f.fail(
        'teleop_type',
        f'{teleop} cannot steer a robot with command.type {command.type}: {reason}. '
        f'Types that fit: {available(fitting)}',
    )
