# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What the joint states say: are they fresh, complete, sane, and does the robot follow?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
import math

from bc_runtime.control.grippers import grippers_of
from bc_runtime.control.stamp_order import StampOrder
from bc_runtime.observation.joint_presence import JointPresence
from bc_runtime.observation.plausibility import JointPlausibility, Verdict
from bc_runtime.safety import (
    Flag,
    FrozenJoints,
    JointLimits,
    Level,
    OverspeedMonitor,
    StallMonitor,
    TrackingMonitor,
    outside_limits,
)
from bc_runtime.spec import RobotConfig

#: A gripper that has not moved by more than this share of its range still holds what it held.
_HOLDS = 0.05
#: A robot stands still that stayed within this [rad or m] for so long [ns]. A servo with a lag of
#: 0.1 s is then no farther from its end than the same distance.
_STILL = 0.002
_STILL_NS = 100_000_000


class JointMonitor:
    """Keeps the newest measured positions, in the order of the robot's command.

    Ages are judged by arrival on the monotonic clock, so that a step of the wall clock or a skewed
    sender cannot make old data look fresh.
    """

    def __init__(self, robot: RobotConfig, limits: Sequence[JointLimits]) -> None:
        self._joints = robot.command.joints
        self._limits = limits
        self._turning = frozenset(j for j, one in enumerate(limits) if one.continuous)
        self._topic = robot.joint_states.topic
        self._max_age_s = robot.joint_states.max_age_s
        self._tracking = TrackingMonitor(
            limits, tolerance=robot.tolerances.tracking, hold_s=robot.tolerances.tracking_s
        )
        self._stall = StallMonitor(
            self._joints,
            watched=[True] * len(self._joints),
            error=robot.tolerances.stall,
            window_s=robot.tolerances.stall_s,
            lag_s=robot.tolerances.lag_s,
        )
        self._frozen = FrozenJoints(hold_s=robot.tolerances.tracking_s)
        self._overspeed = OverspeedMonitor(limits)
        self._order = StampOrder()
        self._arrival_ns: int | None = None
        self._plausible = JointPlausibility(robot, self._joints)
        self._grippers: frozenset[int] = frozenset()
        self._watched: list[bool] = []
        self._held: tuple[float, ...] | None = None
        self.set_grippers(grippers_of(robot))
        self._too_many = robot.tolerances.refused
        self._jumped = False
        self._presence = JointPresence(self._joints, round(self._max_age_s * 1e9))
        self._refused = ''
        self._answer: Mapping[Flag, str] = {}
        self._speed = ''
        self._still_at: tuple[float, ...] = ()
        self._still_ns = 0
        self.passed_over: Counter[str] = Counter()
        """How many messages did not count, by the reason."""
        self.measured: tuple[float, ...] | None = None
        self.error = 0.0
        """Largest |command - measured| at the last measurement [rad or m]."""

    def set_grippers(self, names: frozenset[str]) -> None:
        """Say which joints are grippers: they stop at what they hold, wherever they were told."""
        watched = [name not in names for name in self._joints]
        if watched == self._watched:
            return
        self._watched = watched
        for monitor in (self._tracking, self._stall, self._frozen, self._overspeed):
            monitor.watch(watched)
        self._plausible.watch(watched)
        self._grippers = frozenset(j for j, judged in enumerate(watched) if not judged)

    @property
    def arrival_ns(self) -> int:
        """Monotonic time at which the newest measurement arrived; 0 before the first."""
        return self._arrival_ns or 0

    def update(
        self,
        names: Sequence[str],
        positions: Sequence[float],
        velocities: Sequence[float],
        *,
        arrival_ns: int,
        command: tuple[float, ...] | None,
        stamp_ns: int = 0,
        may_jump: bool | None = None,
    ) -> bool:
        """Take a joint state; joints are found by name, whatever their order.

        A message about other joints only is another publisher's and says nothing. One without all
        joints, with a value that is not a finite number, or with one that the joint cannot have
        got to since the last, does not count as fresh.

        Args:
            names: As in the message; likewise positions and velocities (may be empty).
            positions: [rad or m].
            velocities: [rad/s or m/s].
            arrival_ns: Monotonic.
            command: Last command while commands are sent, else None.
            stamp_ns: Of the sender; a message that is not newer than the one before is dropped.
                0: unknown.
            may_jump: The robot is not being moved, so that it may have been put somewhere else;
                None: while no commands are sent.

        Returns:
            Whether the message counts.
        """
        if self._presence.is_foreign(names) or not self._presence.see(names, arrival_ns):
            return False
        if not self._order.is_new(stamp_ns):
            self.passed_over['repeated or late'] += 1
            return False
        measured, self._refused = self._read(names, positions)
        if measured is None:
            return False
        verdict = self._plausible.judge(
            measured,
            stamp_ns=stamp_ns,
            arrival_ns=arrival_ns,
            may_jump=command is None if may_jump is None else may_jump,
        )
        if verdict is Verdict.REFUSED:
            self._refused = self._plausible.why
            self.passed_over['refused'] += 1
            return False
        if verdict is Verdict.JUMPED:
            self._jumped = True
            self.reset()
        measured = self._unwrapped(measured, command)
        self._watch_rest(measured, arrival_ns)
        self.measured = measured
        self._arrival_ns = arrival_ns
        self._speed = ''
        if len(velocities) == len(names):
            at = dict(zip(names, velocities, strict=True))
            self._speed = self._overspeed.check(arrival_ns, [float(at[n]) for n in self._joints])
        self._answer = self._judge(measured, command, arrival_ns)
        return True

    def commanded(
        self, position: tuple[float, ...], velocity: tuple[float, ...], now: int
    ) -> None:
        """Note a command that is sent (monotonic time)."""
        self._tracking.command(now, position, velocity)
        self._held = self.measured

    def reset(self) -> None:
        """Begin to compare anew: the command starts from somewhere else, or nothing is sent."""
        self._tracking.reset()
        self._stall.reset()
        self._frozen.reset()
        self._answer = {}
        self.error = 0.0

    @property
    def agreed(self) -> bool:
        """Whether the newest joint states agree with each other: something may begin from them."""
        return self._plausible.agreed

    def take_jump(self) -> bool:
        """Return whether the robot has been put somewhere else since this was asked last."""
        jumped, self._jumped = self._jumped, False
        return jumped

    @property
    def still(self) -> bool:
        """Whether the robot has not moved for a while, by measurements that came all the time."""
        if self._arrival_ns is None or not self._still_at:
            return False
        return self._arrival_ns - self._still_ns >= _STILL_NS

    def unsettle(self) -> None:
        """Forget for how long nothing has moved: what comes now may have waited."""
        self._still_at = ()

    def age_s(self, mono_ns: int) -> float:
        """Return the time since the last complete joint state [s]; infinite before the first."""
        if self._arrival_ns is None:
            return math.inf
        return (mono_ns - self._arrival_ns) * 1e-9

    def distance(self, position: Sequence[float]) -> float:
        """Return the largest |position - measured|; 0 before the first measurement.

        Grippers are left out, and full turns of a continuous joint are no distance.
        """
        if self.measured is None:
            return 0.0
        gaps = (
            math.remainder(p - q, 2.0 * math.pi) if j in self._turning else p - q
            for j, (p, q) in enumerate(zip(position, self.measured, strict=True))
            if j not in self._grippers
        )
        return max(map(abs, gaps), default=0.0)

    def beginning(self, command: tuple[float, ...] | None) -> tuple[float, ...] | None:
        """Return where a command begins anew, in the order of the command; None: unknown.

        That is where the robot is measured to be. But a gripper that still is where it was under
        the last command goes on with that command: what it holds keeps it from getting there, and
        a command to where it is would let go.

        Args:
            command: The last one, None before the first.
        """
        if self.measured is None or command is None or self._held is None:
            return self.measured
        start = list(self.measured)
        for j in self._grippers:
            room = _HOLDS * (self._limits[j].upper - self._limits[j].lower)
            if abs(self.measured[j] - self._held[j]) <= room < math.inf:
                start[j] = command[j]
        return tuple(start)

    def blockers(self) -> tuple[str, ...]:
        """Return why nobody knows yet where the robot is."""
        if self.measured is not None:
            return ()
        why = self._presence.why_incomplete() or self._refused
        return (
            f'no joint state with {", ".join(self._joints)} has come on {self._topic!r}; '
            + (why or 'is the driver running?'),
        )

    def start_blockers(self) -> tuple[str, ...]:
        """Return why nothing may begin from where the robot is said to be."""
        if self.measured is None or self._plausible.agreed:
            return self.blockers()
        text = f'it is not certain where the robot is: {self._plausible.progress}'
        refused = self._plausible.last_refusal
        return (f'{text}; refused: {refused}' if refused else text,)

    def flags(self, mono_ns: int) -> Mapping[Flag, str]:
        """Return what is wrong now."""
        found: dict[Flag, str] = dict(self._answer)
        age = self.age_s(mono_ns)
        missing = self._presence.missing(mono_ns)
        if missing:
            found[Flag.JOINT_MISSING] = ', '.join(missing)
        if age > self._max_age_s:
            text = 'none has come' if math.isinf(age) else f'{age:.2f} s old'
            why = self._presence.why_incomplete() or self._refused
            found[Flag.JOINT_STATES_STALE] = f'{text}; {why}' if why else text
        refused = self._plausible.recent(mono_ns)
        if refused >= self._too_many:
            found[Flag.JOINT_STATES_IMPLAUSIBLE] = self._tell(refused)
        elif refused:
            found[Flag.JOINT_STATE_REFUSED] = self._tell(refused)
        if self._speed:
            found[Flag.OVERSPEED] = self._speed
        if self.measured is not None:
            judged = [j for j in range(len(self._joints)) if j not in self._grippers]
            outside = outside_limits(
                [self.measured[j] for j in judged], [self._limits[j] for j in judged]
            )
            if outside:
                found[Flag.OUTSIDE_LIMITS] = outside
        return found

    def _tell(self, refused: int) -> str:
        total = self._plausible.refused
        return f'{refused} in the last second, {total} in all; {self._plausible.last_refusal}'

    def _read(
        self, names: Sequence[str], positions: Sequence[float]
    ) -> tuple[tuple[float, ...] | None, str]:
        """Return the positions in the order of the command, or None and why they are of no use."""
        if len(names) != len(positions):
            return None, f'the last message has {len(names)} names and {len(positions)} positions'
        at = dict(zip(names, positions, strict=True))
        twice = [name for name in self._joints if len(at) < len(names) and names.count(name) > 1]
        if twice:
            return None, f'the last message names {", ".join(twice)} twice'
        bad = [f'{name} at {at[name]}' for name in self._joints if not math.isfinite(at[name])]
        if bad:
            return None, f'not finite in the last message: {", ".join(bad)}'
        return tuple(float(at[name]) for name in self._joints), ''

    def _unwrapped(
        self, measured: tuple[float, ...], command: tuple[float, ...] | None
    ) -> tuple[float, ...]:
        """Count the turns of continuous joints as the command does; drivers may not count any."""
        near = self.measured if command is None else command
        if near is None or not self._turning:
            return measured
        return tuple(
            n + math.remainder(q - n, 2.0 * math.pi) if j in self._turning else q
            for j, (q, n) in enumerate(zip(measured, near, strict=True))
        )

    def _watch_rest(self, measured: tuple[float, ...], arrival_ns: int) -> None:
        last = self._arrival_ns
        broken = last is None or (arrival_ns - last) * 1e-9 > self._max_age_s
        if broken or not self._still_at or self._gap(measured, self._still_at) > _STILL:
            self._still_at, self._still_ns = measured, arrival_ns

    def _judge(
        self, measured: tuple[float, ...], command: tuple[float, ...] | None, now_ns: int
    ) -> Mapping[Flag, str]:
        if command is None:
            return {}
        found = {}
        report = self._tracking.measure(now_ns, measured)
        self.error = report.error
        if report.level is Level.STOP:
            found[Flag.TRACKING_ERROR] = report.text
        elif report.level is Level.WARN:
            found[Flag.TRACKING_WARN] = report.text
        if self._frozen.check(now_ns, measured, command):
            found[Flag.JOINT_STATES_FROZEN] = 'the same values while the command moves'
        blocked = self._stall.measure(now_ns, measured, command)
        if blocked:
            found[Flag.JOINT_BLOCKED] = blocked
        return found

    def _gap(self, one: Sequence[float], other: Sequence[float]) -> float:
        pairs = enumerate(zip(one, other, strict=True))
        return max((abs(a - b) for j, (a, b) in pairs if j not in self._grippers), default=0.0)
