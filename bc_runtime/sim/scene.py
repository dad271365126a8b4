# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Seeded scenes: where the cubes lie, how the arm starts, which cube is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import math
from types import MappingProxyType
from typing import Final

import numpy as np

from bc_runtime.sim.errors import SimError
from bc_runtime.sim.task import COLOURS, INSTRUCTIONS, colour_of

# Tool pointing straight down over the middle of the cubes' area, rad.
HOME: Final = (0.0, -0.35, 1.55, 0.0, 1.94, 0.0)

_START_SPREAD_RAD: Final = 0.05
_CUBE_X_M: Final = (0.18, 0.36)
_CUBE_Y_M: Final = (-0.10, 0.24)
_CUBE_YAW_RAD: Final = 0.5
_REACH_M: Final = 0.40
# Leaves room for an open finger (outer edge 58 mm from the grasped centre) beside a turned cube.
_SEPARATION_M: Final = 0.10


@dataclass(frozen=True, slots=True, kw_only=True)
class CubePlacement:
    """Where a cube lies on the table.

    Attributes:
        x: Forward from the robot's base, m.
        y: To the robot's left, m.
        yaw: Turn about the vertical, rad.
    """

    x: float
    y: float
    yaw: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One start of the task; the same seed gives the same scene on every machine.

    Attributes:
        seed: What the scene was drawn from.
        instruction: The sentence that the robot is given.
        target: Colour of the cube that the sentence names.
        arm_start: Start positions of the six arm joints, rad.
        cubes: Placement of each cube by colour.
    """

    seed: int
    instruction: str
    target: str
    arm_start: tuple[float, ...]
    cubes: Mapping[str, CubePlacement]


def sample_scene(seed: int, instruction: str | None = None) -> Scene:
    """Draw the scene of a seed.

    Only `Generator.random` of PCG64 is used: it is the one draw whose stream NumPy keeps from
    release to release. The instruction is drawn in any case, so that naming one changes nothing
    else in the scene.

    Args:
        seed: Zero or positive.
        instruction: Replaces the drawn one if given.

    Raises:
        SimError: The seed is negative or the instruction is unknown.
    """
    if seed < 0:
        raise SimError(f'expected a seed of zero or more, got {seed}')
    rng = np.random.Generator(np.random.PCG64(seed))

    def uniform(low: float, high: float) -> float:
        return low + (high - low) * float(rng.random())

    drawn = COLOURS[int(uniform(0, len(COLOURS)))]
    sentence = instruction or INSTRUCTIONS[drawn]
    start = tuple(angle + uniform(-_START_SPREAD_RAD, _START_SPREAD_RAD) for angle in HOME)
    while True:
        places = [
            CubePlacement(
                x=uniform(*_CUBE_X_M),
                y=uniform(*_CUBE_Y_M),
                yaw=uniform(-_CUBE_YAW_RAD, _CUBE_YAW_RAD),
            )
            for _ in COLOURS
        ]
        if _reachable_and_apart(places):
            break
    return Scene(
        seed=seed,
        instruction=sentence,
        target=colour_of(sentence),
        arm_start=start,
        cubes=MappingProxyType(dict(zip(COLOURS, places, strict=True))),
    )


def _reachable_and_apart(places: list[CubePlacement]) -> bool:
    for index, one in enumerate(places):
        if math.hypot(one.x, one.y) > _REACH_M:
            return False
        if any(math.hypot(one.x - b.x, one.y - b.y) < _SEPARATION_M for b in places[:index]):
            return False
    return True
