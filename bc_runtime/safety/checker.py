# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The checker: a second opinion on every number before it is sent, in the type it is sent in.

It derives velocity and acceleration from what was really emitted and holds them against the
limits, with its own formulas. It shares no function with the limiter, so that one mistake in
reasoning or one typing error does not pass both. What fails is not to be published: take back the
limiter's step, brake from the command before it, and go to FAULT.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
import math
import struct

from bc_runtime.safety.limits import JointLimits, OutputType
from bc_runtime.spec.errors import SafetyError

#: Distance between neighbouring numbers near 1.
_EPSILON = {'float32': 2.0**-23, 'float64': 2.0**-52}
#: The limiter adds up in float64; its own rounding may take a few of the last bits.
_ROUNDINGS = 4.0


class CheckCode(StrEnum):
    """What is wrong with a value."""

    OK = 'OK'
    DIMENSION = 'DIMENSION'
    NOT_FINITE = 'NOT_FINITE'
    POSITION = 'POSITION'
    VELOCITY = 'VELOCITY'
    ACCELERATION = 'ACCELERATION'
    STOPPING_DISTANCE = 'STOPPING_DISTANCE'


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The verdict on one command.

    Attributes:
        code: OK, or the first thing that is wrong.
        joint: Joint that it was found on; empty if none in particular.
        text: For people: what came and what is allowed. Empty if OK.
    """

    code: CheckCode
    joint: str = ''
    text: str = ''

    @property
    def ok(self) -> bool:
        """Whether the command may be sent."""
        return self.code is CheckCode.OK


_PASSED = CheckResult(CheckCode.OK)


@dataclass(slots=True)
class _Joint:
    """What the checker remembers of one joint.

    `excused`: seeded, or its limits changed, and not yet seen inside them; until then being
    outside is allowed as long as the joint comes back or brakes. `decel` is the largest
    deceleration allowed, `demand` the least that counts as braking; they differ only after the
    deceleration was changed in motion. `least` is the smaller rate of change of all.
    """

    name: str
    low: float
    high: float
    vmax: float
    accel: float
    decel: float
    demand: float
    least: float
    last: float
    speed: float
    excused: bool


class Checker:
    """Check emitted commands one after the other; see the module's docstring.

    Args:
        limits: One entry per joint, the limiter's own (for float32: `rounded_inward`).
        dt_s: Nominal control period [s].
        dtype: Type of the values in the command message.
        tolerance: Relative tolerance on velocity and acceleration.
    """

    def __init__(
        self,
        limits: Sequence[JointLimits],
        dt_s: float,
        *,
        dtype: OutputType = 'float64',
        tolerance: float = 1e-6,
    ) -> None:
        if dtype not in _EPSILON:
            raise SafetyError(f'dtype must be float32 or float64, got {dtype!r}')
        self._dt = dt_s
        self._layout = f'<{len(limits)}{"f" if dtype == "float32" else "d"}'
        self._grain = _EPSILON[dtype]
        self._relative = tolerance
        self._seeded = False
        self._joints = [
            _Joint(
                one.name, one.low, one.high, one.velocity, one.acceleration,
                one.deceleration, one.deceleration, min(one.acceleration, one.deceleration),
                math.nan, 0.0, True,
            )
            for one in limits
        ]  # fmt: skip

    def seed(self, positions: Sequence[float], velocities: Sequence[float] | None = None) -> None:
        """Say what was emitted last; at activation the measured position.

        Args:
            positions: Joint positions, shape (n,).
            velocities: Joint velocities, shape (n,); None means at rest.

        Raises:
            SafetyError: wrong length or not finite.
        """
        speeds = [0.0] * len(self._joints) if velocities is None else list(velocities)
        emitted = self._emitted(positions)
        if emitted is None or len(speeds) != len(self._joints) or not _finite(speeds):
            raise SafetyError(
                f'cannot check from here: expected {len(self._joints)} finite positions and '
                f'velocities, got {list(positions)!r} and {speeds!r}'
            )
        for joint, position, speed in zip(self._joints, emitted, speeds, strict=True):
            joint.last, joint.speed, joint.excused = position, speed, True
        self._seeded = True

    def set_limits(self, limits: Sequence[JointLimits]) -> None:
        """Take over changed limits; in motion the larger deceleration stays allowed until rest."""
        if [one.name for one in limits] != [joint.name for joint in self._joints]:
            raise SafetyError('the checker was given limits of other joints than before')
        for joint, one in zip(self._joints, limits, strict=True):
            # Half of what the limiter calls moving: emitted values may be coarser than its own.
            moving = abs(joint.speed) > 0.5 * min(joint.demand, one.deceleration) * self._dt
            joint.low, joint.high = one.low, one.high
            joint.vmax, joint.accel = one.velocity, one.acceleration
            joint.decel = max(joint.decel, one.deceleration) if moving else one.deceleration
            joint.demand = min(joint.demand, one.deceleration) if moving else one.deceleration
            joint.least = min(joint.accel, joint.demand)
            joint.excused = True

    def check(self, positions: Iterable[float]) -> CheckResult:
        """Check a position command, shape (n,); only a passed one becomes the last emitted one."""
        if not self._seeded:
            raise SafetyError('the checker has no last command; call seed() first')
        values = list(positions)
        if len(values) != len(self._joints):
            return self._wrong_length(values)
        emitted = self._emitted(values)
        if emitted is None:
            return CheckResult(CheckCode.NOT_FINITE, '', f'not finite numbers: {values!r}')
        dt, speeds = self._dt, []
        for joint, value in zip(self._joints, emitted, strict=True):
            speed = (value - joint.last) / dt
            if not _plainly_inside(joint, value, speed, dt):
                problem = self._judge(joint, value, speed)
                if problem is not None:
                    return problem
            speeds.append(speed)
        for joint, value, speed in zip(self._joints, emitted, speeds, strict=True):
            joint.last, joint.speed = value, speed
        return _PASSED

    def check_velocity(self, velocities: Iterable[float]) -> CheckResult:
        """Check a velocity or twist command, shape (n,); positions are not judged here."""
        if not self._seeded:
            raise SafetyError('the checker has no last command; call seed() first')
        values = list(velocities)
        if len(values) != len(self._joints):
            return self._wrong_length(values)
        emitted = self._emitted(values)
        if emitted is None:
            return CheckResult(CheckCode.NOT_FINITE, '', f'not finite numbers: {values!r}')
        for joint, speed in zip(self._joints, emitted, strict=True):
            blur = _ROUNDINGS * self._grain * max(abs(speed), abs(joint.speed))
            problem = self._velocity(joint, speed, blur) or self._acceleration(joint, speed, blur)
            if problem is not None:
                return problem
        for joint, speed in zip(self._joints, emitted, strict=True):
            joint.speed = speed
        return _PASSED

    # -- the four judgements; each returns None if there is nothing to say -----------------------

    def _judge(self, joint: _Joint, value: float, speed: float) -> CheckResult | None:
        # Half a grain at each end of a difference.
        blur = _ROUNDINGS * self._grain * max(abs(value), abs(joint.last)) / self._dt
        return (
            self._position(joint, value, speed, blur)
            or self._velocity(joint, speed, blur)
            or self._acceleration(joint, speed, 2.0 * blur)
            or self._stop(joint, value, speed, blur)
        )

    def _position(
        self, joint: _Joint, value: float, speed: float, blur: float
    ) -> CheckResult | None:
        excess = max(value - joint.high, joint.low - value)
        if excess <= 0.0:
            return None
        # A joint that starts outside, or whose limits were moved over it, comes back or brakes.
        if joint.excused:
            before = max(joint.last - joint.high, joint.low - joint.last)
            if excess <= before + self._grain * abs(value) or self._brakes(joint, speed, blur):
                return None
        return CheckResult(
            CheckCode.POSITION,
            joint.name,
            f'{joint.name}: {value:.9g} is outside [{joint.low:.9g}, {joint.high:.9g}]',
        )

    def _velocity(self, joint: _Joint, speed: float, blur: float) -> CheckResult | None:
        if abs(speed) <= joint.vmax * (1.0 + self._relative) + blur:
            return None
        # The limit was lowered in motion: every tick must brake at least at d until inside.
        if abs(joint.speed) > joint.vmax and self._brakes(joint, speed, blur):
            return None
        return CheckResult(
            CheckCode.VELOCITY,
            joint.name,
            f'{joint.name}: {abs(speed):.9g} per second exceeds {joint.vmax:.9g}',
        )

    def _acceleration(self, joint: _Joint, speed: float, blur: float) -> CheckResult | None:
        before = joint.speed
        # Share of the period that this change of velocity needs.
        if before * speed >= 0.0:
            slower = abs(speed) < abs(before)
            rate = joint.decel if slower else joint.accel
            needed = max(abs(speed - before) - blur, 0.0) / rate
        else:
            needed = max(abs(before) - blur, 0.0) / joint.decel
            needed += max(abs(speed) - blur, 0.0) / joint.accel
        if needed <= self._dt * (1.0 + self._relative):
            return None
        return CheckResult(
            CheckCode.ACCELERATION,
            joint.name,
            f'{joint.name}: from {before:.9g} to {speed:.9g} per second needs {needed:.6g} s, the '
            f'period is {self._dt:.6g} s',
        )

    def _stop(self, joint: _Joint, value: float, speed: float, blur: float) -> CheckResult | None:
        if math.isinf(joint.high):
            joint.excused = False
            return None
        way = joint.high - value if speed > 0.0 else value - joint.low
        pace = max(abs(speed) - 2.0 * blur, 0.0)
        lost = joint.decel * self._dt
        steps = int(pace / lost)
        # pace - lost, pace - 2·lost, ...: an arithmetic series.
        travel = self._dt * steps * (pace - lost * (steps + 1) / 2.0)
        spare = self._grain * abs(value) + self._relative * joint.vmax * self._dt
        if travel <= way + spare:
            if joint.low <= value <= joint.high:
                joint.excused = False
            return None
        if joint.excused and self._brakes(joint, speed, blur):
            return None
        return CheckResult(
            CheckCode.STOPPING_DISTANCE,
            joint.name,
            f'{joint.name}: at {speed:.9g} per second it travels {travel:.6g} while braking, only '
            f'{way:.6g} is left to the limit',
        )

    def _brakes(self, joint: _Joint, speed: float, blur: float) -> bool:
        """Whether the joint slows down at least at its deceleration and does not turn round."""
        most = abs(joint.speed) - joint.demand * self._dt * (1.0 - self._relative)
        return abs(speed) <= max(most, 0.0) + 3.0 * blur and joint.speed * speed >= 0.0

    # -- reading -----------------------------------------------------------------------------

    def _emitted(self, values: Sequence[float]) -> tuple[float, ...] | None:
        """Return the values as the message will hold them, or None if it cannot."""
        try:
            emitted = struct.unpack(self._layout, struct.pack(self._layout, *values))
        except (struct.error, OverflowError, TypeError, ValueError):
            return None
        return emitted if _finite(emitted) else None

    def _wrong_length(self, values: Sequence[float]) -> CheckResult:
        return CheckResult(
            CheckCode.DIMENSION, '', f'expected {len(self._joints)} values, got {len(values)}'
        )


def _plainly_inside(joint: _Joint, value: float, speed: float, dt_s: float) -> bool:
    """Whether one look is enough: well inside every limit, by bounds that are on the safe side.

    Braking in continuous time, v²/(2·d), is never shorter than in steps; and a change of velocity
    that is allowed for the smaller of the two rates is allowed for both. False says nothing yet.
    """
    if joint.excused:
        return False
    way = joint.high - value if speed > 0.0 else value - joint.low
    return (
        joint.low <= value <= joint.high
        and -joint.vmax <= speed <= joint.vmax
        and abs(speed - joint.speed) <= joint.least * dt_s
        and speed * speed <= 2.0 * joint.decel * way
    )


def _finite(values: Iterable[float]) -> bool:
    return all(math.isfinite(value) for value in values)
