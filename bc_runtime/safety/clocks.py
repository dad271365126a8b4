# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Clocks that do not agree: a stepped wall clock, a sender elsewhere, stamps that stand still.

All times are passed in, in nanoseconds; nothing here reads a clock. Ages and timeouts live on the
monotonic clock; the plan lies on the clock of the stamps, so that a step of that one must stop the
robot before it follows the plan to another time.
"""

from __future__ import annotations

from collections import deque

from bc_runtime.safety.watchdogs import Level


class ClockStep:
    """Detects a stepped wall clock by comparing it with the monotonic one each tick.

    Slow drift (NTP slewing, at most 500 ppm) never adds up to a step, because only neighbouring
    ticks are compared.

    Args:
        threshold_s: Smaller steps are ignored [s].
        hold_s: `active` for this long after a step [s].
    """

    def __init__(self, threshold_s: float = 0.05, *, hold_s: float = 1.0) -> None:
        self._threshold_ns = round(threshold_s * 1e9)
        self._hold_ns = round(hold_s * 1e9)
        self._offset_ns: int | None = None
        self._until_ns = 0
        self.last_step_s = 0.0
        """Size of the newest step [s]."""

    def check(self, wall_ns: int, mono_ns: int) -> float:
        """Compare the clocks, read one right after the other; return the step [s] or 0."""
        offset = wall_ns - mono_ns
        before, self._offset_ns = self._offset_ns, offset
        if before is None or abs(offset - before) <= self._threshold_ns:
            return 0.0
        self.last_step_s = (offset - before) * 1e-9
        self._until_ns = mono_ns + self._hold_ns
        return self.last_step_s

    def active(self, mono_ns: int) -> bool:
        """Whether a step happened a short while ago."""
        return mono_ns < self._until_ns


class StandingClock:
    """Detects ROS time that stands still while the monotonic clock goes on.

    A simulation that is paused does that. One that goes on in leaps does it between two of them,
    which is no reason to stop.

    Args:
        patience_s: Longest leap that is normal [s].
    """

    def __init__(self, patience_s: float = 0.2) -> None:
        self._patience_ns = round(patience_s * 1e9)
        self._ros_ns: int | None = None
        self._since_ns = 0
        self.stands = False
        """Whether the last reading was no newer than the one before."""

    def check(self, ros_ns: int, mono_ns: int) -> float:
        """Take the two times of a tick; return for how long ROS time has stood [s], or 0."""
        before, self._ros_ns = self._ros_ns, ros_ns
        self.stands = before is not None and ros_ns <= before
        if not self.stands:
            self._since_ns = mono_ns
        stood_ns = mono_ns - self._since_ns
        return stood_ns * 1e-9 if stood_ns > self._patience_ns else 0.0


class ClockSkew:
    """Estimates the offset of a sender's clock: the smallest (arrival - stamp) of a window.

    Transport can only add delay, so the smallest difference is the best estimate of offset plus
    least delay (the filter of NTP, RFC 5905 §10).

    Args:
        window_s: Length of the window [s].
        future_s: Stamps further in the future than this warn [s].
        drift_s: A change of the offset beyond this warns [s].
        refuse_s: Beyond this, streams of several machines cannot be aligned by stamp [s].
    """

    def __init__(
        self,
        *,
        window_s: float = 1.0,
        future_s: float = 0.005,
        drift_s: float = 0.05,
        refuse_s: float = 0.1,
    ) -> None:
        self._window_ns = round(window_s * 1e9)
        self._future_s = future_s
        self._drift_s = drift_s
        self._refuse_s = refuse_s
        # The newest sample, and before it only those that may yet be the smallest: differences
        # rise from the left, so that the smallest is always the first.
        self._samples: deque[tuple[int, int]] = deque()
        self._begin_ns = 0
        self._first_s: float | None = None

    def push(self, stamp_ns: int, arrival_ns: int) -> None:
        """Note a message; both times on the ROS clock of this machine."""
        if self._samples and arrival_ns < self._samples[-1][0] - self._window_ns // 10:
            # This machine's time went back: what was sent before says nothing.
            self._samples.clear()
            self._first_s = None
            return
        samples, difference = self._samples, arrival_ns - stamp_ns
        if not samples:
            self._begin_ns = arrival_ns
        while samples and samples[-1][1] >= difference:
            samples.pop()
        samples.append((arrival_ns, difference))
        while arrival_ns - samples[0][0] > self._window_ns:
            samples.popleft()
        if self._first_s is None and arrival_ns - self._begin_ns > self._window_ns // 2:
            self._first_s = self.offset_s

    @property
    def offset_s(self) -> float:
        """Smallest arrival - stamp of the window [s]; 0 without messages."""
        return self._samples[0][1] * 1e-9 if self._samples else 0.0

    @property
    def suspicious(self) -> bool:
        """Whether stamps lie in the future or the offset has changed."""
        offset = self.offset_s
        drifted = self._first_s is not None and abs(offset - self._first_s) > self._drift_s
        return offset < -self._future_s or drifted

    @property
    def too_large(self) -> bool:
        """Whether a start must be refused."""
        return abs(self.offset_s) > self._refuse_s


class StampWatchdog:
    """Stamps must advance with time; frozen or jumping ones warn, and stop when it lasts.

    Args:
        jump_s: A stamp step that differs from the arrival step by more than this is a jump [s].
        stop_s: Bad stamps for this long stop [s].
    """

    def __init__(self, *, jump_s: float = 0.5, stop_s: float = 1.0) -> None:
        self._jump_ns = round(jump_s * 1e9)
        self._stop_ns = round(stop_s * 1e9)
        self._last: tuple[int, int] | None = None
        self._bad_since_ns: int | None = None

    def push(self, stamp_ns: int, arrival_ns: int) -> Level:
        """Note a message; return the level."""
        last, self._last = self._last, (stamp_ns, arrival_ns)
        if last is None:
            return Level.OK
        advance = stamp_ns - last[0]
        jump = abs(advance - (arrival_ns - last[1]))
        if advance > 0 and jump <= self._jump_ns:
            self._bad_since_ns = None
            return Level.OK
        if self._bad_since_ns is None:
            self._bad_since_ns = arrival_ns
        lasting = arrival_ns - self._bad_since_ns > self._stop_ns
        return Level.STOP if lasting else Level.WARN
