# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Boxes, round shapes and cylinders as flat-shaded polygons, computed for all of a kind at once.

Each kind has a class that is made once from the model and `prepare`d for each picture; what comes
back draws single shapes with OpenCV, in whatever order it is asked to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import cv2
import mujoco
import numpy as np
from numpy.typing import NDArray

from bc_runtime.sim.camera import NEAR_M, Floats, GeometryState, View

Image = NDArray[np.uint8]
Indices = NDArray[np.intp]

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


class PreparedShapes(Protocol):
    """Shapes of one kind, ready to be drawn into one picture."""

    @property
    def outlines(self) -> Floats:
        """Points whose convex hull is the shape, (n, points, 3) m in the world."""

    def draw(self, image: Image, index: int) -> None:
        """Draw the shape at `index` of its kind."""


def fill(image: Image, pixels: Floats, colour: Floats) -> None:
    """Fill a convex polygon, smoothed at its edge.

    Args:
        image: (height, width, 3) RGB, drawn into.
        pixels: Corners, (n, 2) px.
        colour: RGB from 0 to 255, (3,).
    """
    corners = fixed_point(pixels)
    cv2.fillConvexPoly(image, corners, colour.tolist(), cv2.LINE_AA, _SHIFT)


def fill_mask(mask: Image, pixels: Floats) -> None:
    """Fill the convex hull of points (n, 2) px in a single-channel mask with 255."""
    hull = cv2.convexHull(fixed_point(pixels))
    cv2.fillConvexPoly(mask, hull, 255, cv2.LINE_8, _SHIFT)


def line(image: Image, pixels: Floats, colour: Floats) -> None:
    """Draw a thin line between two points (2, 2) px."""
    start, end = fixed_point(pixels).tolist()
    cv2.line(image, start, end, colour.tolist(), 1, cv2.LINE_AA, _SHIFT)


def fixed_point(pixels: Floats) -> NDArray[np.int32]:
    """Return pixel coordinates in the fixed-point form that the drawing calls take."""
    # OpenCV puts integer coordinates on pixel centres; ours count from the image's corner.
    # `np.clip` takes longer than the drawing itself for so few numbers.
    inside = np.minimum(np.maximum(pixels, -_FAR_PX), _FAR_PX)
    scaled = (inside - 0.5) * (1 << _SHIFT)
    return np.rint(scaled).astype(np.int32)


def shadow_on_table(points: Floats) -> Floats:
    """Return where points (..., 3) throw their shadow on the plane z = 0."""
    cast: Floats = points - np.maximum(points[..., 2:], 0.0) * (_LIGHT / _LIGHT[2])
    cast[..., 2] = 0.0
    return cast


def lit(normals: Floats) -> Floats:
    """Return the brightness (...,) of faces with unit normals (..., 3)."""
    return np.asarray(_AMBIENT + (1 - _AMBIENT) * np.maximum(0.0, normals @ _LIGHT))


class Boxes:
    """All boxes among the given shapes of a model."""

    def __init__(self, model: mujoco.MjModel, geoms: Indices) -> None:
        self.geoms = geoms
        self._corners = _CORNERS * model.geom_size[geoms][:, None]
        self._rgb = 255.0 * model.geom_rgba[geoms, :3]

    def prepare(self, state: GeometryState, view: View) -> PreparedBoxes:
        """Project the boxes and shade their faces."""
        rotation = state.geom_xmat[self.geoms].reshape(-1, 3, 3)
        centre = state.geom_xpos[self.geoms][:, None]
        corners = centre + self._corners @ rotation.transpose(0, 2, 1)
        axes = rotation.transpose(0, 2, 1)
        normals = np.stack((-axes, axes), axis=2).reshape(-1, 6, 3)
        towards = view.position - corners[:, _FACES[:, 0]]
        pixels, depth = view.project(corners)
        return PreparedBoxes(
            outlines=corners,
            view=view,
            pixels=pixels,
            depth=depth,
            visible=np.einsum('nfi,nfi->nf', towards, normals) > 0,
            colours=self._rgb[:, None] * lit(normals)[..., None],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedBoxes:
    """Projected boxes: corners (n, 8), faces (n, 6)."""

    outlines: Floats
    view: View
    pixels: Floats
    depth: Floats
    visible: NDArray[np.bool_]
    colours: Floats

    def draw(self, image: Image, index: int) -> None:
        """Draw the faces of a box that look at the camera."""
        for face in np.flatnonzero(self.visible[index]):
            corners = _FACES[face]
            if self.depth[index, corners].min() > NEAR_M:
                pixels = self.pixels[index, corners]
            else:
                polygon = self.view.clip(self.outlines[index, corners])
                if len(polygon) < 3:
                    continue
                pixels = self.view.project(polygon)[0]
            fill(image, pixels, self.colours[index, face])


class Capsules:
    """All capsules and spheres among the given shapes of a model."""

    def __init__(self, model: mujoco.MjModel, geoms: Indices) -> None:
        self.geoms = geoms
        self._radius = model.geom_size[geoms, 0]
        long = model.geom_type[geoms] == mujoco.mjtGeom.mjGEOM_CAPSULE
        self._half_length = np.where(long, model.geom_size[geoms, 1], 0.0)
        rgb = 255.0 * model.geom_rgba[geoms, :3]
        self._colours = np.minimum(rgb[:, None] * _BANDS[:, 2:], 255.0)

    def prepare(self, state: GeometryState, view: View) -> PreparedCapsules:
        """Project the end spheres and lay the shading bands out."""
        centre = state.geom_xpos[self.geoms]
        axis = state.geom_xmat[self.geoms].reshape(-1, 3, 3)[:, :, 2]
        reach = axis * self._half_length[:, None]
        ends = np.stack((centre - reach, centre + reach), axis=1)
        pixels, depth = view.project(ends)
        radius = view.focal_px * self._radius[:, None] / np.maximum(depth, 1e-3)
        light = (_LIGHT @ view.rotation)[:2] * (1.0, -1.0)
        # Axes below: shape, band, end, corner of the ring, coordinate.
        shift = radius[:, None, :, None] * _BANDS[:, 1][:, None, None] * light
        size = radius[:, None] * _BANDS[:, 0][:, None]
        rings = (pixels[:, None] + shift)[..., None, :] + size[..., None, None] * _CIRCLE
        flat = self._radius[:, None, None, None] * _DISC
        return PreparedCapsules(
            outlines=(ends[:, :, None] + flat).reshape(len(self.geoms), -1, 3),
            rings=rings.reshape(len(self.geoms), len(_BANDS), -1, 2),
            depth=depth,
            long=self._half_length > 0,
            colours=self._colours,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedCapsules:
    """Projected capsules: per band the rings around both ends, (n, bands, points, 2) px."""

    outlines: Floats
    rings: Floats
    depth: Floats
    long: NDArray[np.bool_]
    colours: Floats

    def draw(self, image: Image, index: int) -> None:
        """Draw a capsule or sphere from its dark rim to its lit core."""
        if self.depth[index].min() < NEAR_M:
            return
        for ring, colour in zip(self.rings[index], self.colours[index], strict=True):
            if self.long[index]:
                ring = cv2.convexHull(ring.astype(np.float32))[:, 0]
            else:
                ring = ring[:_RING]
            fill(image, ring, colour)


class Cylinders:
    """All cylinders among the given shapes of a model."""

    def __init__(self, model: mujoco.MjModel, geoms: Indices) -> None:
        self.geoms = geoms
        self._size = model.geom_size[geoms]
        self._rgb = 255.0 * model.geom_rgba[geoms, :3]

    def prepare(self, state: GeometryState, view: View) -> PreparedCylinders:
        """Project the rims of both caps and shade the cap that can be seen."""
        centre = state.geom_xpos[self.geoms]
        rotation = state.geom_xmat[self.geoms].reshape(-1, 3, 3)
        rim = centre[:, None] + (self._size[:, :1, None] * _DISC) @ rotation.transpose(0, 2, 1)
        axis = rotation[:, :, 2]
        reach = (self._size[:, 1:2] * axis)[:, None]
        rims = np.concatenate((rim - reach, rim + reach), axis=1)
        pixels, depth = view.project(rims)
        upper = np.einsum('ni,ni->n', view.position - centre, axis) > 0
        normals = np.where(upper[:, None], axis, -axis)
        return PreparedCylinders(
            outlines=rims,
            pixels=pixels,
            depth=depth,
            upper=upper,
            side_colours=0.62 * self._rgb,
            cap_colours=self._rgb * lit(normals)[:, None],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedCylinders:
    """Projected cylinders: the lower then the upper rim, (n, 2 * ring, 2) px."""

    outlines: Floats
    pixels: Floats
    depth: Floats
    upper: NDArray[np.bool_]
    side_colours: Floats
    cap_colours: Floats

    def draw(self, image: Image, index: int) -> None:
        """Draw a cylinder's outline, then the cap that looks at the camera."""
        if self.depth[index].min() < NEAR_M:
            return
        pixels = self.pixels[index]
        hull = cv2.convexHull(pixels.astype(np.float32))[:, 0]
        fill(image, hull, self.side_colours[index])
        cap = pixels[_RING:] if self.upper[index] else pixels[:_RING]
        fill(image, cap, self.cap_colours[index])
