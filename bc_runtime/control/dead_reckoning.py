# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""DeadReckoning: where a robot that takes velocities is now, from an older measurement.

A joint state tells where the robot was: it is as old as the time since its arrival and the latency
of the sensor together. Since then the robot has moved on with the velocities that it was sent. The
way to a position limit must be reckoned from where it is now, or it stops too late by
velocity · age.
"""

from __future__ import annotations

from collections import deque

Values = tuple[float, ...]

#: Velocities are remembered for this long; joint states that are older stop the robot [ns].
_KEPT_NS = 5_000_000_000


class DeadReckoning:
    """Adds the way of the velocities that were sent since a measurement.

    Args:
        latency_s: From the physical event to the arrival of its joint state [s].
    """

    def __init__(self, latency_s: float) -> None:
        self._latency_ns = round(latency_s * 1e9)
        self._sent: deque[tuple[int, Values]] = deque()

    def sent(self, velocity: Values, mono_ns: int) -> None:
        """Note what the driver does from now on, shape (n,) [rad/s or m/s] (monotonic time)."""
        self._sent.append((mono_ns, velocity))
        while len(self._sent) > 1 and self._sent[1][0] <= mono_ns - _KEPT_NS:
            self._sent.popleft()

    def position(self, measured: Values, arrival_ns: int, now_ns: int) -> Values:
        """Return where the robot is now, shape (n,).

        Args:
            measured: Where it was [rad or m], shape (n,).
            arrival_ns: When that arrived (monotonic).
            now_ns: Monotonic.
        """
        begin_ns = arrival_ns - self._latency_ns
        here = list(measured)
        until_ns = now_ns
        for since_ns, velocity in reversed(self._sent):
            span_s = (until_ns - max(since_ns, begin_ns)) * 1e-9
            if span_s > 0.0:
                here = [q + v * span_s for q, v in zip(here, velocity, strict=True)]
                until_ns = since_ns
            if since_ns <= begin_ns:
                break
        return tuple(here)
