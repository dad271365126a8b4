# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""PlanClock: whether the clock that the plan lies on goes on as time does."""

from __future__ import annotations

from collections.abc import Mapping

from bc_runtime.safety import ClockStep, Flag, StandingClock


class PlanClock:
    """Compares ROS time with the monotonic clock in each tick."""

    def __init__(self) -> None:
        self._step = ClockStep()
        self._standing = StandingClock()
        self._stood_s = 0.0

    def check(self, *, ros_ns: int, wall_ns: int, mono_ns: int) -> bool:
        """Take the times of a tick; return whether the clock was stepped.

        Args:
            ros_ns: ROS time that the plan is looked up for.
            wall_ns: ROS time read together with `mono_ns`.
            mono_ns: Monotonic time.
        """
        self._stood_s = self._standing.check(ros_ns, mono_ns)
        return self._step.check(wall_ns, mono_ns) != 0.0

    @property
    def stands(self) -> bool:
        """Whether ROS time has not gone on since the last tick."""
        return self._standing.stands

    def flags(self, mono_ns: int) -> Mapping[Flag, str]:
        """Return what is wrong now."""
        found: dict[Flag, str] = {}
        if self._step.active(mono_ns):
            found[Flag.CLOCK_STEP] = f'by {self._step.last_step_s:+.2f} s'
        if self._stood_s:
            found[Flag.CLOCK_STOPPED] = f'for {self._stood_s:.1f} s'
        return found
