# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Watchdogs over time: is something still coming, is the loop still turning.

All times are passed in, in nanoseconds; nothing here reads a clock or starts a thread. Ages are
arrival ages on the monotonic clock: a stamp of another machine, or a stepped wall clock, must not
be able to declare old data fresh.
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum
from math import inf

from bc_runtime.spec.errors import SafetyError


class Level(IntEnum):
    """What a watchdog says."""

    OK = 0
    WARN = 1
    STOP = 2


class AgeWatchdog:
    """Something must keep coming: a stream, chunks, the human's heartbeat.

    Args:
        name: For texts.
        warn_s: Older than this warns [s].
        stop_s: Older than this stops [s].
    """

    def __init__(self, name: str, *, warn_s: float, stop_s: float) -> None:
        if not 0.0 < warn_s <= stop_s:
            raise SafetyError(f'{name}: expected 0 < warn_s <= stop_s, got {warn_s!r}, {stop_s!r}')
        self.name = name
        self._warn_ns = round(warn_s * 1e9)
        self._stop_ns = round(stop_s * 1e9)
        self._last_ns: int | None = None

    def feed(self, arrival_ns: int) -> None:
        """Something valid arrived (monotonic time)."""
        if self._last_ns is None or arrival_ns > self._last_ns:
            self._last_ns = arrival_ns

    def reset(self) -> None:
        """Forget what came; until the next `feed` the level is STOP."""
        self._last_ns = None

    def age_s(self, now_ns: int) -> float:
        """Return the age [s]; inf if nothing ever came."""
        return inf if self._last_ns is None else (now_ns - self._last_ns) * 1e-9

    def level(self, now_ns: int) -> Level:
        """Judge the age at this monotonic time."""
        if self._last_ns is None:
            return Level.STOP
        age = now_ns - self._last_ns
        if age > self._stop_ns:
            return Level.STOP
        return Level.WARN if age > self._warn_ns else Level.OK

    def text(self, now_ns: int) -> str:
        """Return the name and the age for people."""
        age = self.age_s(now_ns)
        said = 'never came' if age == inf else f'{age:.3f} s old'
        return f'{self.name}: {said}, allowed {self._stop_ns * 1e-9:.3f} s'


def camera_watchdog(name: str, period_s: float, stop_s: float | None = None) -> AgeWatchdog:
    """Return a camera's watchdog: warn after 2 periods, stop after max(0.25 s, 5 periods)."""
    stop = max(0.25, 5.0 * period_s) if stop_s is None else stop_s
    return AgeWatchdog(name, warn_s=min(2.0 * period_s, stop), stop_s=stop)


def joint_state_watchdog(period_s: float, stop_s: float | None = None) -> AgeWatchdog:
    """Return the joint states' watchdog: stop after max(3 periods, 50 ms), at most 100 ms."""
    stop = min(max(3.0 * period_s, 0.05), 0.1) if stop_s is None else stop_s
    return AgeWatchdog('joint states', warn_s=min(2.0 * period_s, stop), stop_s=stop)


class TickWatchdog:
    """The control loop must turn. `beat` in the loop, `stalled` in another thread.

    One integer is shared and Python writes it at once, so no lock is needed and the watching
    thread cannot be blocked by the loop. The loop itself learns from `beat` that it stood still (a
    process that was stopped and continued): then its plan is old and must not be executed.

    Args:
        limit_s: Longer than this without a beat is a stall [s].
    """

    def __init__(self, limit_s: float = 0.2) -> None:
        self._limit_ns = round(limit_s * 1e9)
        self._last_ns: int | None = None

    def beat(self, now_ns: int) -> float:
        """Note a tick; return the gap since the one before [s], 0 for the first."""
        last, self._last_ns = self._last_ns, now_ns
        return 0.0 if last is None else (now_ns - last) * 1e-9

    def stop(self) -> None:
        """Expect no more beats: the loop ended on purpose."""
        self._last_ns = None

    def stalled(self, now_ns: int) -> bool:
        """Whether the loop has not turned for longer than the limit."""
        last = self._last_ns
        return last is not None and now_ns - last > self._limit_ns

    def stood_still(self, gap_s: float) -> bool:
        """Whether a gap returned by `beat` was a stall."""
        return gap_s * 1e9 > self._limit_ns


class MissedTicks:
    """Share of missed ticks in a sliding window.

    Args:
        dt_s: Period [s].
        window_s: Length of the window [s].
        share: More missed ticks than this share is too many.
    """

    def __init__(self, dt_s: float, *, window_s: float = 10.0, share: float = 0.05) -> None:
        self._expected = max(1, round(window_s / dt_s))
        self._window_ns = round(window_s * 1e9)
        self._share = share
        self._missed: deque[tuple[int, int]] = deque()
        self._count = 0
        self.total = 0
        """Missed ticks since the beginning."""

    def note(self, now_ns: int, missed: int) -> None:
        """Note how many deadlines passed without a tick before this one (usually 0)."""
        if missed > 0:
            self._missed.append((now_ns, missed))
            self._count += missed
            self.total += missed
        while self._missed and now_ns - self._missed[0][0] > self._window_ns:
            self._count -= self._missed.popleft()[1]

    @property
    def share(self) -> float:
        """Missed ticks per expected tick of the window."""
        return self._count / self._expected

    @property
    def too_many(self) -> bool:
        """Whether the share is above its limit."""
        return self.share > self._share
