# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The simulated robot's driver: turns trajectories into a set-point at any time.

Follows the rules of ros2_controllers' joint_trajectory_controller: a new trajectory replaces the
old one from now on, starting at the present set-point; after the last point its position is held.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bc_runtime.sim.errors import SimError
from bc_runtime.sim.task import JOINT_NAMES

Floats = NDArray[np.float64]


def joint_order(names: Sequence[str]) -> NDArray[np.intp]:
    """Return where each of `JOINT_NAMES` stands in `names`, (7,).

    Raises:
        SimError: A joint is missing, unknown or named twice.
    """
    if sorted(names) != sorted(JOINT_NAMES):
        raise SimError(
            f'expected each of the joints {", ".join(JOINT_NAMES)} once, '
            f'got {", ".join(names) or "none"}'
        )
    return np.array([list(names).index(name) for name in JOINT_NAMES], dtype=np.intp)


def in_robot_order(
    rows: Sequence[Sequence[float]], order: NDArray[np.intp], what: str
) -> NDArray[np.float64]:
    """Return a trajectory's values with the columns in the order of `JOINT_NAMES`, (n, 7).

    Args:
        rows: One sequence per trajectory point.
        order: Of `joint_order`.
        what: Word for the values in an error.

    Raises:
        SimError: A point has another number of values than there are joints.
    """
    for row in rows:
        if len(row) != len(order):
            raise SimError(f'expected {len(order)} {what} in each point, got {len(row)}')
    return np.array(rows, dtype=np.float64).reshape(-1, len(order))[:, order]


class Driver:
    """The set-point of the seven joints as a function of time.

    Times are seconds on one clock that runs forward; which one is the caller's choice.

    Args:
        setpoint: Held until the first command, (7,) rad and m.
    """

    def __init__(self, setpoint: ArrayLike) -> None:
        self.hold(setpoint)

    def hold(self, setpoint: ArrayLike) -> None:
        """Hold a set-point (7,) from now on.

        Raises:
            SimError: Not seven finite numbers.
        """
        self._times = np.zeros(1)
        self._positions = _checked('positions', setpoint, 1)
        self._velocities: Floats | None = None

    def move(self, *, now_s: float, velocities: ArrayLike, for_s: float) -> None:
        """Move the set-point with velocities from now on, and hold it after a time.

        Args:
            now_s: The present time.
            velocities: (7,) rad/s and m/s.
            for_s: What a driver of velocities waits for the next command before it stops.

        Raises:
            SimError: Not seven finite numbers.
        """
        way = _checked('velocities', velocities, 1) * for_s
        positions = self.setpoint(now_s) + way
        self.follow(now_s=now_s, times_s=[now_s + for_s], positions=positions)

    def follow(
        self,
        *,
        now_s: float,
        times_s: ArrayLike,
        positions: ArrayLike,
        velocities: ArrayLike | None = None,
    ) -> None:
        """Follow a trajectory from now on.

        Args:
            now_s: The present time.
            times_s: Times of the points, (n,), strictly increasing; some may be past.
            positions: (n, 7) rad and m.
            velocities: (n, 7) rad/s and m/s: the way between points is then a cubic, otherwise
                a straight line.

        Raises:
            SimError: No points, times that do not increase, or numbers that are not finite.
        """
        times = np.asarray(times_s, dtype=np.float64)
        if times.ndim != 1 or len(times) == 0:
            raise SimError(f'expected one trajectory point or more, got {times.size}')
        if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
            raise SimError(f'expected strictly increasing times, got {times.tolist()}')
        points = _checked('positions', positions, len(times))
        slopes = None if velocities is None else _checked('velocities', velocities, len(times))
        if times[0] > now_s:
            present, slope = self._sample(now_s)
            times = np.append(now_s, times)
            points = np.vstack((present, points))
            slopes = None if slopes is None else np.vstack((slope, slopes))
        self._times, self._positions, self._velocities = times, points, slopes

    def setpoint(self, now_s: float) -> Floats:
        """Return the set-point of a time, (7,)."""
        return self._sample(now_s)[0]

    def _sample(self, now_s: float) -> tuple[Floats, Floats]:
        """Return position and velocity of the set-point."""
        times, points, slopes = self._times, self._positions, self._velocities
        after = int(np.searchsorted(times, now_s, side='right'))
        if after == len(times) or after == 0:
            at = max(after - 1, 0)
            return points[at], np.zeros(len(JOINT_NAMES))
        before = after - 1
        span = float(times[after] - times[before])
        share = (now_s - float(times[before])) / span
        start, end = points[before], points[after]
        if slopes is None:
            return start + share * (end - start), (end - start) / span
        # Cubic Hermite polynomial through both ends with the given velocities.
        rise = end - start
        first, last = slopes[before] * span, slopes[after] * span
        square, cube = 3 * rise - 2 * first - last, first + last - 2 * rise
        position = start + share * (first + share * (square + share * cube))
        velocity = (first + share * (2 * square + share * 3 * cube)) / span
        return position, velocity


def _checked(what: str, values: ArrayLike, rows: int) -> Floats:
    array = np.atleast_2d(np.array(values, dtype=np.float64))
    if array.shape != (rows, len(JOINT_NAMES)):
        raise SimError(f'expected {what} of shape ({rows}, {len(JOINT_NAMES)}), got {array.shape}')
    if not np.isfinite(array).all():
        raise SimError(f'expected finite {what}, got {array.tolist()}')
    return array
