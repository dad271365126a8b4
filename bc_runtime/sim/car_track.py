# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Seeded closed roads for the lane car: a centre line with bends to both sides."""

from __future__ import annotations

from dataclasses import dataclass
import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bc_runtime.sim.errors import SimError

Floats = NDArray[np.float64]

#: From the centre line to the inner side of a painted edge line, m.
LANE_HALF_M: Final = 0.25

_POINTS: Final = 720
_RADIUS_M: Final = 2.4
_WAVES: Final = ((2, 0.30), (3, 0.22), (4, 0.14), (5, 0.08))
_TIGHTEST_M: Final = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """A closed centre line, in the direction of driving; points are not repeated at the end.

    Attributes:
        seed: What the track was drawn from.
        points: (n, 2) m, in the world.
        distance: Way from point 0 to each point along the line, (n,) m.
        length: Of the whole line, m.
        heading: Direction from each point to the next, (n,) rad.
    """

    seed: int
    points: Floats
    distance: Floats
    length: float
    heading: Floats

    def locate(self, x: float, y: float) -> tuple[float, float, float]:
        """Return where a position is: way along the line, offset to its left, line's heading.

        Returns:
            Way m in [0, length), offset m (positive to the left of the line), heading rad.
        """
        here = np.array([x, y])
        nearest = int(((self.points - here) ** 2).sum(axis=1).argmin())
        best = (math.inf, 0.0, 0.0, 0.0)
        for index in (nearest - 1, nearest):
            start, heading = self.points[index], float(self.heading[index])
            size = self._size(index)
            dx, dy = here - start
            along = min(max(dx * math.cos(heading) + dy * math.sin(heading), 0.0), size)
            left = -dx * math.sin(heading) + dy * math.cos(heading)
            foot = start + along * np.array([math.cos(heading), math.sin(heading)])
            gap = float(np.linalg.norm(here - foot))
            if gap < best[0]:
                best = (gap, float(self.distance[index]) + along, left, heading)
        return best[1] % self.length, best[2], best[3]

    def at(self, way: float) -> tuple[float, float, float]:
        """Return the position and heading of the line after a way m, (x, y, heading)."""
        way %= self.length
        index = int(np.searchsorted(self.distance, way, side='right')) - 1
        along = way - float(self.distance[index])
        heading = float(self.heading[index])
        x, y = self.points[index]
        return (
            float(x) + along * math.cos(heading),
            float(y) + along * math.sin(heading),
            heading,
        )

    def _size(self, index: int) -> float:
        following = self.length if index in (-1, _POINTS - 1) else self.distance[index + 1]
        return float(following - self.distance[index])


def sample_track(seed: int) -> Track:
    """Draw the track of a seed, the same on every machine.

    Only `Generator.random` of PCG64 is used: it is the one draw whose stream NumPy keeps from
    release to release.

    Raises:
        SimError: The seed is negative.
    """
    if seed < 0:
        raise SimError(f'expected a seed of zero or more, got {seed}')
    rng = np.random.Generator(np.random.PCG64(seed))
    backwards = float(rng.random()) < 0.5
    angle = np.arange(_POINTS) * (2.0 * math.pi / _POINTS)
    while True:
        radius = np.ones(_POINTS)
        for count, size in _WAVES:
            share, phase = float(rng.random()), float(rng.random())
            radius += size * share * np.cos(count * angle + 2.0 * math.pi * phase)
        points = _RADIUS_M * radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        if _tightest(points) > _TIGHTEST_M:
            break
    return _track(seed, points[::-1] if backwards else points)


def _track(seed: int, points: Floats) -> Track:
    steps = np.roll(points, -1, axis=0) - points
    sizes = np.linalg.norm(steps, axis=1)
    return Track(
        seed=seed,
        points=np.ascontiguousarray(points),
        distance=np.concatenate([[0.0], np.cumsum(sizes)[:-1]]),
        length=float(sizes.sum()),
        heading=np.arctan2(steps[:, 1], steps[:, 0]),
    )


def _tightest(points: Floats) -> float:
    """Return the smallest radius of curvature, m."""
    ahead, behind = np.roll(points, -1, axis=0), np.roll(points, 1, axis=0)
    first, second = (ahead - behind) / 2.0, ahead - 2.0 * points + behind
    cross = np.abs(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0])
    speed = np.linalg.norm(first, axis=1)
    return float((speed**3 / np.maximum(cross, 1e-12)).min())
