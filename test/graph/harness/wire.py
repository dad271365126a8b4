# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""WireAuditor: judge every command on the wire by its content alone.

What counts is what each message asks of the robot. Velocity and acceleration of the first points
are derived from neighbouring messages with the nominal period; the tail of each message must end
at rest inside the limits; and a driver that follows the messages as they came must never be sent
somewhere faster than a joint may move, whatever the gaps between them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bc_runtime.safety import limits_of
from bc_runtime.safety.audit import AuditReport, audit_commands
from bc_runtime.spec import RobotConfig

Floats = NDArray[np.float64]

NS = 1_000_000_000
#: A command counts as moving above this speed [rad/s or m/s].
REST_SPEED = 1e-9
#: Share of the allowed speed that late ticks may ask of a driver.
LATE_RATIO = 2.0
_ROUNDING = 1e-6
#: Two computed places nearer than this [rad or m] are one: both come from the same arithmetic.
_SAME = 1e-9
#: A measured place differs by less from a computed one only by chance [rad or m].
_MEASURED = 1e-12
#: A run may begin where the robot was measured, and moved no farther than this [rad or m] ...
_PLACE = 0.01
#: ... in this time [ns].
_JUST_NOW_NS = 80_000_000
#: Without any, the first measurement in this time after it tells where it was [ns].
_SOON_NS = 500_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WireCommand:
    """One `JointTrajectory` as it was on the wire, as commands of the limiter.

    Attributes:
        sequence: Number that the middleware gave the message; a gap means that the auditor (not
            the robot) lost one.
        sent_ns: When the controller handed it over, system clock.
        times_s: Time of each point from the message on, shape (p,).
        positions: Shape (p, n).
        velocities: Shape (p, n).
    """

    sequence: int
    sent_ns: int
    names: tuple[str, ...]
    times_s: Floats
    positions: Floats
    velocities: Floats

    @property
    def moving(self) -> bool:
        """Whether the command itself moves; its tail always ends at rest."""
        return bool(np.abs(self.velocities[0]).max() > REST_SPEED)

    @property
    def rest(self) -> Floats:
        """Where a driver comes to rest if no other message follows, shape (n,)."""
        return self.positions[-1]

    @property
    def rest_ns(self) -> int:
        """When a driver comes to rest if no other message follows, system clock."""
        return self.sent_ns + round(float(self.times_s[-1]) * NS)

    def at_rest(self, now_ns: int) -> bool:
        """Whether a driver that got no other message rests: at once, or at the tail's end."""
        return not self.moving or now_ns >= self.rest_ns


def command_of(msg: Any, info: dict[str, Any], dt_s: float) -> WireCommand:
    """Return what a `trajectory_msgs/JointTrajectory` says.

    Its points are those of the commands averaged over one period of length `dt_s`, so that the
    commands lie half a period of motion ahead of them.
    """
    points = msg.points
    positions = np.array([list(p.positions) for p in points], dtype=np.float64)
    velocities = np.array([list(p.velocities) for p in points], dtype=np.float64)
    if positions.shape == velocities.shape:  # other messages are judged as they are
        positions = positions + 0.5 * dt_s * velocities
    return WireCommand(
        sequence=int(info['publication_sequence_number']),
        sent_ns=int(info['source_timestamp']),
        names=tuple(msg.joint_names),
        times_s=np.array(
            [p.time_from_start.sec + p.time_from_start.nanosec * 1e-9 for p in points]
        ),
        positions=positions,
        velocities=velocities,
    )


@dataclass(slots=True, kw_only=True)
class WireReport:
    """What an audit found.

    Attributes:
        commands: Messages judged.
        streams: Uninterrupted runs among them; each begins at rest.
        lost: Messages that the auditor itself did not receive.
        missed: Ticks without a message, in which the driver followed the tail of the last one.
        longest_gap_s: Longest time between two commands while the robot moved.
        velocity_ratio: Largest |v| / limit.
        acceleration_ratio: Largest share of a period that a change of velocity needs.
        driver_ratio: Largest speed asked of a driver that followed the messages / limit.
        violations: In words; empty if everything was inside the limits.
    """

    commands: int = 0
    streams: int = 0
    lost: int = 0
    missed: int = 0
    longest_gap_s: float = 0.0
    velocity_ratio: float = 0.0
    acceleration_ratio: float = 0.0
    driver_ratio: float = 0.0
    violations: list[str] = field(default_factory=list)


class _Stream:
    """Consecutive commands: what each tick asked for, also the ticks of a tail in between."""

    def __init__(self, first: WireCommand, *, from_rest: bool) -> None:
        self.from_rest = from_rest
        self.sequences: list[int] = []
        self.positions: list[Floats] = []
        self.velocities: list[Floats] = []
        self.add(first.sequence, first.positions[0], first.velocities[0])

    def add(self, sequence: int, position: Floats, velocity: Floats) -> None:
        self.sequences.append(sequence)
        self.positions.append(position)
        self.velocities.append(velocity)


class WireAuditor:
    """Collects commands and judges them against a robot's YAML."""

    def __init__(self, robot: RobotConfig) -> None:
        self._joints = tuple(robot.command.joints)
        self._limits = limits_of([robot.joint(name) for name in self._joints])
        self._dt_s = 1.0 / robot.command.rate_hz
        self._tail_s = robot.command.tail_s
        self._low = np.array([one.low for one in self._limits])
        self._high = np.array([one.high for one in self._limits])
        self._velocity = np.array([one.velocity for one in self._limits])
        self._deceleration = np.array([one.deceleration for one in self._limits])
        self.commands: list[WireCommand] = []
        self.measured: list[tuple[int, Floats]] = []
        """System time and positions of the joint states; empty: not looked at."""
        self._home: Floats | None = None
        self._drivers_ns: list[int] = []

    def take(self, msg: Any, info: dict[str, Any]) -> None:
        """Keep a message; the callback of a subscription."""
        self.commands.append(command_of(msg, info, self._dt_s))

    def measure(self, at_ns: int, msg: Any) -> None:
        """Keep a joint state, which tells where a new run may begin."""
        at = dict(zip(msg.name, msg.position, strict=False))
        if all(name in at for name in self._joints):
            self.measured.append((at_ns, np.array([at[name] for name in self._joints])))
            if self._home is None:
                self._home = self.measured[0][1]

    def driver_began(self, at_ns: int) -> None:
        """Note that another driver was started (system time): a robot that stands where the first
        one did. It may be heard here later than by those who are judged."""
        self._drivers_ns.append(at_ns)

    def report(self, start: int = 0) -> WireReport:
        """Judge the messages from an index on."""
        commands = self.commands[start:]
        report = WireReport(commands=len(commands))
        good = [c for c in commands if self._judge_message(c, report)]
        for stream in self._streams(good, report):
            self._judge_stream(stream, report)
        self._judge_driver(good, report)
        return report

    # One message ------------------------------------------------------------------------------

    def _judge_message(self, c: WireCommand, report: WireReport) -> bool:
        """Judge a message by itself; return whether it can be compared with others."""
        problems = []
        n = len(self._joints)
        if c.names != self._joints:
            problems.append(f'joints {c.names}')
        elif c.positions.ndim != 2 or c.positions.shape[1] != n or not len(c.positions):
            problems.append(f'positions of shape {c.positions.shape}')
        elif c.velocities.shape != c.positions.shape:
            problems.append(f'velocities of shape {c.velocities.shape}')
        elif not (np.isfinite(c.positions).all() and np.isfinite(c.velocities).all()):
            problems.append('a value is not finite')
        if problems:
            report.violations += [f'command {c.sequence}: {each}' for each in problems]
            return False
        steps = np.diff(c.times_s)
        if abs(c.times_s[0] - self._dt_s) > _ROUNDING or (steps <= 0.0).any():
            problems.append(f'times {c.times_s.tolist()}')
        if np.abs(c.velocities[-1]).max() != 0.0:
            problems.append(f'does not end at rest: {c.velocities[-1].tolist()}')
        if c.times_s[-1] - c.times_s[0] > self._tail_s + _ROUNDING:
            problems.append(f'the tail lasts {c.times_s[-1] - c.times_s[0]:.3f} s')
        outside = np.maximum(c.positions - self._high, self._low - c.positions).max()
        if outside > 1e-9:
            problems.append(f'{outside:.3g} outside the position limits')
        if len(steps):
            speed = np.abs(c.velocities)
            if (np.diff(speed, axis=0) > _ROUNDING).any():
                problems.append('the tail speeds up')
            brake = np.abs(np.diff(c.velocities, axis=0)) / steps[:, None]
            if (brake > self._deceleration * (1.0 + _ROUNDING)).any():
                problems.append('the tail brakes harder than allowed')
            way = np.abs(np.diff(c.positions, axis=0))
            if (way > speed[:-1] * steps[:, None] + _ROUNDING).any():
                problems.append('the tail goes farther than its velocities say')
        report.violations += [f'command {c.sequence}: {each}' for each in problems]
        return True

    # A run of messages ------------------------------------------------------------------------

    def _streams(self, commands: list[WireCommand], report: WireReport) -> list[_Stream]:
        """Cut where commands were lost on the way to the auditor, or begin anew from rest."""
        streams: list[_Stream] = []
        for index, c in enumerate(commands):
            before = commands[index - 1] if index else None
            if before is None or c.sequence <= before.sequence:  # another controller process
                from_rest = index > 0 or c.sequence == 1
                streams.append(_Stream(c, from_rest=from_rest))
                continue
            lost = c.sequence - before.sequence - 1
            report.lost += lost
            if before.moving and not lost:
                gap_s = (c.sent_ns - before.sent_ns) / NS
                report.longest_gap_s = max(report.longest_gap_s, gap_s)
            anew = self._is_new_run(before, c)
            if anew and not lost:
                self._judge_place(before, c, report)
            if lost or anew:
                streams.append(_Stream(c, from_rest=not lost))
            else:
                report.missed += self._go_on(streams[-1], before, c)
        report.streams = len(streams)
        return streams

    def _is_new_run(self, before: WireCommand, c: WireCommand) -> bool:
        """Return whether a command was taken from the measurement of a robot at rest.

        The robot rests at the end of a tail, too; what comes then must begin from rest.
        """
        if not before.at_rest(c.sent_ns):
            return False
        start = c.positions[0] - c.velocities[0] * self._dt_s
        slow = np.abs(c.velocities[0]) <= self._deceleration * self._dt_s * (1.0 + _ROUNDING)
        # However near: nobody moved there. Whether the robot is there, `_judge_place` says.
        return bool(slow.all() and (np.abs(start - before.rest) > _MEASURED).any())

    def _judge_place(self, before: WireCommand, c: WireCommand, report: WireReport) -> None:
        """Judge a run that begins elsewhere: where the robot was measured, and stood still."""
        start = c.positions[0] - c.velocities[0] * self._dt_s
        if not self.measured or np.abs(start - before.rest).max() <= _ROUNDING:
            return
        places = np.array([q for at, q in self.measured if 0 <= c.sent_ns - at <= _JUST_NOW_NS])
        if not len(places) and self._began_unheard(c):
            places = np.array([self._home])
        if not len(places):
            soon = [q for at, q in self.measured if 0 < at - c.sent_ns <= _SOON_NS]
            places = np.array(soon[:1])
        off = np.abs(places - start).max(axis=1).min() if len(places) else np.inf
        if not len(places):
            heard_s = [(at - c.sent_ns) / NS for at, _ in self.measured]
            report.violations.append(
                f'command {c.sequence}: begins elsewhere, and where the robot is was not heard '
                f'here (nearest measurement {min(heard_s, key=abs):+.2f} s from it)'
            )
        elif off > _PLACE:
            report.violations.append(
                f'command {c.sequence}: begins elsewhere, and the robot is not there (off by '
                f'{off:.3g})'
            )
        elif np.ptp(places, axis=0).max() > _PLACE:
            report.violations.append(f'command {c.sequence}: begins elsewhere on a moving robot')

    def _began_unheard(self, c: WireCommand) -> bool:
        """Return whether a driver began before a command and was not heard here until then."""
        began_ns = max((at for at in self._drivers_ns if at < c.sent_ns), default=None)
        if began_ns is None or self._home is None:
            return False
        return not any(began_ns < at <= c.sent_ns for at, _ in self.measured)

    def _go_on(self, stream: _Stream, before: WireCommand, c: WireCommand) -> int:
        """Append a command, after the part of the last tail that was followed in missed ticks.

        The place tells how many ticks were missed, except where the tail rests within a tick: it
        is the same place for any number of them. Of the numbers that the time between the two
        messages allows, the first one for which the command is inside the limits is taken.

        Returns:
            The number of missed ticks.
        """
        start = c.positions[0] - c.velocities[0] * self._dt_s
        periods = (c.sent_ns - before.sent_ns) / NS / self._dt_s
        tail = self._tail(before)[: round(periods) + 2]
        fitting = [m for m, (q, _) in enumerate(tail) if np.abs(q - start).max() < _SAME]
        # A tick begins less than a period after its deadline, or that deadline is skipped: after m
        # missed ticks the next message comes more than m and less than m + 2 periods later.
        least = min(math.floor(periods - 2.0) + 1, len(tail) - 1)
        timely = [m for m in fitting if least <= m < periods] or fitting
        missed = min(timely, default=0)
        if len(timely) > 1:
            missed = next((m for m in timely if self._inside(*tail[m], c)), missed)
        for position, velocity in tail[1 : missed + 1]:
            stream.add(c.sequence, position, velocity)
        stream.add(c.sequence, c.positions[0], c.velocities[0])
        return missed

    def _tail(self, c: WireCommand) -> list[tuple[Floats, Floats]]:
        """Return place and velocity of a driver at a command and in each tick of its tail."""
        q, v = c.positions[0], c.velocities[0]
        tail = [(q, v)]
        while np.abs(v).max() > REST_SPEED:
            v = np.sign(v) * np.maximum(np.abs(v) - self._deceleration * self._dt_s, 0.0)
            q = q + v * self._dt_s
            tail.append((q, v))
        return tail

    def _inside(self, place: Floats, velocity: Floats, c: WireCommand) -> bool:
        """Return whether a command may follow a place that was passed with a velocity."""
        before = np.array([place - velocity * self._dt_s, place])
        return audit_commands(c.positions[:1], self._limits, self._dt_s, before=before).ok

    def _judge_stream(self, stream: _Stream, report: WireReport) -> None:
        q, v = np.array(stream.positions), np.array(stream.velocities)
        if stream.from_rest:
            first = np.abs(v[0])
            if (first > self._deceleration * self._dt_s * (1.0 + _ROUNDING)).any():
                report.violations.append(
                    f'command {stream.sequences[0]}: begins with {first.max():.3g}, not from rest'
                )
        # The velocity in the first message tells where the command before it was.
        before = np.array([q[0] - 2.0 * v[0] * self._dt_s, q[0] - v[0] * self._dt_s])
        verdict: AuditReport = audit_commands(q, self._limits, self._dt_s, before=before)
        report.velocity_ratio = max(report.velocity_ratio, verdict.velocity_ratio)
        report.acceleration_ratio = max(report.acceleration_ratio, verdict.acceleration_ratio)
        if not verdict.ok:
            report.violations.append(f'from command {stream.sequences[0]} on: {verdict.first}')
        said = np.abs(np.diff(q, axis=0) / self._dt_s - v[1:])
        if said.size and said.max() > _ROUNDING / self._dt_s:
            at = int(said.max(axis=1).argmax()) + 1
            joint = int(said[at - 1].argmax())
            near = [
                (stream.sequences[k], round(float(q[k, joint]), 5), round(float(v[k, joint]), 5))
                for k in range(max(at - 3, 0), min(at + 3, len(q)))
            ]
            report.violations.append(
                f'command {stream.sequences[at]}: its velocity is not that of its positions (off '
                f'by {said.max():.3g}); {self._joints[joint]}, number, position, velocity: {near}'
            )

    # What the driver makes of them ------------------------------------------------------------

    def _judge_driver(self, commands: list[WireCommand], report: WireReport) -> None:
        """Follow the messages as a driver does: the newest one counts from when it came.

        A tick that is late by nearly a period is followed by one that is on time, which asks for
        two steps in one period; more than that no gap may cause.
        """
        for before, c in pairwise(commands):
            if c.sequence != before.sequence + 1 or self._is_new_run(before, c):
                continue
            present = self._followed(before, (c.sent_ns - before.sent_ns) / NS)
            speed = np.abs(c.positions[0] - present) / c.times_s[0]
            ratio = float((speed / self._velocity).max())
            report.driver_ratio = max(report.driver_ratio, ratio)
            if ratio > LATE_RATIO:
                report.violations.append(
                    f'command {c.sequence}: sends the driver back or on with {ratio:.2f} times '
                    f'the allowed speed, {(c.sent_ns - before.sent_ns) / NS:.3f} s after the last'
                )

    def _followed(self, c: WireCommand, elapsed_s: float) -> Floats:
        """Return where a driver is on a message after a time; before its first point, on the way.

        Between points the path is taken as straight: its ends are exact, and the error of the
        shape in between is far below what is judged.
        """
        start = c.positions[0] - c.velocities[0] * c.times_s[0]
        times = np.concatenate([[0.0], c.times_s])
        path = np.vstack([start, c.positions])
        return np.array([np.interp(elapsed_s, times, path[:, j]) for j in range(path.shape[1])])
