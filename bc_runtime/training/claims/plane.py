# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Two tasks of a point in the plane: small enough to train many policies, and to see why."""

from __future__ import annotations

from dataclasses import dataclass
import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STEP: Final = 0.04
_DEMONSTRATION_NOISE: Final = 0.004

#: The path of the first task: y over x, from x = -1 to 1.
_PATH_HEIGHT: Final = 0.5
_PATH_WAVES: Final = 1.5 * math.pi
_AHEAD: Final = 0.08

#: The second task: a post in the middle, with room on both sides.
POST_RADIUS: Final = 0.25
_BESIDE: Final = 0.5
_START_SPREAD: Final = 0.03
GOAL: Final = (1.0, 0.0)
_ARRIVED: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """Positions of one demonstration, (n + 1, 2); step i goes from position i to i + 1."""

    positions: Floats


def path_height(x: Floats | float) -> Floats:
    """Return y of the first task's path."""
    return np.asarray(_PATH_HEIGHT * np.sin(_PATH_WAVES * np.asarray(x)))


def follow_path(rng: np.random.Generator) -> Walk:
    """Demonstrate the first task: along the path, always back towards it."""
    position = np.array([-1.0, float(path_height(-1.0))])
    positions = [position]
    while position[0] < 1.0:
        target_x = position[0] + _AHEAD / math.hypot(1.0, _slope(position[0]))
        way = np.array([target_x, float(path_height(target_x))]) - position
        position = position + STEP * way / np.linalg.norm(way)
        position = position + rng.normal(0.0, _DEMONSTRATION_NOISE, 2)
        positions.append(position)
    return Walk(positions=np.stack(positions))


def pass_post(rng: np.random.Generator) -> Walk:
    """Demonstrate the second task: around the post, by either side, to the goal."""
    side = 1.0 if rng.random() < 0.5 else -1.0
    position = start_before_post(rng, 1)[0]
    positions = [position]
    while np.linalg.norm(position - GOAL) > 0.5 * _ARRIVED:
        beside = np.array([0.0, side * _BESIDE])
        target = beside if position[0] < -0.02 else np.array(GOAL)
        way = target - position
        position = position + STEP * way / max(float(np.linalg.norm(way)), 1e-6)
        position = position + rng.normal(0.0, _DEMONSTRATION_NOISE, 2)
        positions.append(position)
    return Walk(positions=np.stack(positions))


def start_before_post(rng: np.random.Generator, count: int) -> Floats:
    """Return starts (count, 2) of the second task: in front of the post, about in the middle."""
    aside = rng.uniform(-_START_SPREAD, _START_SPREAD, count)
    return np.stack([np.full(count, -1.0), aside], axis=1)


def hits_post(positions: Floats) -> NDArray[np.bool_]:
    """Return which of the positions (..., 2) are inside the post."""
    return np.asarray(np.linalg.norm(positions, axis=-1) < POST_RADIUS)


def arrived(positions: Floats) -> NDArray[np.bool_]:
    """Return which of the positions (..., 2) are at the goal."""
    return np.asarray(np.linalg.norm(positions - np.array(GOAL), axis=-1) < _ARRIVED)


def _slope(x: float) -> float:
    return _PATH_HEIGHT * _PATH_WAVES * math.cos(_PATH_WAVES * x)
