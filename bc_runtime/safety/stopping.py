# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""How far a joint travels while it brakes in discrete steps, and the exact inverse of that.

Also the per-joint constants that the limiter works out once, so that its tick only multiplies.
"""

from __future__ import annotations

from math import floor, sqrt

from bc_runtime.safety.limits import JointLimits

#: Share of the deceleration that the approach of a target plans with; the rest is reserve.
APPROACH_SHARE = 0.5


def braking_travel(speed: float, decel_step: float, dt_s: float) -> float:
    """Return the travel from taking one step at `speed` and then braking to rest.

    Args:
        speed: Speed >= 0 of the first step [rad/s].
        decel_step: Deceleration times the period [rad/s].
        dt_s: Period [s].
    """
    steps = floor(speed / decel_step)
    return dt_s * ((steps + 1) * speed - decel_step * (0.5 * steps * (steps + 1)))


def safe_speed(gap: float, deceleration: float, dt_s: float) -> float:
    """Return S(g, d): the largest speed whose braking travel is not longer than `gap`.

    Args:
        gap: Free way [rad or m]; below zero counts as zero.
        deceleration: Deceleration [rad/s²].
        dt_s: Period [s].
    """
    if gap <= 0.0:
        return 0.0
    s = gap / (deceleration * dt_s * dt_s)
    n = floor((sqrt(1.0 + 8.0 * s) - 1.0) * 0.5)
    return deceleration * dt_s * (s / (n + 1) + 0.5 * n)


def reference_constants(limits: JointLimits, dt_s: float) -> tuple[float, ...]:
    """Return (low, high, vmax, 1/(β·d·T²), β·d·T, braking travel from vmax at β·d)."""
    gentle = limits.deceleration * APPROACH_SHARE
    return (
        limits.low,
        limits.high,
        limits.velocity,
        1.0 / (gentle * dt_s * dt_s),
        gentle * dt_s,
        braking_travel(limits.velocity, gentle * dt_s, dt_s),
    )


def bound_constants(limits: JointLimits, dt_s: float, held: float) -> tuple[float, ...]:
    """Return (low, high, vmax, a·T, d·T, a/d, 1/(d·T²), braking travel from vmax at d).

    Args:
        limits: Limits of the joint.
        dt_s: Period [s].
        held: Deceleration that was promised earlier in this motion; the larger one counts.
    """
    d = max(limits.deceleration, held)
    return (
        limits.low,
        limits.high,
        limits.velocity,
        limits.acceleration * dt_s,
        d * dt_s,
        limits.acceleration / d,
        1.0 / (d * dt_s * dt_s),
        braking_travel(limits.velocity, d * dt_s, dt_s),
    )
