# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The supervisor's table: each flag, how severe it is, where it counts and what ends it.

Flags are facts ('camera front is stale'), raised by watchdogs and checks; the table says what to
do about them. Facts and reactions are kept apart after PX4's failsafe framework
(PX4-Autopilot, src/modules/commander/failsafe): the table can be read, printed and changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from bc_runtime.safety.states import (
    ACTIVE_STATES,
    MOVING_STATES,
    POLICY_STATES,
    Clear,
    Severity,
    State,
)


class Flag(StrEnum):
    """Facts that the supervisor reacts to; also the reason codes on `~/state`."""

    # robot
    ESTOP = 'ESTOP'
    ROBOT_STOPPED = 'ROBOT_STOPPED'
    JOINT_STATES_STALE = 'JOINT_STATES_STALE'
    JOINT_STATES_FROZEN = 'JOINT_STATES_FROZEN'
    JOINT_MISSING = 'JOINT_MISSING'
    JOINT_STATE_REFUSED = 'JOINT_STATE_REFUSED'
    JOINT_STATES_IMPLAUSIBLE = 'JOINT_STATES_IMPLAUSIBLE'
    DUPLICATE_SENSOR = 'DUPLICATE_SENSOR'
    TRACKING_WARN = 'TRACKING_WARN'
    TRACKING_ERROR = 'TRACKING_ERROR'
    JOINT_BLOCKED = 'JOINT_BLOCKED'
    OVERSPEED = 'OVERSPEED'
    OUTSIDE_LIMITS = 'OUTSIDE_LIMITS'
    DUPLICATE_COMMANDER = 'DUPLICATE_COMMANDER'
    # this process and this machine
    CHECKER_VIOLATION = 'CHECKER_VIOLATION'
    INTERNAL_ERROR = 'INTERNAL_ERROR'
    BRAKE_TIMEOUT = 'BRAKE_TIMEOUT'
    TICK_STALLED = 'TICK_STALLED'
    TICKS_MISSED = 'TICKS_MISSED'
    CLOCK_STEP = 'CLOCK_STEP'
    CLOCK_STOPPED = 'CLOCK_STOPPED'
    CLOCK_SKEW = 'CLOCK_SKEW'
    LIMITER_ACTIVE = 'LIMITER_ACTIVE'
    # observation
    CAMERA_LATE = 'CAMERA_LATE'
    CAMERA_STALE = 'CAMERA_STALE'
    CAMERA_FROZEN = 'CAMERA_FROZEN'
    CAMERA_STAMPS = 'CAMERA_STAMPS'
    CAMERA_DARK = 'CAMERA_DARK'
    OBSERVATION_STALE = 'OBSERVATION_STALE'
    OUT_OF_DISTRIBUTION = 'OUT_OF_DISTRIBUTION'
    # policy
    COVERAGE_HOLE = 'COVERAGE_HOLE'
    CHUNK_REJECTED = 'CHUNK_REJECTED'
    CHUNKS_REJECTED = 'CHUNKS_REJECTED'
    CHUNKS_MALFORMED = 'CHUNKS_MALFORMED'
    INFERENCE_DOWN = 'INFERENCE_DOWN'
    INFERENCE_RESTARTS = 'INFERENCE_RESTARTS'
    POLICY_FAILED = 'POLICY_FAILED'
    POLICY_CHANGED = 'POLICY_CHANGED'
    POLICY_ROLLED_BACK = 'POLICY_ROLLED_BACK'
    ALIGN_TOO_FAR = 'ALIGN_TOO_FAR'
    # human
    HUMAN_HEARTBEAT_LOST = 'HUMAN_HEARTBEAT_LOST'
    HUMAN_STREAM_STALE = 'HUMAN_STREAM_STALE'
    # recording
    RECORDER_DEGRADED = 'RECORDER_DEGRADED'
    RECORDER_LOST = 'RECORDER_LOST'


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagRule:
    """One row of the table.

    Attributes:
        severity: What the flag asks for.
        text: For people: what is the matter and what to do.
        states: States in which the flag counts.
        clear: What ends its effect.
        takeover: Whether a human may take over while it is raised.
        then: Where a HOLD ends once the robot has stopped.
        recover_s: RECOVERY only: how long after the stop a plan may bring the motion back [s].
        escalate_s: SLOW only: raised for this long, it stops the robot [s]; None never.
        reseed: After it, the robot may be elsewhere: resume from the measured positions.
    """

    severity: Severity
    text: str
    states: frozenset[State]
    clear: Clear
    takeover: bool = True
    then: State = State.HELD
    recover_s: float = 0.0
    escalate_s: float | None = 3.0
    reseed: bool = False

    @property
    def urgency(self) -> tuple[int, int, float]:
        """What sorts flags that are raised together: the one that allows least comes first.

        Of equally severe ones the one that needs a person goes before the one that heals itself.
        """
        return (self.severity, _STRICTNESS.get(self.then, 0), -self.recover_s)

    @property
    def needs_a_person(self) -> bool:
        """Whether the policy may go on only after somebody has said so."""
        return self.severity >= Severity.HOLD and self.clear is not Clear.RECOVERY


#: Where a stop ends: the more is needed to move again, the higher.
_STRICTNESS = {State.ALIGN: 0, State.READY: 1, State.HELD: 2, State.FAULT: 3, State.INACTIVE: 4}


def _warn(text: str) -> FlagRule:
    return FlagRule(severity=Severity.WARN, text=text, states=ACTIVE_STATES, clear=Clear.CONDITION)


def _slow(text: str, *, escalate_s: float | None = 3.0) -> FlagRule:
    return FlagRule(
        severity=Severity.SLOW,
        text=text,
        states=frozenset({State.AUTO, State.SLOW}),
        clear=Clear.CONDITION,
        escalate_s=escalate_s,
    )


def _robot_hold(text: str, *, takeover: bool = False, reseed: bool = False) -> FlagRule:
    return FlagRule(
        severity=Severity.HOLD,
        text=text,
        states=MOVING_STATES,
        clear=Clear.OPERATOR,
        takeover=takeover,
        reseed=reseed,
    )


def _policy_hold(text: str) -> FlagRule:
    return FlagRule(severity=Severity.HOLD, text=text, states=POLICY_STATES, clear=Clear.OPERATOR)


def _human_hold(text: str) -> FlagRule:
    return FlagRule(
        severity=Severity.HOLD,
        text=text,
        states=frozenset({State.TAKEOVER, State.HUMAN}),
        clear=Clear.OPERATOR,
        takeover=False,
    )


def _fault(text: str, *, policy: bool = False, reseed: bool = False) -> FlagRule:
    """A fault of the policy counts while the policy has the robot, any other always."""
    return FlagRule(
        severity=Severity.FAULT,
        text=text,
        states=POLICY_STATES if policy else ACTIVE_STATES,
        clear=Clear.RESET,
        takeover=False,
        reseed=reseed,
    )


def _lasting_fault(text: str) -> FlagRule:
    """A fault of the policy that comes to light when its lack has already stopped the robot.

    It counts where the robot was stopped for want of a plan too; in READY nothing is sent, and a
    human needs no policy.
    """
    return FlagRule(
        severity=Severity.FAULT,
        text=text,
        states=POLICY_STATES | {State.BRAKING, State.HELD},
        clear=Clear.RESET,
    )


DEFAULT_RULES: Mapping[Flag, FlagRule] = MappingProxyType(
    {
        Flag.ESTOP: FlagRule(
            severity=Severity.ESTOP,
            text='emergency stop: release it, then reset',
            states=ACTIVE_STATES | {State.FAULT, State.FINALIZING},
            clear=Clear.RESET,
            takeover=False,
            reseed=True,
        ),
        Flag.ROBOT_STOPPED: _robot_hold(
            'the robot reports a protective stop or zero speed: clear it there, then resume',
            reseed=True,
        ),
        Flag.JOINT_STATES_STALE: _robot_hold(
            'no fresh joint states: check the driver, then resume', reseed=True
        ),
        Flag.JOINT_STATES_FROZEN: _fault(
            'the joint states do not change while the command moves: check the driver, then reset',
            reseed=True,
        ),
        Flag.JOINT_MISSING: _robot_hold(
            'a joint of the robot YAML is missing in the joint states: check the driver'
        ),
        Flag.JOINT_STATE_REFUSED: _warn(
            'a joint state that no joint could have got to was passed over: check the bus'
        ),
        Flag.JOINT_STATES_IMPLAUSIBLE: _robot_hold(
            'several joint states that no joint could have got to: look for a second publisher '
            'and a failing bus, then resume',
            reseed=True,
        ),
        Flag.DUPLICATE_SENSOR: _robot_hold(
            'two publishers send the same sensor: stop one (ros2 topic info -v names them), then '
            'resume',
            reseed=True,
        ),
        Flag.TRACKING_WARN: _warn('the robot follows its command with a large error'),
        Flag.TRACKING_ERROR: _fault(
            'the robot does not follow its command: look for a blocked joint, then reset',
            reseed=True,
        ),
        Flag.JOINT_BLOCKED: FlagRule(
            severity=Severity.FAULT,
            text='a joint is told to move and does not: look for what blocks it, then reset',
            states=MOVING_STATES,
            clear=Clear.RESET,
            takeover=False,
            reseed=True,
        ),
        Flag.OVERSPEED: _robot_hold('a joint moves faster than its limit', reseed=True),
        Flag.OUTSIDE_LIMITS: _warn(
            'a joint is outside its limits: only inward motion is possible'
        ),
        Flag.DUPLICATE_COMMANDER: _robot_hold(
            'another publisher on the command topic: stop it, then resume'
        ),
        Flag.CHECKER_VIOLATION: _fault(
            'the checker refused a command of the limiter: this is a bug, keep the recording'
        ),
        Flag.INTERNAL_ERROR: _fault('an exception in the control tick: see the log, then reset'),
        Flag.BRAKE_TIMEOUT: _fault(
            'braking did not end in time: this is a bug, keep the recording'
        ),
        Flag.TICK_STALLED: _robot_hold(
            'the control loop stood still: find out what blocked it, then resume', reseed=True
        ),
        Flag.TICKS_MISSED: _slow('too many control ticks are late: free a CPU core'),
        Flag.CLOCK_STEP: _policy_hold(
            'the clock was stepped, and the plan lies on it: see what sets it, then resume'
        ),
        Flag.CLOCK_STOPPED: _policy_hold(
            'ROS time stands still: see what publishes /clock, then resume'
        ),
        Flag.CLOCK_SKEW: _warn(
            'stamps of another machine do not agree with this clock: run chrony'
        ),
        Flag.LIMITER_ACTIVE: _warn(
            'the limiter changes most commands: the plan is too fast or rough'
        ),
        Flag.CAMERA_LATE: _warn('an observation waits for a camera'),
        Flag.CAMERA_STALE: _policy_hold('a camera has stopped: check it, then resume'),
        Flag.CAMERA_FROZEN: _policy_hold(
            'a camera repeats the same image: restart it, then resume'
        ),
        Flag.CAMERA_STAMPS: _policy_hold(
            'camera stamps stand still or go back: restart the camera or set clock: arrival, '
            'then resume'
        ),
        Flag.CAMERA_DARK: _slow('a camera image is black or saturated', escalate_s=1.0),
        Flag.OBSERVATION_STALE: _policy_hold(
            'no fresh observation: check the sensors, then resume'
        ),
        Flag.OUT_OF_DISTRIBUTION: _slow(
            'the state is outside what the policy was trained on', escalate_s=None
        ),
        Flag.COVERAGE_HOLE: FlagRule(
            severity=Severity.HOLD,
            text='the plan has run out: inference is too slow or down',
            states=frozenset({State.AUTO, State.SLOW}),
            clear=Clear.RECOVERY,
            then=State.ALIGN,
            recover_s=2.0,
        ),
        Flag.CHUNK_REJECTED: _warn('an action chunk was rejected; the old plan goes on'),
        Flag.CHUNKS_REJECTED: _policy_hold(
            'several action chunks in a row were rejected: see the reasons, then resume'
        ),
        Flag.CHUNKS_MALFORMED: _fault(
            'several action chunks in a row do not fit the policy spec: wrong model or wrong spec',
            policy=True,
        ),
        Flag.INFERENCE_DOWN: _policy_hold(
            'the inference process was started again: see why the one before ended, then resume'
        ),
        Flag.INFERENCE_RESTARTS: _lasting_fault(
            'the inference process died too often: see its log, then reset'
        ),
        Flag.POLICY_FAILED: _lasting_fault(
            'the policy raises, also after its session was made anew: see the log of inference, '
            'then reset'
        ),
        Flag.POLICY_CHANGED: _lasting_fault(
            'a new inference process came with another policy than the one before: see that it is '
            'the one you want, then reset'
        ),
        Flag.POLICY_ROLLED_BACK: _warn(
            'the first chunks of a new policy were rejected; the one before goes on'
        ),
        Flag.ALIGN_TOO_FAR: FlagRule(
            severity=Severity.HOLD,
            text='the first action is too far from the pose: move the robot nearer, then start',
            states=frozenset({State.ALIGN}),
            clear=Clear.OPERATOR,
            then=State.READY,
        ),
        Flag.HUMAN_HEARTBEAT_LOST: _human_hold('the takeover signal has stopped: press again'),
        Flag.HUMAN_STREAM_STALE: _human_hold('the teleoperation stream has stopped: press again'),
        Flag.RECORDER_DEGRADED: _warn(
            'the recording has gaps, has ended, or the disk is nearly full: see the recorder'
        ),
        Flag.RECORDER_LOST: _warn('the recorder is gone: this run is not recorded'),
    }
)
