# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`Painter`: pictures of the scene, drawn with OpenCV polygons instead of OpenGL.

Shapes are drawn from far to near (the painter's algorithm, by the distance of their centres), flat
shaded under one light, with shadows on the table. That is right for convex shapes that do not
interlock, which these are, and takes a few milliseconds a picture without a GPU or a display.
"""

from __future__ import annotations

from typing import Final

import cv2
import mujoco
import numpy as np

from bc_runtime.sim.camera import NEAR_M, Floats, GeometryState, View, view_of
from bc_runtime.sim.errors import SimError
from bc_runtime.sim.shapes import (
    Boxes,
    Capsules,
    Cylinders,
    Image,
    Indices,
    PreparedShapes,
    Shapes,
    fill_mask,
    fixed_point,
    line,
    projected,
    shadow_on_table,
)

_SHADOW: Final = 0.62
_GRID_STEP_M: Final = 0.1
_SKY_TOP: Final = 150.0
_SKY_BOTTOM: Final = 205.0
_SKY_TINT: Final = (0.93, 0.97, 1.0)


class Painter:
    """Draws what the cameras of a model see.

    Not thread-safe; one painter per thread.

    Args:
        model: Of `model.build_model`.
        width: Of the pictures, px.
        height: Of the pictures, px.
    """

    def __init__(self, model: mujoco.MjModel, width: int = 640, height: int = 480) -> None:
        if width < 1 or height < 1:
            raise SimError(f'expected a picture of one pixel or more, got {width}x{height}')
        self._model = model
        self._width = width
        self._height = height
        names = [model.geom(i).name for i in range(model.ngeom)]
        still = [i for i, name in enumerate(names) if name.startswith(('table', 'tray'))]
        self._table = names.index('table')
        self._still = Boxes(model, np.array(still, dtype=np.intp))
        kinds = model.geom_type
        moving = np.array([i for i in range(model.ngeom) if i not in still], dtype=np.intp)
        is_box = kinds[moving] == mujoco.mjtGeom.mjGEOM_BOX
        is_cylinder = kinds[moving] == mujoco.mjtGeom.mjGEOM_CYLINDER
        self._kinds: list[Shapes] = [
            Boxes(model, moving[is_box]),
            Capsules(model, moving[~is_box & ~is_cylinder]),
            Cylinders(model, moving[is_cylinder]),
        ]
        self._moving = np.concatenate([kind.geoms for kind in self._kinds])
        # Position in `_moving` to (kind, index within the kind).
        self._where = [
            (at, index) for at, kind in enumerate(self._kinds) for index in range(len(kind.geoms))
        ]
        self._extent = model.geom_rbound[self._moving]
        self._sky = self._draw_sky()
        self._mask = np.empty((height, width), dtype=np.uint8)
        self._backgrounds: dict[str, Image] = {}

    def render(self, state: GeometryState, camera: str) -> Image:
        """Draw a picture.

        Args:
            state: Poses of the shapes and cameras: `ArmSim.data` or `ArmSim.snapshot()`.
            camera: Name of the camera.

        Returns:
            (height, width, 3) uint8 RGB, owned by the caller.

        Raises:
            SimError: There is no camera of that name.
        """
        view = view_of(self._model, state, camera, self._width, self._height)
        image = self._background(state, view, camera)
        prepared = self._prepare(image, state, view)
        depth = -(state.geom_xpos[self._moving] - view.position) @ view.rotation[:, 2]
        for place in np.argsort(-depth, kind='stable'):
            if depth[place] + self._extent[place] < NEAR_M:
                continue
            kind, index = self._where[place]
            prepared[kind].draw(image, index)
        return image

    def _prepare(self, image: Image, state: GeometryState, view: View) -> list[PreparedShapes]:
        """Draw the shadows of what moves; return, kind by kind, what draws the shapes.

        All points are projected at once: a call takes longer than the few numbers of one shape.
        """
        placed = [kind.place(state) for kind in self._kinds]
        outlines = np.concatenate([each.outlines.reshape(-1, 3) for each in placed])
        points = [each.points.reshape(-1, 3) for each in placed]
        pixels, depth = view.project(np.concatenate([*points, shadow_on_table(outlines)]))
        prepared, start = [], 0
        for kind, each in zip(self._kinds, placed, strict=True):
            shape = each.points.shape[:2]
            part = slice(start, start + shape[0] * shape[1])
            start = part.stop
            flat = pixels[part].reshape(*shape, 2)
            prepared.append(kind.prepare(state, view, each, flat, depth[part].reshape(shape)))
        sizes = [each.outlines.shape[1] for each in placed for _ in each.outlines]
        self._draw_shadows(image, pixels[start:], depth[start:], sizes)
        return prepared

    def _background(self, state: GeometryState, view: View, camera: str) -> Image:
        """Return the picture of what stands still, without shadows."""
        if not view.fixed:
            return self._draw_still(state, view)
        if camera not in self._backgrounds:
            self._backgrounds[camera] = self._draw_still(state, view)
        return self._backgrounds[camera].copy()

    def _draw_sky(self) -> Image:
        grey = np.linspace(_SKY_TOP, _SKY_BOTTOM, self._height)[:, None, None]
        row = (grey * _SKY_TINT).astype(np.uint8)
        return np.repeat(row, self._width, axis=1)

    def _draw_still(self, state: GeometryState, view: View) -> Image:
        image = self._sky.copy()
        boxes = projected(self._still, state, view)
        for index, geom in enumerate(self._still.geoms):
            boxes.draw(image, index)
            if geom == self._table and view.fixed:
                self._draw_grid(image, state, view)
        return image

    def _draw_grid(self, image: Image, state: GeometryState, view: View) -> None:
        half_x, half_y, half_z = self._model.geom_size[self._table]
        top = state.geom_xpos[self._table] + (0.0, 0.0, half_z)
        colour = 255.0 * 0.86 * self._model.geom_rgba[self._table, :3]
        for at in np.arange(-0.4, 0.41, _GRID_STEP_M):
            across = np.array([[at, -half_y, 0.0], [at, half_y, 0.0]])
            along = np.array([[-half_x, at, 0.0], [half_x, at, 0.0]])
            for ends in (across, along):
                visible = view.clip(top + ends)
                if len(visible) > 1:
                    line(image, view.project(visible[:2])[0], colour)

    def _draw_shadows(self, image: Image, pixels: Floats, depth: Floats, sizes: list[int]) -> None:
        """Darken the table and what stands on it, where a moving shape is between it and light.

        Args:
            image: Drawn into.
            pixels: Of the shadows of all shapes, one after another, (n, 2) px.
            depth: Of the same, (n,) m.
            sizes: Number of points of each shape's shadow.
        """
        if not sizes:
            return
        ends: Indices = np.cumsum(sizes)
        starts: Indices = ends - sizes
        size = np.array([self._width, self._height])
        low, high = np.minimum.reduceat(pixels, starts), np.maximum.reduceat(pixels, starts)
        seen = (np.minimum.reduceat(depth, starts) > NEAR_M) & (high > 0).all(axis=1)
        seen &= (low < size).all(axis=1)
        if not seen.any():
            return
        left, top = np.maximum(low[seen].min(axis=0).astype(int) - 1, 0)
        right, bottom = np.minimum(high[seen].max(axis=0).astype(int) + 2, size)
        self._mask[top:bottom, left:right] = 0
        corners = fixed_point(pixels)
        for index in np.flatnonzero(seen):
            fill_mask(self._mask, corners[starts[index] : ends[index]])
        under = image[top:bottom, left:right]
        shaded = cv2.convertScaleAbs(under, alpha=_SHADOW)
        cv2.copyTo(shaded, self._mask[top:bottom, left:right], under)
