# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The braking tail: a trajectory message that ends at rest, so silence stops the robot.

The tail continues the newest command by braking each joint at its own deceleration. A driver that
follows the message comes to rest inside the limits when no further message arrives, whatever
happened to the controller; the next message replaces the tail before it is used.

Per joint on purpose: when all joints finish together (a stop along the path), joints that could
stop early are carried on by the slowest one, and leave their limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, isfinite

from bc_runtime.safety.checker import Checker
from bc_runtime.safety.limiter import Limiter
from bc_runtime.safety.limits import JointLimits
from bc_runtime.spec.errors import SafetyError

#: Share of a step that counts as rest, so that rounding adds no last step of 1e-17 rad/s.
REST_SHARE = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class BrakingTail:
    """Points of a trajectory that starts at the command and ends at rest.

    Attributes:
        times_s: Time of each point after the command [s], shape (p,); the first is 0.
        positions: Per point and joint [rad or m], shape (p, n); the first row is the command.
        velocities: Per point and joint [rad/s or m/s], shape (p, n); the last row is zero.
    """

    times_s: tuple[float, ...]
    positions: tuple[tuple[float, ...], ...]
    velocities: tuple[tuple[float, ...], ...]

    @property
    def horizon_s(self) -> float:
        """Time from the command to rest [s]."""
        return self.times_s[-1]


def braking_tail(
    position: Sequence[float],
    velocity: Sequence[float],
    limits: Sequence[JointLimits],
    dt_s: float,
    *,
    stride: int = 1,
) -> BrakingTail:
    """Return the tail that belongs to a command of the limiter.

    Args:
        position: Command, shape (n,).
        velocity: Velocity of the command, shape (n,).
        limits: Limits per joint; only the deceleration is used.
        dt_s: Control period [s]; the tail's steps are the limiter's steps, for which it has
            proven that they end inside the limits.
        stride: Keep every stride-th point (and the last), for shorter messages. The points stay
            exact; the driver's interpolation fills the rest.

    Returns:
        At most ceil(vmax/(d·dt)) + 1 points. A command at rest gives the one point itself.

    Raises:
        SafetyError: lengths differ, or a value is not finite.
    """
    check_start(position, velocity, limits)
    if stride < 1:
        raise SafetyError(f'stride must be at least 1, got {stride}')
    steps = 0
    for v, one in zip(velocity, limits, strict=True):
        steps = max(steps, ceil(abs(v) / (one.deceleration * dt_s) - REST_SHARE))
    kept = [k for k in range(steps + 1) if k % stride == 0 or k == steps]
    positions, velocities = [], []
    for q, v, one in zip(position, velocity, limits, strict=True):
        column = _brake_joint(q, v, one.deceleration * dt_s, dt_s, kept)
        positions.append(column[0])
        velocities.append(column[1])
    return BrakingTail(
        times_s=tuple([k * dt_s for k in kept]),
        positions=tuple(zip(*positions, strict=True)),
        velocities=tuple(zip(*velocities, strict=True)),
    )


def check_start(
    position: Sequence[float], velocity: Sequence[float], limits: Sequence[JointLimits]
) -> None:
    """Refuse a command that no tail can begin with.

    Raises:
        SafetyError: lengths differ, or a value is not finite.
    """
    n = len(limits)
    if len(position) != n or len(velocity) != n:
        raise SafetyError(
            f'a braking tail for {n} joints needs {n} positions and velocities, got '
            f'{len(position)} and {len(velocity)}'
        )
    if not (all(map(isfinite, position)) and all(map(isfinite, velocity))):
        raise SafetyError(f'cannot brake from {list(position)!r} at {list(velocity)!r}')


def follow_tail(limiter: Limiter, checker: Checker, ticks: int) -> None:
    """Catch up with a driver that followed the tail while ticks were missed.

    After a late tick the robot is where the tail of the last message led it, not where the last
    command was. A next message that went on from the last command would pull it back for one
    period. With set-point outputs the driver has waited, and there is nothing to catch up with.

    Args:
        limiter: Its last command has been sent with its tail.
        checker: Takes the steps of the tail as sent.
        ticks: Missed ticks; a stall of any length may be given, the tail ends at rest.

    Raises:
        SafetyError: the checker refuses a step of the tail.
    """
    for _ in range(ticks):
        if limiter.at_rest:
            return
        verdict = checker.check(limiter.tail_step().position)
        if not verdict.ok:
            raise SafetyError(f'the checker refuses the braking tail: {verdict.text}')


def _brake_joint(
    q: float, v: float, decel_step: float, dt_s: float, kept: Sequence[int]
) -> tuple[list[float], list[float]]:
    """Return positions and velocities of one joint after each number of steps in `kept`.

    After k steps the speed is |v| - k·d·T and the way the sum of these, until the joint rests.
    """
    speed, side = abs(v), 1.0 if v > 0.0 else -1.0
    last = ceil(speed / decel_step - REST_SHARE) - 1
    if last < 0:
        return [q] * len(kept), [0.0] * len(kept)
    positions, velocities = [], []
    for k in kept:
        if k > last:
            way = dt_s * last * (speed - decel_step * (0.5 * (last + 1)))
            velocities.append(0.0)
        else:
            way = dt_s * k * (speed - decel_step * (0.5 * (k + 1)))
            velocities.append(side * (speed - k * decel_step))
        positions.append(q + side * way)
    return positions, velocities
