# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The points that a driver of trajectories is sent: the cubic between them keeps the limits, too.

The limiter goes in straight steps: q_k = q_(k-1) + v_k·T, one velocity for each period. A driver
that gets positions and velocities draws a cubic between them (ros2_control's
joint_trajectory_controller does). No velocities make that cubic through q_k keep the acceleration
limit: from rest, a step of a·T² within T takes 2·a at least. So the points are those of the
limiter's path averaged over one period,

    s(t) = 1/T · ∫ q(τ) dτ  from t - T to t,    s(t_k) = q_k - v_k·T/2,    s'(t_k) = v_k.

Within a period s has the constant acceleration (v_(k+1) - v_k)/T: the cubic through two of its
points is that parabola itself. So between the points

* the position is a mean of two positions that the limiter allowed,
* the velocity lies between v_k and v_(k+1),
* the acceleration is that of the limiter: at most `acceleration` while speeding up and
  `deceleration` while slowing down, and between the two where a joint turns round.

The price: the points trail the command by half a period of motion. At rest both are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np

from bc_runtime.safety.braking_tail import REST_SHARE, BrakingTail, check_start
from bc_runtime.safety.limits import JointLimits


def driver_points(
    position: Sequence[float],
    velocity: Sequence[float],
    limits: Sequence[JointLimits],
    dt_s: float,
) -> BrakingTail:
    """Return the points for a command of the limiter and the braking tail after it.

    Points are left out where all joints brake evenly; there the parabola goes on. So there are at
    most two for each joint: before its last step, which is shorter, and where it rests.

    Args:
        position: Command, shape (n,).
        velocity: Velocity of the command, shape (n,).
        limits: Limits per joint; only the deceleration is used.
        dt_s: Control period [s].

    Returns:
        Times after the end of the command's period, the first is 0; positions and velocities.

    Raises:
        SafetyError: lengths differ, or a value is not finite.
    """
    check_start(position, velocity, limits)
    lost = [one.deceleration * dt_s for one in limits]
    # Steps until each joint rests; the velocity of the last one is what is left then.
    rests = [ceil(abs(v) / d - REST_SHARE) for v, d in zip(velocity, lost, strict=True)]
    kept = sorted({0, *rests, *(max(rest - 1, 0) for rest in rests)})
    # With many joints there are many points: here numpy is the quicker one.
    k = np.array(kept)[:, None]
    speed, side = np.abs(velocity), np.sign(velocity)
    speeds = np.where(k < rests, speed - k * lost, 0.0)
    gone = np.minimum(k, np.maximum(np.array(rests) - 1, 0))
    way = dt_s * gone * (speed - np.multiply(lost, 0.5 * (gone + 1)))
    places = position + side * (way - 0.5 * dt_s * speeds)
    return BrakingTail(
        times_s=tuple([step * dt_s for step in kept]),
        positions=tuple(map(tuple, places.tolist())),
        velocities=tuple(map(tuple, (side * speeds).tolist())),
    )
