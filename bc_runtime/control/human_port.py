# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The human's hands: a hold-to-run signal and a stream of joint positions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import math

from bc_runtime.safety import Event, Flag, HumanTarget
from bc_runtime.safety.human import HumanMode
from bc_runtime.spec import RobotConfig, SafetyError


class HumanPort:
    """Turns a repeated 'I hold it' and a leader's joints into events, facts and a target.

    The signal must be repeated: silence is a release that comes too late to be one, so it stops
    the robot.
    """

    def __init__(self, robot: RobotConfig, mode: HumanMode) -> None:
        if mode == 'velocity' and not robot.command.takes_velocities:
            raise SafetyError(
                f'human_mode velocity needs a robot that takes velocities; {robot.name!r} takes '
                'positions. Choose absolute or relative'
            )
        self._joints = robot.command.joints
        self._patience_ns = round(robot.human.heartbeat_s * 1e9)
        # A pose cannot be aligned with a velocity, so that the choice is none there.
        self._target = HumanTarget(
            'velocity' if robot.command.takes_velocities else mode,
            turning=[joint.continuous for joint in robot.commanded],
        )
        self._pressed = False
        self._beat_ns: int | None = None
        self._leader: tuple[float, ...] | None = None
        self._leader_ns: int | None = None
        self._unusable = ''
        self.dropped = 0
        """Messages of the leader that could not be used."""

    def on_takeover(
        self, pressed: bool, *, arrival_ns: int, policy_moves: bool = False
    ) -> Event | None:
        """Take the hold-to-run signal; return the event that it means, if any.

        A change means something, and a hand at the button wherever a policy moves the robot: its
        release before may never have been heard.
        """
        self._beat_ns = arrival_ns
        if pressed == self._pressed:
            return Event.TAKEOVER_PRESS if pressed and policy_moves else None
        self._pressed = pressed
        return Event.TAKEOVER_PRESS if pressed else Event.TAKEOVER_RELEASE

    def on_teleop(self, names: Sequence[str], values: Sequence[float], *, arrival_ns: int) -> None:
        """Take the leader's joints or axes, by name; incomplete or not finite ones do not count.

        Args:
            names: As in the message.
            values: Positions, or velocities where the robot is commanded by velocities.
            arrival_ns: Monotonic.
        """
        at = dict(zip(names, values, strict=False))
        missing = [name for name in self._joints if name not in at]
        odd = [n for n in self._joints if n in at and not math.isfinite(at[n])]
        if missing or odd:
            self.dropped += 1
            what = f'without {", ".join(missing)}' if missing else f'{odd[0]} is {at[odd[0]]}'
            self._unusable = f'teleoperation messages cannot be used: {what}'
            return
        self._leader = tuple(float(at[name]) for name in self._joints)
        self._leader_ns, self._unusable = arrival_ns, ''

    def aligned(self, command: Sequence[float]) -> bool:
        """Whether the human may engage at this command."""
        return self._target.aligned(self._leader, command)

    def engage(self, command: Sequence[float]) -> None:
        """The human has the robot from this command on."""
        if self._leader is not None:
            self._target.engage(self._leader, command)

    def release(self) -> None:
        """The human has the robot no more."""
        self._target.release()

    def target(self) -> tuple[float, ...] | None:
        """Where the human wants the joints; None without a stream."""
        return None if self._leader is None else self._target.target(self._leader)

    def flags(self, mono_ns: int) -> Mapping[Flag, str]:
        """Return which of the two streams is silent."""
        found: dict[Flag, str] = {}
        if self._beat_ns is None or mono_ns - self._beat_ns > self._patience_ns:
            found[Flag.HUMAN_HEARTBEAT_LOST] = 'the hold-to-run signal is silent'
        if self._leader_ns is None or mono_ns - self._leader_ns > self._patience_ns:
            silent = 'the teleoperation stream is silent'
            found[Flag.HUMAN_STREAM_STALE] = self._unusable or silent
        return found
