# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""TickClocks: the two clocks of a control tick, read together."""

from __future__ import annotations

import time

from rclpy.clock import Clock

#: Two clocks that are read within this time are read at once [ns].
_AT_ONCE_NS = 2_000_000
_ATTEMPTS = 3


class TickClocks:
    """Reads the monotonic clock and the one that stamps and plans lie on.

    A process that is interrupted between the two readings must not take that for a step of the
    clock, so that their distance is taken from readings without an interruption only.

    Attributes:
        simulated: ROS time is that of a simulation.
        went_back: Whether simulated time was set back before the last reading.
    """

    def __init__(self, clock: Clock, *, simulated: bool) -> None:
        self._clock = clock
        self.simulated = simulated
        self._offset_ns: int | None = None
        self._before_ns = 0
        self.went_back = False

    def read(self) -> tuple[int, int, int]:
        """Return monotonic time, ROS time, and what ROS time was at the monotonic one [ns].

        Simulated time goes on in leaps; there the last one tells nothing and never steps.
        """
        for _ in range(_ATTEMPTS):
            mono_ns = time.monotonic_ns()
            ros_ns = self._clock.now().nanoseconds
            took_ns = time.monotonic_ns() - mono_ns
            if took_ns < _AT_ONCE_NS:
                break
        if self._offset_ns is None or took_ns < _AT_ONCE_NS:
            self._offset_ns = 0 if self.simulated else ros_ns - mono_ns
        self.went_back = self.simulated and ros_ns < self._before_ns
        self._before_ns = ros_ns
        return mono_ns, ros_ns, mono_ns + self._offset_ns
