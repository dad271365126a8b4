# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The deployed robot's limits, put under whatever drives the simulated one in training."""

from __future__ import annotations

from collections.abc import Sequence

from bc_runtime.safety.limiter import Limiter
from bc_runtime.safety.limits import limits_of
from bc_runtime.sim.arm import ArmSim
from bc_runtime.sim.demonstrations import DRIVER_HZ, Follow
from bc_runtime.spec import RobotConfig

_TICK_S = 1.0 / DRIVER_HZ


class Follower:
    """Starts limited motions of a simulated robot.

    Args:
        robot: Gives the limits.
    """

    def __init__(self, robot: RobotConfig) -> None:
        self._limits = limits_of(robot.joints)

    def __call__(self, sim: ArmSim, velocity: Sequence[float] | None = None) -> Follow:
        """Return a motion that goes on from a robot's set-point.

        Args:
            sim: The robot.
            velocity: Of its command at this time, (7,) rad/s and m/s; None is at rest.
        """
        limiter = Limiter(self._limits, _TICK_S)
        limiter.seed(sim.setpoint.tolist(), velocity)
        return lambda wanted, rate: limiter.step(wanted.tolist(), rate.tolist()).position
