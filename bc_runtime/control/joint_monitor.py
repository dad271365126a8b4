# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What the joint states say: are they fresh, complete, and does the robot follow?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import math

from bc_runtime.safety import Flag
from bc_runtime.spec import RobotConfig


class JointMonitor:
    """Keeps the newest measured positions, in the order of the robot's command.

    Ages are judged by arrival on the monotonic clock, so that a step of the wall clock or a skewed
    sender cannot make old data look fresh.
    """

    def __init__(self, robot: RobotConfig) -> None:
        self._joints = robot.command.joints
        self._max_age_s = robot.joint_states.max_age_s
        self._tolerance = robot.tolerances.tracking
        self._patience_s = robot.tolerances.tracking_s
        self._arrival_ns: int | None = None
        self._missing: tuple[str, ...] = ()
        self._behind_since_ns: int | None = None
        self.measured: tuple[float, ...] | None = None

    def update(self, names: Sequence[str], positions: Sequence[float], *, arrival_ns: int) -> None:
        """Take a joint state; joints are found by name, whatever their order.

        A message without all joints, or with a value that is not finite, does not count as fresh.
        """
        at = dict(zip(names, positions, strict=False))
        self._missing = tuple(name for name in self._joints if name not in at)
        if self._missing:
            return
        measured = tuple(float(at[name]) for name in self._joints)
        if all(map(math.isfinite, measured)):
            self.measured = measured
            self._arrival_ns = arrival_ns

    def age_s(self, mono_ns: int) -> float:
        """Return the time since the last complete joint state [s]; infinite before the first."""
        if self._arrival_ns is None:
            return math.inf
        return (mono_ns - self._arrival_ns) * 1e-9

    def flags(self, mono_ns: int, command: Sequence[float] | None) -> Mapping[Flag, str]:
        """Return what is wrong now.

        Args:
            mono_ns: Now, monotonic.
            command: The last command sent, or None while nothing is sent.
        """
        found: dict[Flag, str] = {}
        age = self.age_s(mono_ns)
        if self._missing:
            found[Flag.JOINT_MISSING] = ', '.join(self._missing)
        if age > self._max_age_s:
            found[Flag.JOINT_STATES_STALE] = (
                'none has come' if math.isinf(age) else f'{age:.2f} s old'
            )
        worst, joint = self.tracking_error(command)
        if worst <= self._tolerance:
            self._behind_since_ns = None
        elif self._behind_since_ns is None:
            self._behind_since_ns = mono_ns
        elif (mono_ns - self._behind_since_ns) * 1e-9 > self._patience_s:
            found[Flag.TRACKING_ERROR] = f'{joint} is {worst:.3f} off'
        return found

    def tracking_error(self, command: Sequence[float] | None) -> tuple[float, str]:
        """Return the largest |command - measured| and its joint; 0 where unknown."""
        if command is None or self.measured is None:
            return 0.0, ''
        errors = [abs(c - m) for c, m in zip(command, self.measured, strict=True)]
        worst = max(errors)
        return worst, self._joints[errors.index(worst)]
