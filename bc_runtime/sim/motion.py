# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Motion with bounded speed and acceleration, one policy step at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class MotionLimits:
    """How fast something may move.

    Attributes:
        speed: Largest norm of the velocity, units/s.
        acceleration: Largest norm of the acceleration, units/s^2.
    """

    speed: float
    acceleration: float


def next_velocity(
    error: NDArray[np.float64],
    velocity: NDArray[np.float64],
    *,
    limits: MotionLimits,
    dt_s: float,
) -> NDArray[np.float64]:
    """Return the velocity for the next step of a point that heads for a goal and stops there.

    The speed towards the goal is the largest from which the point can still stop in the distance
    that is left, when it moves in steps: with s the speed, a the deceleration and h the step, the
    way to a stop is s^2/(2a) + s h/2, solved for s. Changes are bounded by the acceleration, so
    the point rounds corners instead of stopping at them.

    Args:
        error: Goal minus position, (n,).
        velocity: Velocity of the last step, (n,).
        limits: Bounds of the motion.
        dt_s: Length of a step, s.
    """
    distance = float(np.linalg.norm(error))
    change = limits.acceleration * dt_s
    # Half the allowed deceleration is planned with; the rest is for the path's curvature.
    planned = 0.5 * change
    stopping = -planned / 2 + np.sqrt(planned**2 / 4 + 2 * planned / dt_s * distance)
    speed = min(limits.speed, float(stopping), distance / dt_s)
    wanted = error * (speed / distance) if distance > 1e-9 else np.zeros_like(error)
    difference = wanted - velocity
    size = float(np.linalg.norm(difference))
    return velocity + difference * min(1.0, change / max(size, 1e-12))
