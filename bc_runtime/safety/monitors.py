# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Monitors of the robot's answer: does it follow, does it still report, is it where it should be.

They judge the measured state and raise flags. They never touch the command: limiting from the
measured state would throttle the robot by its own lag.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import pi, remainder

from bc_runtime.safety.limits import JointLimits
from bc_runtime.safety.watchdogs import Level
from bc_runtime.spec.errors import SafetyError


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingReport:
    """How well the robot follows.

    Attributes:
        level: WARN from half the tolerance; STOP above it for `hold_s`.
        joint: Joint with the largest share of its tolerance.
        error: Its |command - measured| [rad or m].
        tolerance: Its tolerance at this speed [rad or m].
    """

    level: Level
    joint: str
    error: float
    tolerance: float

    @property
    def text(self) -> str:
        """For people."""
        return f'{self.joint}: off by {self.error:.3g}, allowed {self.tolerance:.3g}'


class TrackingMonitor:
    """Compares the measured position with the command of `lag_s` ago.

    Args:
        limits: Joints in command order.
        tolerance: Largest error [rad or m]; a moving joint gets at least 3·lag·|v|.
        hold_s: STOP only after this long above the tolerance [s].
        lag_s: Delay between a command and its effect on the measurement [s].
    """

    def __init__(
        self,
        limits: Sequence[JointLimits],
        *,
        tolerance: float = 0.15,
        hold_s: float = 0.2,
        lag_s: float = 0.0,
    ) -> None:
        if not (tolerance > 0.0 and hold_s >= 0.0 and lag_s >= 0.0):
            raise SafetyError(
                f'expected a positive tolerance and no negative times, got {tolerance=}, '
                f'{hold_s=}, {lag_s=}'
            )
        self._names = tuple(one.name for one in limits)
        self._tolerance = tolerance
        self._hold_ns = round(hold_s * 1e9)
        self._lag_ns = round(lag_s * 1e9)
        self._lag_s = lag_s
        self._commands: deque[tuple[int, tuple[float, ...], tuple[float, ...]]] = deque()
        self._over_since_ns: int | None = None
        self._watched = tuple(range(len(limits)))

    def watch(self, watched: Sequence[bool]) -> None:
        """Judge only these joints: a gripper that holds something never gets to its command."""
        self._watched = tuple(j for j, judged in enumerate(watched) if judged)

    def reset(self) -> None:
        """Forget all commands; call it whenever the limiter is seeded."""
        self._commands.clear()
        self._over_since_ns = None

    def command(
        self, now_ns: int, position: tuple[float, ...], velocity: tuple[float, ...]
    ) -> None:
        """Note this tick's command (monotonic time)."""
        self._commands.append((now_ns, position, velocity))
        while len(self._commands) > 1 and self._commands[1][0] <= now_ns - self._lag_ns - 10**9:
            self._commands.popleft()

    def measure(self, now_ns: int, measured: Sequence[float]) -> TrackingReport:
        """Judge a measurement, shape (n,), in command order (monotonic time of its arrival)."""
        chosen = None
        for entry in self._commands:
            if entry[0] > now_ns - self._lag_ns:
                break
            chosen = entry
        if chosen is None or not self._watched:
            return TrackingReport(level=Level.OK, joint='', error=0.0, tolerance=self._tolerance)
        worst, share = 0, -1.0
        bands = [max(self._tolerance, 3.0 * self._lag_s * abs(v)) for v in chosen[2]]
        for j in self._watched:
            off = abs(measured[j] - chosen[1][j]) / bands[j]
            if off > share:
                worst, share = j, off
        if share > 1.0:
            if self._over_since_ns is None:
                self._over_since_ns = now_ns
            lasting = now_ns - self._over_since_ns >= self._hold_ns
            level = Level.STOP if lasting else Level.WARN
        else:
            self._over_since_ns = None
            level = Level.WARN if share > 0.5 else Level.OK
        return TrackingReport(
            level=level,
            joint=self._names[worst],
            error=abs(measured[worst] - chosen[1][worst]),
            tolerance=bands[worst],
        )


def not_farther_than(
    tolerance: Sequence[float],
    *,
    reference: Sequence[float],
    command: Sequence[float],
    measured: Sequence[float],
    turning: Sequence[bool] | None = None,
) -> tuple[float, ...]:
    """Let no command run farther away from the robot (anti-wind-up).

    A blocked joint would snap when it comes free. A joint whose command is ahead of it by more
    than its tolerance, and is wanted farther ahead, gets its command for reference: it brakes.
    With a tolerance above that of tracking this changes nothing in normal operation. Shapes (n,);
    `turning` says which joints are continuous: their reference may be turns away.
    """
    turns = turning or (False,) * len(command)
    return tuple(
        c
        if abs(c - m) > t and (remainder(r - c, 2.0 * pi) if turn else r - c) * (c - m) > 0.0
        else r
        for t, r, c, m, turn in zip(tolerance, reference, command, measured, turns, strict=True)
    )


class FrozenJoints:
    """The same joint states again and again while the command moves: a hung driver.

    Args:
        hold_s: Frozen for this long [s].
        motion: The command must have moved by this much meanwhile [rad or m]; real encoders of a
            resting robot may well repeat themselves.
    """

    def __init__(self, *, hold_s: float = 0.2, motion: float = 0.02) -> None:
        self._hold_ns = round(hold_s * 1e9)
        self._motion = motion
        self._measured: tuple[float, ...] | None = None
        self._since_ns = 0
        self._command: tuple[float, ...] = ()
        self._watched: tuple[int, ...] | None = None

    def watch(self, watched: Sequence[bool]) -> None:
        """Judge only these joints: a gripper that holds something does not move when told to."""
        self._watched = tuple(j for j, judged in enumerate(watched) if judged)
        self.reset()

    def reset(self) -> None:
        """Begin again; call it whenever the limiter is seeded."""
        self._measured = None

    def check(self, now_ns: int, measured: tuple[float, ...], command: tuple[float, ...]) -> bool:
        """Note a measurement and the command of that time, shapes (n,); return whether frozen."""
        if self._watched is not None:
            measured = tuple(measured[j] for j in self._watched)
            command = tuple(command[j] for j in self._watched)
        if measured != self._measured or len(command) != len(self._command):
            self._measured, self._since_ns, self._command = measured, now_ns, command
            return False
        steps = (abs(c - b) for c, b in zip(command, self._command, strict=True))
        moved = max(steps, default=0.0)
        return now_ns - self._since_ns >= self._hold_ns and moved > self._motion


class OverspeedMonitor:
    """Measured speeds must stay near their limits.

    One measurement proves nothing: velocities are differentiated noise on many robots, and a
    command that was late by some milliseconds is caught up with. Far beyond the limit it proves
    enough.

    Args:
        limits: One per joint, in order.
        share: Speeds above this times the limit count.
        hold_s: For how long they have to, without a break [s].
        at_once: Speeds above this times the limit count at once.
    """

    def __init__(
        self,
        limits: Sequence[JointLimits],
        *,
        share: float = 1.2,
        hold_s: float = 0.05,
        at_once: float = 2.0,
    ) -> None:
        self._limits = tuple(limits)
        self._watched = (True,) * len(limits)
        self._share = share
        self._hold_ns = round(hold_s * 1e9)
        self._at_once = at_once
        self._since_ns: int | None = None

    def watch(self, watched: Sequence[bool]) -> None:
        """Judge only these joints: a gripper snaps when what it holds slips away."""
        self._watched = tuple(watched)

    def check(self, now_ns: int, velocities: Sequence[float]) -> str:
        """Take measured velocities [rad/s or m/s]; name the joints that are too fast, or none."""
        velocities = [
            v if judged else 0.0 for v, judged in zip(velocities, self._watched, strict=True)
        ]
        text = overspeed(velocities, self._limits, self._share)
        if not text:
            self._since_ns = None
            return ''
        if self._since_ns is None:
            self._since_ns = now_ns
        lasting = now_ns - self._since_ns >= self._hold_ns
        return text if lasting else overspeed(velocities, self._limits, self._at_once)


def overspeed(
    velocities: Sequence[float], limits: Sequence[JointLimits], share: float = 1.2
) -> str:
    """Name the joints whose measured speed exceeds `share` times their limit; empty if none."""
    return '; '.join(
        f'{one.name}: {abs(v):.3g} per second, limit {one.velocity:.3g}'
        for v, one in zip(velocities, limits, strict=True)
        if abs(v) > share * one.velocity
    )


def outside_limits(positions: Sequence[float], limits: Sequence[JointLimits]) -> str:
    """Name the joints that are outside their hard limits; empty if none. Shape (n,)."""
    return '; '.join(
        f'{one.name}: {q:.4g} is outside [{one.lower:.4g}, {one.upper:.4g}]'
        for q, one in zip(positions, limits, strict=True)
        if not one.lower <= q <= one.upper and not one.continuous
    )


class TrainingRangeMonitor:
    """The state must stay near what the policy was trained on.

    Args:
        ranges: Name -> (minimum, maximum) over the training data.
        tolerance: Share of each range that a value may be outside.
        hold_s: Outside for this long before it is reported [s].
    """

    def __init__(
        self,
        ranges: Mapping[str, tuple[float, float]],
        *,
        tolerance: float = 0.05,
        hold_s: float = 0.2,
    ) -> None:
        self._bands = {
            name: (low - tolerance * (high - low), high + tolerance * (high - low))
            for name, (low, high) in ranges.items()
        }
        self._hold_ns = round(hold_s * 1e9)
        self._since_ns: int | None = None

    def check(self, now_ns: int, values: Mapping[str, float]) -> str:
        """Judge one observation; return which values are outside for too long, else ''."""
        outside = [
            f'{name}: {values[name]:.4g} is outside [{low:.4g}, {high:.4g}]'
            for name, (low, high) in self._bands.items()
            if name in values and not low <= values[name] <= high
        ]
        if not outside:
            self._since_ns = None
            return ''
        if self._since_ns is None:
            self._since_ns = now_ns
        return '; '.join(outside) if now_ns - self._since_ns >= self._hold_ns else ''
