# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""JerkLimiter: a limiter that approaches its references with bounded jerk.

Optional: it needs the package `ruckig` (MIT, Berscheid and Kröger, "Jerk-limited Real-time
Trajectory Generation with Arbitrary Target States", RSS 2021).

Ruckig only makes the reference smooth; the limiter has the last word on every command. So each
guarantee of `Limiter` holds here for the same reason as there, whatever Ruckig answers. The jerk
is bounded as long as the limiter lets Ruckig's command pass. It does not where a limit is lowered
in motion, or where a position limit is too near for a jerk-limited stop; and `brake`, `hold` and
`tail_step` are the limiter's own: a stop takes the full deceleration at once, as the braking tail
in each trajectory message does.

What was measured with Ruckig 0.19.4 decides how it is used: only the unsynchronised mode (the
synchronised ones sometimes fail, and an instance that failed then emits wrong commands), only
target velocity zero (any other may overshoot the position limits), and a fresh instance for each
tick. The price is lag: without feed-forward it follows a moving reference later than `Limiter`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite, pi, remainder
from typing import Any

from bc_runtime.safety.limiter import POSITION, RECOVERY_SHARE, Limiter
from bc_runtime.safety.limiter_step import LimiterStep, LimitFlag
from bc_runtime.safety.limits import JointLimits
from bc_runtime.spec.errors import SafetyError

#: Ruckig's own rounding at a target is some 5e-9; targets stay this far inside [rad or m].
INSIDE = 1e-7
#: Nearer than this counts as the same place [rad or m].
SAME = 1e-9
JERK = int(LimitFlag.JERK)

Values = tuple[float, ...]


def jerk_available() -> bool:
    """Whether the package `ruckig` can be imported."""
    try:
        import ruckig  # type: ignore[import-not-found,unused-ignore]  # noqa: F401
    except ImportError:
        return False
    return True


class JerkLimiter(Limiter):
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
                'run: pip install ruckig==0.19.4, or set the parameter jerk to false'
            ) from None
        self._ruckig: Any = ruckig
        # Speed and acceleration at the end of the command that they belong to. Any other last
        # command was not Ruckig's, and its acceleration is not known.
        self._state: tuple[Values, Values, Values] = ((), (), ())
        _require_jerk(limits)
        super().__init__(limits, dt_s)

    def set_limits(self, limits: Sequence[JointLimits]) -> None:
        """Change the limits, also in motion."""
        _require_jerk(limits)
        super().set_limits(limits)

    def step(self, q_ref: Iterable[float], v_ref: Iterable[float] | None = None) -> LimiterStep:
        """Return the next command towards a position reference, shape (n,).

        Args:
            q_ref: Where the joints should go.
            v_ref: Only looked at for being finite; see the module's docstring.
        """
        target = self._read(q_ref)
        if target is None or (v_ref is not None and self._read(v_ref) is None):
            return super().step(())
        here = self.position
        goal = tuple(
            q + remainder(r - q, 2.0 * pi)
            if one.continuous
            else min(max(r, one.low + INSIDE), one.high - INSIDE)
            for q, r, one in zip(here, target, self.limits, strict=True)
        )
        smooth = self._smooth(here, goal)
        if smooth is None:
            return _marked(self.brake(), (JERK,) * len(goal))
        place, speeds, accelerations = smooth
        step = super().step(place, [(p - q) / self._dt for p, q in zip(place, here, strict=True)])
        if max(abs(p - q) for p, q in zip(place, step.position, strict=True)) <= SAME:
            self._state = (step.position, speeds, accelerations)
        return _marked(
            step,
            tuple(
                (0 if one.continuous or abs(g - r) <= INSIDE else POSITION)
                | (JERK if abs(g - q) > SAME else 0)
                for q, g, r, one in zip(step.position, goal, target, self.limits, strict=True)
            ),
        )

    def _smooth(self, here: Values, goal: Values) -> tuple[Values, Values, Values] | None:
        """Ask Ruckig for the next place, speed and acceleration; None if it has no answer."""
        ruckig, n = self._ruckig, len(goal)
        known, speeds, accelerations = self._state
        if known is not here:
            speeds, accelerations = self.velocity, (0.0,) * n
        order, output = ruckig.InputParameter(n), ruckig.OutputParameter(n)
        order.synchronization = ruckig.Synchronization.No
        order.current_position = list(here)
        order.current_velocity = list(speeds)
        order.current_acceleration = list(accelerations)
        order.target_position = list(goal)
        order.max_velocity = [
            one.velocity * (1.0 if one.low <= q <= one.high else RECOVERY_SHARE)
            for q, one in zip(here, self.limits, strict=True)
        ]
        # Ruckig bounds accelerations by sign, not by speeding up or slowing down.
        order.max_acceleration = [min(one.acceleration, one.deceleration) for one in self.limits]
        order.max_jerk = [one.jerk or 0.0 for one in self.limits]
        try:
            result = ruckig.Ruckig(n, self._dt).update(order, output)
        except (ruckig.RuckigError, ValueError, RuntimeError):
            return None
        if result not in (ruckig.Result.Working, ruckig.Result.Finished):
            return None
        answer = tuple(
            tuple(values)
            for values in (output.new_position, output.new_velocity, output.new_acceleration)
        )
        if not all(isfinite(value) for values in answer for value in values):
            return None
        place, speeds, accelerations = answer
        return place, speeds, accelerations


def _marked(step: LimiterStep, flags: Sequence[int]) -> LimiterStep:
    marks = tuple(one | mark for one, mark in zip(step.flags, flags, strict=True))
    return LimiterStep(step.position, step.velocity, marks, step.scale)


def _require_jerk(limits: Sequence[JointLimits]) -> None:
    without = [one.name for one in limits if one.jerk is None]
    if without:
        raise SafetyError(
            f'the jerk stage needs a jerk limit for every joint; without: {without}. '
            f'Add jerk to these joints of the robot YAML, or set the parameter jerk to false'
        )
