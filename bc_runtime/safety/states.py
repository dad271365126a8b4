# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The words of the supervisor: states, sources, severities, events and actions."""

from __future__ import annotations

from enum import Enum, IntEnum, StrEnum


class State(StrEnum):
    """State of the controller; what each one sends is in `Source`."""

    UNCONFIGURED = 'UNCONFIGURED'
    INACTIVE = 'INACTIVE'
    READY = 'READY'
    ALIGN = 'ALIGN'
    AUTO = 'AUTO'
    SLOW = 'SLOW'
    TAKEOVER = 'TAKEOVER'
    HUMAN = 'HUMAN'
    HANDBACK = 'HANDBACK'
    BRAKING = 'BRAKING'
    HELD = 'HELD'
    FAULT = 'FAULT'
    ESTOP = 'ESTOP'
    FINALIZING = 'FINALIZING'


class Source(IntEnum):
    """Who makes the command of a tick; the numbers of `bc_msgs/ControllerStatus.SOURCE_*`."""

    NONE = 0  # send nothing
    POLICY = 1  # Limiter.step towards the timeline's set-point
    HUMAN = 2  # Limiter.step towards the teleoperation stream
    ALIGN = 3  # Limiter.step with the ALIGN limits towards the first target
    HOLD = 4  # Limiter.hold
    BRAKE = 5  # Limiter.brake


class Severity(IntEnum):
    """What a raised flag asks for; the most severe one wins."""

    OK = 0
    WARN = 1
    SLOW = 2
    HOLD = 3
    FAULT = 4
    ESTOP = 5


class Event(StrEnum):
    """Something that somebody asked for, once."""

    CONFIGURED = 'CONFIGURED'
    CLEANUP = 'CLEANUP'
    ACTIVATE = 'ACTIVATE'
    DEACTIVATE = 'DEACTIVATE'
    START = 'START'
    STOP = 'STOP'
    EPISODE_END = 'EPISODE_END'
    RESUME = 'RESUME'
    TAKEOVER_PRESS = 'TAKEOVER_PRESS'
    TAKEOVER_RELEASE = 'TAKEOVER_RELEASE'
    RESET = 'RESET'
    TIME_JUMP = 'TIME_JUMP'
    SHUTDOWN = 'SHUTDOWN'


class Action(Enum):
    """What the controller must do at a transition, before it makes the tick's command."""

    NEW_EPOCH = 'new_epoch'
    """Publish the new epoch, drop every chunk, reset the policy; older observations are void."""

    SEED_MEASURED = 'seed_measured'
    """Seed the limiter and the checker with the measured positions, at rest."""


class Clear(StrEnum):
    """What ends the effect of a flag."""

    CONDITION = 'condition'  # the flag itself going away (SLOW: plus hysteresis)
    RECOVERY = 'recovery'  # a plan again within `recover_s`, else like OPERATOR
    OPERATOR = 'operator'  # the flag gone and an explicit resume
    RESET = 'reset'  # latched: the flag gone and an explicit reset


#: The policy has the robot.
POLICY_STATES = frozenset({State.ALIGN, State.AUTO, State.SLOW})
#: A human has the robot.
HUMAN_STATES = frozenset({State.TAKEOVER, State.HUMAN})
#: Something may make the robot move.
MOVING_STATES = POLICY_STATES | HUMAN_STATES | {State.HANDBACK}
#: Commands move the robot, so that nobody else has put it where it is.
DRIVEN_STATES = MOVING_STATES | {State.BRAKING, State.FINALIZING}
#: Commands are being sent.
ACTIVE_STATES = MOVING_STATES | {State.READY, State.BRAKING, State.HELD}
