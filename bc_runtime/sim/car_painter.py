# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What the lane car's camera sees: the road from above, seen through a pinhole.

The road is painted once from above; a picture looks every pixel up in it by the ground point that
the pixel's ray meets (inverse perspective mapping). No GPU, no display, about a millisecond.
"""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from bc_runtime.sim.car_track import LANE_HALF_M, Track

Image = NDArray[np.uint8]

WIDTH: Final = 320
HEIGHT: Final = 240

_RESOLUTION_M: Final = 0.01
_BORDER_M: Final = 1.0
_LINE_M: Final = 0.04
_DASH_M: Final = 0.25
_GRASS: Final = (104, 128, 84)
_ROAD: Final = (88, 88, 92)
_EDGE: Final = (232, 232, 228)
_MIDDLE: Final = (214, 184, 70)
_SKY: Final = (176, 200, 226)
_GRAIN: Final = 5.0

# The camera looks down over the bonnet.
_HEIGHT_M: Final = 0.20
_AHEAD_M: Final = 0.08
_PITCH_RAD: Final = math.radians(24.0)
_FIELD_RAD: Final = math.radians(86.0)
_FARTHEST_M: Final = 5.0


class CarPainter:
    """Draws what the camera of a car on one track sees.

    Args:
        track: The road.
    """

    def __init__(self, track: Track) -> None:
        low = track.points.min(axis=0) - _BORDER_M
        size = np.ceil((track.points.max(axis=0) + _BORDER_M - low) / _RESOLUTION_M).astype(int)
        self._origin = low
        self._ground = _paint(track, low, width=int(size[0]), height=int(size[1]))
        self._rays, self._sky = _ground_points()

    def render(self, pose: tuple[float, float, float]) -> Image:
        """Draw a picture.

        Args:
            pose: Of the car, (x m, y m, heading rad).

        Returns:
            (HEIGHT, WIDTH, 3) uint8 RGB, owned by the caller.
        """
        x, y, heading = pose
        forward, left = self._rays
        east = x + forward * math.cos(heading) - left * math.sin(heading)
        north = y + forward * math.sin(heading) + left * math.cos(heading)
        picture = cv2.remap(
            self._ground,
            ((east - self._origin[0]) / _RESOLUTION_M).astype(np.float32),
            ((north - self._origin[1]) / _RESOLUTION_M).astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=_GRASS,
        )
        picture[self._sky] = _SKY
        return np.asarray(picture, dtype=np.uint8)


def _paint(track: Track, origin: NDArray[np.float64], *, width: int, height: int) -> Image:
    """Return the world from above; row 0 is the smallest y."""
    image = np.empty((height, width, 3), dtype=np.uint8)
    image[:] = _GRASS
    closed = np.concatenate([track.points, track.points[:1]])
    outline = _pixels(closed, origin)

    def stroke(half_m: float, colour: tuple[int, int, int]) -> None:
        thickness = round(2.0 * half_m / _RESOLUTION_M)
        cv2.polylines(image, [outline], True, colour, thickness, cv2.LINE_8)

    stroke(LANE_HALF_M + 2.0 * _LINE_M, _ROAD)
    stroke(LANE_HALF_M + _LINE_M, _EDGE)
    stroke(LANE_HALF_M, _ROAD)
    dashes = (track.distance / _DASH_M).astype(int) % 2 == 0
    for index in np.flatnonzero(dashes):
        start, end = outline[index], outline[index + 1]
        cv2.line(
            image,
            [int(v) for v in start],
            [int(v) for v in end],
            _MIDDLE,
            round(_LINE_M / _RESOLUTION_M / 2),
            cv2.LINE_8,
        )
    grain = np.random.Generator(np.random.PCG64(track.seed)).random(image.shape[:2])
    noisy = image + _GRAIN * (2.0 * grain[..., None] - 1.0)
    return np.clip(noisy, 0.0, 255.0).astype(np.uint8)


def _pixels(points: NDArray[np.float64], origin: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.rint((points - origin) / _RESOLUTION_M).astype(np.int32)


def _ground_points() -> tuple[tuple[NDArray[np.float64], ...], NDArray[np.bool_]]:
    """Return where each pixel's ray meets the ground in the car's frame, and which do not."""
    focal = WIDTH / 2.0 / math.tan(_FIELD_RAD / 2.0)
    across, down = np.meshgrid(
        (np.arange(WIDTH) + 0.5 - WIDTH / 2.0) / focal,
        (np.arange(HEIGHT) + 0.5 - HEIGHT / 2.0) / focal,
    )
    forward = math.cos(_PITCH_RAD) - down * math.sin(_PITCH_RAD)
    falling = math.sin(_PITCH_RAD) + down * math.cos(_PITCH_RAD)
    reach = _HEIGHT_M / np.maximum(falling, 1e-6)
    sky = (falling <= 0.0) | (reach * forward > _FARTHEST_M)
    reach = np.where(sky, 0.0, reach)
    return (_AHEAD_M + reach * forward, -reach * across), sky
