# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Boxes, round shapes and cylinders as flat-shaded polygons, computed for all of a kind at once.

Each kind has a class that is made once from the model. For each picture it says where its points
are (`place`); the painter projects those of all kinds at once, and `prepare` makes of them what
draws single shapes with OpenCV, in whatever order it is asked to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

import cv2
import mujoco
import numpy as np
from numpy.typing import NDArray

from bc_runtime.sim.camera import NEAR_M, Floats, GeometryState, View

Image = NDArray[np.uint8]
Indices = NDArray[np.intp]
Points = NDArray[np.int32]

# Coordinates go to OpenCV in sixteenths of a pixel; far outside they are cut to fit its integers.
_SHIFT: Final = 4
_FAR_PX: Final = 18_000

_LIGHT: Final = np.array([0.35, -0.45, 0.82]) / np.linalg.norm([0.35, -0.45, 0.82])
_AMBIENT: Final = 0.42

_CORNERS: Final = np.array(
    [[x, y, z] for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)]
)
# Corner indices of the faces -x, +x, -y, +y, -z, +z.
_FACES: Final = np.array(
    [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
)
_RING: Final = 16
_ANGLES: Final = np.arange(_RING) * (2 * np.pi / _RING)
_CIRCLE: Final = np.stack((np.cos(_ANGLES), np.sin(_ANGLES)), axis=-1)
_DISC: Final = np.append(_CIRCLE, np.zeros((_RING, 1)), axis=1)

# A round shape is drawn as nested outlines: size, shift towards the light (both in radii),
# brightness.
_BANDS: Final = np.array([[1.0, 0.0, 0.50], [0.78, 0.22, 0.74], [0.46, 0.44, 1.0]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Shapes of one kind in the world.

    Attributes:
        points: What has to be projected to draw them, (n, j, 3) m.
        outlines: Points whose convex hull is the shape, (n, k, 3) m.
    """

    points: Floats
    outlines: Floats


class PreparedShapes(Protocol):
    """Shapes of one kind, ready to be drawn into one picture."""

    def draw(self, image: Image, index: int) -> None:
        """Draw the shape at `index` of its kind."""


def fill(image: Image, corners: Points, colour: list[float]) -> None:
    """Fill a convex polygon, smoothed at its edge.

    Args:
        image: (height, width, 3) RGB, drawn into.
        corners: Of `fixed_point`, (n, 2).
        colour: RGB from 0 to 255, (3,).
    """
    cv2.fillConvexPoly(image, corners, colour, cv2.LINE_AA, _SHIFT)


def fill_mask(mask: Image, points: Points) -> None:
    """Fill the convex hull of points (n, 2) of `fixed_point` in a mask with 255."""
    cv2.fillConvexPoly(mask, cv2.convexHull(points), 255, cv2.LINE_8, _SHIFT)


def line(image: Image, pixels: Floats, colour: Floats) -> None:
    """Draw a thin line between two points (2, 2) px."""
    start, end = fixed_point(pixels).tolist()
    cv2.line(image, start, end, colour.tolist(), 1, cv2.LINE_AA, _SHIFT)


def fixed_point(pixels: NDArray[np.floating[Any]]) -> Points:
    """Return pixel coordinates (..., 2) in the fixed-point form that the drawing calls take.

    One call for many polygons: for the few numbers of one it takes longer than the drawing.
    """
    # OpenCV puts integer coordinates on pixel centres; ours count from the image's corner.
    inside = np.minimum(np.maximum(pixels, -_FAR_PX), _FAR_PX)
    scaled = (inside - 0.5) * (1 << _SHIFT)
    corners: Points = np.rint(scaled).astype(np.int32)
    return corners


def shadow_on_table(points: Floats) -> Floats:
    """Return where points (..., 3) throw their shadow on the plane z = 0."""
    cast: Floats = points - np.maximum(points[..., 2:], 0.0) * (_LIGHT / _LIGHT[2])
    cast[..., 2] = 0.0
    return cast


def lit(normals: Floats) -> Floats:
    """Return the brightness (...,) of faces with unit normals (..., 3)."""
    return np.asarray(_AMBIENT + (1 - _AMBIENT) * np.maximum(0.0, normals @ _LIGHT))


class Shapes(Protocol):
    """All shapes of one kind among the given ones of a model."""

    geoms: Indices

    def place(self, state: GeometryState) -> Placed:
        """Say where they are."""

    def prepare(
        self, state: GeometryState, view: View, placed: Placed, pixels: Floats, depth: Floats
    ) -> PreparedShapes:
        """Make them ready; pixels (n, j, 2) and depth (n, j) are the projected `placed.points`."""


def projected(shapes: Shapes, state: GeometryState, view: View) -> PreparedShapes:
    """Return the shapes of one kind, ready to be drawn."""
    placed = shapes.place(state)
    return shapes.prepare(state, view, placed, *view.project(placed.points))


class Boxes:
    """All boxes among the given shapes of a model."""

    def __init__(self, model: mujoco.MjModel, geoms: Indices) -> None:
        self.geoms = geoms
        self._corners = _CORNERS * model.geom_size[geoms][:, None]
        self._rgb = 255.0 * model.geom_rgba[geoms, :3]

    def place(self, state: GeometryState) -> Placed:
        """Return the corners of each box."""
        axes = state.geom_xmat[self.geoms].reshape(-1, 3, 3).transpose(0, 2, 1)
        corners = state.geom_xpos[self.geoms][:, None] + self._corners @ axes
        return Placed(points=corners, outlines=corners)

    def prepare(
        self, state: GeometryState, view: View, placed: Placed, pixels: Floats, depth: Floats
    ) -> PreparedBoxes:
        """Shade the faces."""
        corners = placed.outlines
        axes = state.geom_xmat[self.geoms].reshape(-1, 3, 3).transpose(0, 2, 1)
        normals = np.stack((-axes, axes), axis=2).reshape(-1, 6, 3)
        towards = view.position - corners[:, _FACES[:, 0]]
        visible = np.einsum('nfi,nfi->nf', towards, normals) > 0
        return PreparedBoxes(
            corners=corners,
            view=view,
            faces=np.take(fixed_point(pixels), _FACES, axis=1),
            whole=depth[:, _FACES].min(axis=-1) > NEAR_M,
            visible=[np.flatnonzero(faces) for faces in visible],
            colours=(self._rgb[:, None] * lit(normals)[..., None]).tolist(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedBoxes:
    """Projected boxes: corners (n, 8, 3) m, faces (n, 6, 4, 2), those before the camera (n, 6)."""

    corners: Floats
    view: View
    faces: Points
    whole: NDArray[np.bool_]
    visible: list[Indices]
    colours: list[list[list[float]]]

    def draw(self, image: Image, index: int) -> None:
        """Draw the faces of a box that look at the camera."""
        for face in self.visible[index]:
            corners = self.faces[index, face]
            if not self.whole[index, face]:
                polygon = self.view.clip(self.corners[index, _FACES[face]])
                if len(polygon) < 3:
                    continue
                corners = fixed_point(self.view.project(polygon)[0])
            fill(image, corners, self.colours[index][face])


class Capsules:
    """All capsules and spheres among the given shapes of a model."""

    def __init__(self, model: mujoco.MjModel, geoms: Indices) -> None:
        self.geoms = geoms
        self._radius = model.geom_size[geoms, 0]
        long = model.geom_type[geoms] == mujoco.mjtGeom.mjGEOM_CAPSULE
        self._half_length = np.where(long, model.geom_size[geoms, 1], 0.0)
        self._long = np.flatnonzero(self._half_length > 0)
        rgb = 255.0 * model.geom_rgba[geoms, :3]
        self._colours = np.minimum(rgb[:, None] * _BANDS[:, 2:], 255.0).tolist()

    def place(self, state: GeometryState) -> Placed:
        """Return the centres of both ends of each capsule."""
        centre = state.geom_xpos[self.geoms]
        axis = state.geom_xmat[self.geoms].reshape(-1, 3, 3)[:, :, 2]
        reach = axis * self._half_length[:, None]
        ends = np.stack((centre - reach, centre + reach), axis=1)
        flat = self._radius[:, None, None, None] * _DISC
        outlines = (ends[:, :, None] + flat).reshape(len(self.geoms), -1, 3)
        return Placed(points=ends, outlines=outlines)

    def prepare(
        self, state: GeometryState, view: View, placed: Placed, pixels: Floats, depth: Floats
    ) -> PreparedCapsules:
        """Lay the shading bands out."""
        radius = view.focal_px * self._radius[:, None] / np.maximum(depth, 1e-3)
        light = (_LIGHT @ view.rotation)[:2] * (1.0, -1.0)
        # Axes below: shape, band, end, corner of the ring, coordinate.
        shift = radius[:, None, :, None] * _BANDS[:, 1][:, None, None] * light
        size = radius[:, None] * _BANDS[:, 0][:, None]
        rings = (pixels[:, None] + shift)[..., None, :] + size[..., None, None] * _CIRCLE
        return PreparedCapsules(
            bands=self._bands(rings),
            seen=depth.min(axis=1) >= NEAR_M,
            colours=self._colours,
        )

    def _bands(self, rings: Floats) -> list[list[Points]]:
        """Return the outline of each band of each shape; rings are (n, bands, end, corner, 2)."""
        spheres = fixed_point(rings[:, :, 0])
        both = rings.reshape(*rings.shape[:2], -1, 2).astype(np.float32)
        hulls = [cv2.convexHull(ring)[:, 0] for index in self._long for ring in both[index]]
        pieces = _fixed_each(hulls)
        bands = list(map(list, spheres))
        for place, index in enumerate(self._long):
            bands[index] = pieces[place * len(_BANDS) : (place + 1) * len(_BANDS)]
        return bands


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedCapsules:
    """Projected capsules: the outlines of the bands of each; those before the camera, (n,)."""

    bands: list[list[Points]]
    seen: NDArray[np.bool_]
    colours: list[list[list[float]]]

    def draw(self, image: Image, index: int) -> None:
        """Draw a capsule or sphere from its dark rim to its lit core."""
        if self.seen[index]:
            for outline, colour in zip(self.bands[index], self.colours[index], strict=True):
                fill(image, outline, colour)


class Cylinders:
    """All cylinders among the given shapes of a model."""

    def __init__(self, model: mujoco.MjModel, geoms: Indices) -> None:
        self.geoms = geoms
        self._size = model.geom_size[geoms]
        self._rgb = 255.0 * model.geom_rgba[geoms, :3]
        self._side_colours = (0.62 * self._rgb).tolist()

    def place(self, state: GeometryState) -> Placed:
        """Return the rims of both caps of each cylinder."""
        centre = state.geom_xpos[self.geoms]
        rotation = state.geom_xmat[self.geoms].reshape(-1, 3, 3)
        rim = centre[:, None] + (self._size[:, :1, None] * _DISC) @ rotation.transpose(0, 2, 1)
        reach = (self._size[:, 1:2] * rotation[:, :, 2])[:, None]
        rims = np.concatenate((rim - reach, rim + reach), axis=1)
        return Placed(points=rims, outlines=rims)

    def prepare(
        self, state: GeometryState, view: View, placed: Placed, pixels: Floats, depth: Floats
    ) -> PreparedCylinders:
        """Shade the cap that can be seen."""
        centre = state.geom_xpos[self.geoms]
        axis = state.geom_xmat[self.geoms].reshape(-1, 3, 3)[:, :, 2]
        upper = np.einsum('ni,ni->n', view.position - centre, axis) > 0
        normals = np.where(upper[:, None], axis, -axis)
        hulls = [cv2.convexHull(rim)[:, 0] for rim in pixels.astype(np.float32)]
        corners = fixed_point(pixels)
        return PreparedCylinders(
            hulls=_fixed_each(hulls),
            caps=np.where(upper[:, None, None], corners[:, _RING:], corners[:, :_RING]),
            seen=depth.min(axis=1) >= NEAR_M,
            side_colours=self._side_colours,
            cap_colours=(self._rgb * lit(normals)[:, None]).tolist(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedCylinders:
    """Projected cylinders: outlines, the caps that can be seen, those before the camera (n,)."""

    hulls: list[Points]
    caps: Points
    seen: NDArray[np.bool_]
    side_colours: list[list[float]]
    cap_colours: list[list[float]]

    def draw(self, image: Image, index: int) -> None:
        """Draw a cylinder's outline, then the cap that looks at the camera."""
        if self.seen[index]:
            fill(image, self.hulls[index], self.side_colours[index])
            fill(image, self.caps[index], self.cap_colours[index])


def _fixed_each(outlines: list[NDArray[np.float32]]) -> list[Points]:
    """Return `fixed_point` of polygons of different length."""
    if not outlines:
        return []
    corners = fixed_point(np.concatenate(outlines))
    pieces, start = [], 0
    for outline in outlines:
        pieces.append(corners[start : start + len(outline)])
        start += len(outline)
    return pieces
