# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What the simulated robot is asked to do: names, instructions and the rules of success.

Everything here is plain data and plain functions of numbers, free of MuJoCo, so that names and
instructions can be had without loading the physics. Lengths in metres, in the world frame: x
forward from the robot's base, y to its left, z up from the table top (REP 103).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bc_runtime.sim.errors import SimError

ARM_JOINT_NAMES: Final = tuple(f'joint_{i}' for i in range(1, 7))
JOINT_NAMES: Final = (*ARM_JOINT_NAMES, 'gripper')
CAMERAS: Final = ('front', 'wrist')
COLOURS: Final = ('red', 'green', 'blue')
INSTRUCTIONS: Final = {colour: f'put the {colour} cube in the tray' for colour in COLOURS}

CUBE_HALF_M: Final = 0.025
GRIPPER_MAX_M: Final = 0.092
TRAY_CENTRE: Final = (0.24, -0.24)
TRAY_HALF_M: Final = 0.07

# A cube whose centre is this close to the tray's centre (either axis) is inside its walls.
_INSIDE_HALF_M: Final = 0.06
_RESTING_HEIGHT_M: Final = 0.05
_RESTING_SPEED_M_S: Final = 0.05
_GRIPPER_AWAY_M: Final = 0.07
_GRIPPER_OPEN_M: Final = 0.06
_LIFTED_M: Final = CUBE_HALF_M + 0.03


def colour_of(instruction: str) -> str:
    """Return the colour of the cube that an instruction names.

    Raises:
        SimError: The sentence is not one of `INSTRUCTIONS`.
    """
    for colour, sentence in INSTRUCTIONS.items():
        if sentence == instruction:
            return colour
    known = ', '.join(repr(sentence) for sentence in INSTRUCTIONS.values())
    raise SimError(
        f'expected one of the instructions {known}, got {instruction!r}; '
        'leave it empty to let the seed choose'
    )


def in_tray(cube: NDArray[np.float64]) -> bool:
    """Tell whether a cube's centre (3,) is inside the tray's walls and near its floor."""
    inside = np.abs(cube[:2] - TRAY_CENTRE).max() < _INSIDE_HALF_M
    return bool(inside and cube[2] < _RESTING_HEIGHT_M)


def placed(
    cube: NDArray[np.float64], *, speed: float, tool_height: float, gripper_opening: float
) -> bool:
    """Tell whether the task is done: the cube rests in the tray and the gripper has let go.

    Args:
        cube: Centre of the target cube, (3,) m.
        speed: Its speed, m/s.
        tool_height: Height of the point between the finger tips, m.
        gripper_opening: Measured opening, m.
    """
    released = tool_height > _GRIPPER_AWAY_M and gripper_opening > _GRIPPER_OPEN_M
    return in_tray(cube) and speed < _RESTING_SPEED_M_S and released


def mishandled(cube: NDArray[np.float64]) -> bool:
    """Tell whether a cube that was not asked for is in the tray or lifted off the table."""
    return in_tray(cube) or bool(cube[2] > _LIFTED_M)
