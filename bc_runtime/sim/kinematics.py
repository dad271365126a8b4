# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Inverse kinematics of the arm for a tool that points straight down."""

from __future__ import annotations

from typing import Final

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

# Damped least squares: C. W. Wampler, 'Manipulator inverse kinematic solutions based on vector
# formulations and damped least-squares methods', IEEE Trans. SMC 16(1), 1986.
_DAMPING: Final = 2e-4
# One radian of orientation error weighs as much as this many metres of position error.
_ORIENTATION_M: Final = 0.2
_MAX_STEP_RAD: Final = 0.25
_ITERATIONS: Final = 40
_TOLERANCE: Final = 1e-4


class DownwardKinematics:
    """Solves for the arm joints that put the tool at a point, pointing down, at a yaw.

    Works on its own `MjData`, so that solving never touches a running simulation.
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        self._model = model
        self._data = mujoco.MjData(model)
        self._tool = model.site('tool').id
        self._lower = model.jnt_range[:6, 0].copy()
        self._upper = model.jnt_range[:6, 1].copy()
        self._jacobian_position = np.zeros((3, model.nv))
        self._jacobian_rotation = np.zeros((3, model.nv))

    def forward(self, joints: ArrayLike) -> tuple[NDArray[np.float64], float]:
        """Return the tool's position (3,) m and its yaw in rad for arm joints (6,) rad."""
        self._place(np.asarray(joints, dtype=np.float64))
        rotation = self._data.site_xmat[self._tool]
        return self._data.site_xpos[self._tool].copy(), float(np.arctan2(rotation[3], rotation[0]))

    def solve(self, position: ArrayLike, yaw: float, start: ArrayLike) -> NDArray[np.float64]:
        """Return arm joints (6,) rad near `start` that reach the pose as well as they can.

        Args:
            position: Tool position in the world frame, (3,) m.
            yaw: Turn of the hand about the vertical, rad.
            start: Joints to start from, (6,) rad; the solution stays on their branch.
        """
        goal = np.asarray(position, dtype=np.float64)
        cos, sin = np.cos(yaw), np.sin(yaw)
        rotation = np.array([[cos, sin, 0.0], [sin, -cos, 0.0], [0.0, 0.0, -1.0]])
        joints = np.array(start, dtype=np.float64)
        error = np.empty(6)
        for _ in range(_ITERATIONS):
            self._place(joints)
            data, tool = self._data, self._tool
            actual = data.site_xmat[tool].reshape(3, 3)
            error[:3] = goal - data.site_xpos[tool]
            # Half the sum of the axes' cross products is the rotation vector for small angles.
            error[3:] = 0.5 * _ORIENTATION_M * np.cross(actual.T, rotation.T).sum(axis=0)
            if np.abs(error).max() < _TOLERANCE:
                break
            mujoco.mj_jacSite(
                self._model, data, self._jacobian_position, self._jacobian_rotation, tool
            )
            jacobian = np.vstack(
                (self._jacobian_position[:, :6], _ORIENTATION_M * self._jacobian_rotation[:, :6])
            )
            gram = jacobian @ jacobian.T + _DAMPING * np.eye(6)
            change = jacobian.T @ np.linalg.solve(gram, error)
            change = np.clip(change, -_MAX_STEP_RAD, _MAX_STEP_RAD)
            joints = np.clip(joints + change, self._lower, self._upper)
        return joints

    def _place(self, joints: NDArray[np.float64]) -> None:
        self._data.qpos[:6] = joints
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)
