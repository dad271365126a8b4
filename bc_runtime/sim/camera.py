# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Pinhole projection: where points of the world appear in a camera's image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import mujoco
import numpy as np
from numpy.typing import NDArray

from bc_runtime.sim.errors import SimError

Floats = NDArray[np.float64]

NEAR_M: Final = 0.02


class GeometryState(Protocol):
    """What drawing needs of `mujoco.MjData`; `arm.GeometrySnapshot` has it too."""

    @property
    def geom_xpos(self) -> Floats:
        """Centres of the shapes, (ngeom, 3) m."""

    @property
    def geom_xmat(self) -> Floats:
        """Orientations of the shapes, (ngeom, 9)."""

    @property
    def cam_xpos(self) -> Floats:
        """Positions of the cameras, (ncam, 3) m."""

    @property
    def cam_xmat(self) -> Floats:
        """Orientations of the cameras, (ncam, 9)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A camera at one instant.

    Attributes:
        rotation: Camera axes in the world as columns: right, up, backwards, (3, 3).
        position: Centre of projection in the world, (3,) m.
        focal_px: Focal length, px; pixels are square.
        width: Of the image, px.
        height: Of the image, px.
        fixed: Whether the camera stands still in the world.
    """

    rotation: Floats
    position: Floats
    focal_px: float
    width: int
    height: int
    fixed: bool

    def project(self, points: Floats) -> tuple[Floats, Floats]:
        """Project points.

        Args:
            points: In the world, (..., 3) m.

        Returns:
            Pixel coordinates (..., 2), u to the right and v down, with (0, 0) the upper left
            corner of the image; and depths (...,) m along the line of sight, negative behind the
            camera. Where the depth is not positive the pixel coordinates mean nothing.
        """
        seen = (points - self.position) @ self.rotation
        depth = -seen[..., 2]
        scale = self.focal_px / np.maximum(depth, 1e-3)
        pixels = np.empty((*depth.shape, 2))
        pixels[..., 0] = self.width / 2 + seen[..., 0] * scale
        pixels[..., 1] = self.height / 2 - seen[..., 1] * scale
        return pixels, depth

    def clip(self, polygon: Floats) -> Floats:
        """Cut off what lies nearer than `NEAR_M` from a convex polygon (n, 3); (m, 3) is left."""
        ahead = -(polygon - self.position) @ self.rotation[:, 2] - NEAR_M
        kept: list[Floats] = []
        for index, point in enumerate(polygon):
            following = (index + 1) % len(polygon)
            if ahead[index] > 0:
                kept.append(point)
            if ahead[index] * ahead[following] < 0:
                share = ahead[index] / (ahead[index] - ahead[following])
                kept.append(point + (polygon[following] - point) * share)
        return np.array(kept).reshape(-1, 3)


def view_of(
    model: mujoco.MjModel, state: GeometryState, camera: str, width: int, height: int
) -> View:
    """Return a named camera as it is posed in `state`.

    Raises:
        SimError: The model has no camera of that name.
    """
    index = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA, camera)
    if index < 0:
        names = ', '.join(model.camera(i).name for i in range(model.ncam))
        raise SimError(f'expected one of the cameras {names}, got {camera!r}')
    return View(
        rotation=state.cam_xmat[index].reshape(3, 3),
        position=state.cam_xpos[index],
        focal_px=float(height / 2 / np.tan(np.deg2rad(model.cam_fovy[index]) / 2)),
        width=width,
        height=height,
        fixed=bool(model.cam_bodyid[index] == 0),
    )
