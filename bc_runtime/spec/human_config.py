# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""HumanConfig: how a person stops, takes over and moves a robot; the section `human`."""

from __future__ import annotations

from dataclasses import dataclass

from bc_runtime.spec.command_config import CommandConfig
from bc_runtime.spec.errors import available
from bc_runtime.spec.fields import Fields

TAKEOVER_TYPES = ('bool', 'joy', 'service')
JOINT_TELEOP = ('joint_state', 'joint_trajectory')
TWIST_TELEOP = ('twist', 'twist_stamped')


@dataclass(frozen=True, slots=True, kw_only=True)
class HumanConfig:
    """Inputs of the human: e-stop, takeover and teleoperation; empty means not connected.

    Attributes:
        takeover_type: `bool` (std_msgs/Bool on `takeover_topic`), `joy` (a button of a
            sensor_msgs/Joy on it) or `service` (`~/takeover` of the controller, no topic).
        takeover_button: joy: index into `Joy.buttons`.
        teleop_type: joint_state, joint_trajectory, twist or twist_stamped.
        heartbeat_s: The human counts as gone after this silence.
    """

    estop_topic: str
    takeover_topic: str
    teleop_topic: str
    teleop_type: str
    heartbeat_s: float
    takeover_type: str = 'bool'
    takeover_button: int = 0

    @property
    def can_take_over(self) -> bool:
        """Whether a takeover is connected at all."""
        return bool(self.teleop_topic)


def read_human(f: Fields, command: CommandConfig) -> HumanConfig:
    """Read the section; `command` decides which teleoperation fits."""
    takeover_type = f.text('takeover_type', 'bool', choices=TAKEOVER_TYPES)
    human = HumanConfig(
        estop_topic=f.topic('estop_topic', 'estop'),
        takeover_topic=f.topic('takeover_topic', ''),
        takeover_type=takeover_type,
        takeover_button=(f.integer('takeover_button', minimum=0) if takeover_type == 'joy' else 0),
        teleop_topic=f.topic('teleop_topic', ''),
        teleop_type=f.text(
            'teleop_type',
            'twist' if command.is_twist else 'joint_state',
            choices=(*JOINT_TELEOP, *TWIST_TELEOP),
        ),
        heartbeat_s=f.number('heartbeat_s', 0.5, above=0.0),
    )
    wants_topic = takeover_type != 'service'
    if not wants_topic and human.takeover_topic:
        raise f.fail('takeover_topic', 'takeover_type service has no topic; remove the key')
    if (human.takeover_topic or not wants_topic) and not human.teleop_topic:
        raise f.fail('teleop_topic', 'a takeover needs a teleop_topic to take over with')
    if wants_topic and human.teleop_topic and not human.takeover_topic:
        raise f.fail(
            'takeover_topic',
            'a teleop_topic needs a takeover_topic (or takeover_type: service), because only a '
            'held button gives the robot to the human',
        )
    if human.teleop_topic:
        _check_teleop(f, human.teleop_type, command)
    f.done()
    return human


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
