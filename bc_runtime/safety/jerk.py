# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""JerkLimiter: the limiter's place taken by Ruckig, for arms that want bounded jerk.

Optional: it needs the package `ruckig` (MIT, Berscheid and Kröger, "Jerk-limited Real-time
Trajectory Generation with Arbitrary Target States", RSS 2021). It has the interface of `Limiter`
for position references and stands before the same checker.

What was measured with Ruckig 0.19.4 decides how it is used: only the unsynchronised mode (the
synchronised ones sometimes fail, and an instance that failed then emits wrong commands), only
target velocity zero (any other may overshoot the position limits), targets clipped to the limits
first. The price is lag: without feed-forward it follows a moving reference later than `Limiter`.
Whatever goes wrong, the instance is thrown away and the joints brake by the limiter's own law.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite, pi, remainder
from typing import Any

from bc_runtime.safety.limiter import BAD_INPUT, BRAKE, POSITION, RECOVERY_SHARE, Limiter
from bc_runtime.safety.limiter_step import LimiterStep, LimitFlag
from bc_runtime.safety.limits import JointLimits
from bc_runtime.spec.errors import SafetyError

#: Ruckig's own rounding at a target is some 5e-9; targets stay this far inside [rad or m].
INSIDE = 1e-7
#: Slower than this is at rest [rad/s or m/s].
AT_REST = 1e-9
#: Nearer than this to the reference counts as unchanged [rad or m].
SAME = 1e-9
JERK = int(LimitFlag.JERK)


def jerk_available() -> bool:
    """Whether the package `ruckig` can be imported."""
    try:
        import ruckig  # type: ignore[import-not-found,unused-ignore]  # noqa: F401
    except ImportError:
        return False
    return True


class JerkLimiter:
    """Turn position references into commands with bounded jerk; see the module's docstring.

    Args:
        limits: One entry per joint, each with a jerk limit.
        dt_s: Nominal control period [s].

    Raises:
        SafetyError: `ruckig` is not installed, or a joint has no jerk limit.
    """

    def __init__(self, limits: Sequence[JointLimits], dt_s: float) -> None:
        try:
            import ruckig  # type: ignore[import-not-found,unused-ignore]
        except ImportError:
            raise SafetyError(
                'jerk limits need the package ruckig, which is not installed; '
                'run: pip install ruckig==0.19.4, or remove jerk from the robot YAML'
            ) from None
        self._ruckig: Any = ruckig
        self._dt = dt_s
        # Also the memory of the last command, in the terms of the whole safety package: velocity
        # is (q_k - q_{k-1})/dt.
        self._plain = Limiter(limits, dt_s)
        self._accelerations: tuple[float, ...] = ()
        self._speeds: tuple[float, ...] = ()
        self._before: tuple[tuple[float, ...], tuple[float, ...]] | None = None
        self._trusted = False
        self._require_jerk(limits)

    @property
    def limits(self) -> tuple[JointLimits, ...]:
        """Limits in force."""
        return self._plain.limits

    @property
    def seeded(self) -> bool:
        """Whether there is a command to start from."""
        return self._plain.seeded

    @property
    def position(self) -> tuple[float, ...]:
        """Last command."""
        return self._plain.position

    @property
    def velocity(self) -> tuple[float, ...]:
        """Velocity of the last command, (q_k - q_{k-1})/dt."""
        return self._plain.velocity

    @property
    def at_rest(self) -> bool:
        """Whether the last command was not moving."""
        return self._plain.at_rest

    def seed(self, positions: Sequence[float], velocities: Sequence[float] | None = None) -> None:
        """Start from this command, without acceleration; see `Limiter.seed`."""
        self._plain.seed(positions, velocities)
        self._speeds = self._plain.velocity
        self._accelerations = (0.0,) * len(self._speeds)
        self._before = None
        self._trusted = True

    def reset(self) -> None:
        """Forget the last command."""
        self._plain.reset()
        self._before = None

    def set_limits(self, limits: Sequence[JointLimits]) -> None:
        """Change the limits, also in motion."""
        self._require_jerk(limits)
        self._plain.set_limits(limits)

    def rollback(self) -> None:
        """Take back the last step; until rest only the plain law is trusted."""
        self._trusted = False
        if self._before is not None:
            self._plain.seed(*self._before)
            self._before = None

    def step(self, q_ref: Iterable[float], v_ref: Iterable[float] | None = None) -> LimiterStep:
        """Return the next command towards a position reference, shape (n,).

        Args:
            q_ref: Where the joints should go.
            v_ref: Only looked at for being finite; see the module's docstring.
        """
        target = _read(q_ref, len(self.limits))
        if target is None or (v_ref is not None and _read(v_ref, len(self.limits)) is None):
            return self._marked(self.brake(), BAD_INPUT)
        clipped, flags = [], []
        for q, r, one in zip(self.position, target, self.limits, strict=True):
            goal = min(max(r, one.low + INSIDE), one.high - INSIDE)
            flags.append(POSITION if abs(goal - r) > INSIDE else 0)
            clipped.append(q + remainder(r - q, 2.0 * pi) if one.continuous else goal)
        step = self._generate(clipped)
        if step is None:
            return self._brake_plainly()
        marks = tuple(
            flag | (JERK if abs(q - goal) > SAME else 0)
            for flag, q, goal in zip(flags, step.position, clipped, strict=True)
        )
        return LimiterStep(step.position, step.velocity, marks, 1.0)

    def brake(self) -> LimiterStep:
        """Slow every joint within its jerk limit; at rest, stay."""
        step = self._generate(None)
        return self._brake_plainly() if step is None else self._marked(step, BRAKE)

    def tail_step(self) -> LimiterStep:
        """Note one step of a braking tail, which the driver made without us.

        Tails brake at full deceleration. What follows begins with the speed that is left and
        without acceleration: after a missed tick the jerk is not bounded for one step.
        """
        before = (self.position, self.velocity)
        step = self._plain.brake()
        self._before = before
        self._speeds = self._plain.velocity
        self._accelerations = (0.0,) * len(self._speeds)
        self._trusted = True
        return self._marked(step, JERK)

    def hold(self) -> LimiterStep:
        """Keep the last command; a joint that still moves is braked and flagged."""
        if self.at_rest:
            return self._plain.hold()
        return self.brake()

    # -- inside -------------------------------------------------------------------------------

    def _generate(self, target: Sequence[float] | None) -> LimiterStep | None:
        """Ask Ruckig for one step, to a target or to rest (None); None if it cannot be had."""
        before = (self.position, self.velocity)
        if not self._trusted:
            if not self.at_rest:
                return None
            self.seed(self.position)
        try:
            result, output = self._update(target)
        except (self._ruckig.RuckigError, ValueError, RuntimeError):
            self._trusted = False
            return None
        if result not in (self._ruckig.Result.Working, self._ruckig.Result.Finished):
            self._trusted = False
            return None
        position, speeds = tuple(output.new_position), tuple(output.new_velocity)
        if not all(map(isfinite, (*position, *speeds))):
            self._trusted = False
            return None
        mean = [(q - p) / self._dt for q, p in zip(position, before[0], strict=True)]
        velocity = tuple(0.0 if abs(v) < AT_REST else v for v in mean)
        self._before = before
        self._plain.seed(position, velocity)
        self._speeds = speeds
        self._accelerations = tuple(output.new_acceleration)
        return LimiterStep(position, velocity, (0,) * len(position), 1.0)

    def _update(self, target: Sequence[float] | None) -> tuple[Any, Any]:
        ruckig = self._ruckig
        n = len(self.limits)
        order = ruckig.InputParameter(n)
        output = ruckig.OutputParameter(n)
        order.synchronization = ruckig.Synchronization.No
        order.current_position = list(self.position)
        order.current_velocity = list(self._speeds)
        order.current_acceleration = list(self._accelerations)
        order.max_velocity = [
            one.velocity * (1.0 if one.low <= q <= one.high else RECOVERY_SHARE)
            for q, one in zip(self.position, self.limits, strict=True)
        ]
        # Ruckig bounds accelerations by sign, not by speeding up or slowing down.
        order.max_acceleration = [min(one.acceleration, one.deceleration) for one in self.limits]
        order.max_jerk = [one.jerk or 0.0 for one in self.limits]
        if target is None:
            order.control_interface = ruckig.ControlInterface.Velocity
            order.target_velocity = [0.0] * n
        else:
            order.target_position = list(target)
        # A fresh instance each time: one that has failed, or is given an input that it knows,
        # goes on with a trajectory of its own.
        return ruckig.Ruckig(n, self._dt).update(order, output), output

    def _brake_plainly(self) -> LimiterStep:
        """Brake by the limiter's own law; once at rest, Ruckig may be tried again."""
        before = (self.position, self.velocity)
        step = self._plain.brake()
        self._before = before
        if self._plain.at_rest:
            self.seed(self.position)
        return self._marked(step, JERK)

    def _marked(self, step: LimiterStep, flag: int) -> LimiterStep:
        return LimiterStep(
            step.position, step.velocity, tuple(one | flag for one in step.flags), step.scale
        )

    @staticmethod
    def _require_jerk(limits: Sequence[JointLimits]) -> None:
        without = [one.name for one in limits if one.jerk is None]
        if without:
            raise SafetyError(
                f'the jerk stage needs a jerk limit for every joint; without: {without}. '
                f'Add jerk to these joints of the robot YAML, or use Limiter'
            )


def _read(values: Iterable[float], n: int) -> tuple[float, ...] | None:
    try:
        numbers = tuple(map(float, values))
    except (TypeError, ValueError, OverflowError):
        return None
    return numbers if len(numbers) == n and all(map(isfinite, numbers)) else None
