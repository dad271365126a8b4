# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""resize_image: from the camera's picture to the policy's, exactly as the spec says training did.

All sizes are computed in integers, so that no rounding of a scale factor can change them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bc_runtime.observation.errors import ImageError
from bc_runtime.spec.inputs import ResizeRule

_INTERPOLATION = {
    'area': cv2.INTER_AREA,
    'linear': cv2.INTER_LINEAR,
    'nearest': cv2.INTER_NEAREST,
    'cubic': cv2.INTER_CUBIC,
}

_MOST_STRIPS = 8


def resize_image(array: NDArray[Any], rule: ResizeRule, height: int, width: int) -> NDArray[Any]:
    """Apply a resize rule; a picture that already has the size is returned as it is.

    Args:
        array: (h, w) or (h, w, channels); uint8, uint16 or float32.
        rule: Crop, then mode and interpolation.
        height: Height of the result [px].
        width: Width of the result [px].

    * `stretch`: both axes freely.
    * `letterbox`: the largest size with the camera's aspect that fits, the shorter axis rounded
      down, centred (an odd rest goes to the bottom or right), border of `pad_value`.
    * `center_crop`: the smallest size with the camera's aspect that covers, the longer axis
      rounded down, then the centre (an odd rest is cut at the bottom or right).
    * `none`: the (cropped) picture must have the size.

    Raises:
        ImageError: the crop lies outside the picture, or the size differs under `none`.
    """
    if rule.crop is not None:
        array = _crop(array, rule.crop)
    h, w = array.shape[:2]
    if (h, w) == (height, width):
        return array
    if rule.mode == 'stretch':
        return _scale(array, rule, height, width)
    if rule.mode == 'letterbox':
        return _letterbox(array, rule, height, width)
    if rule.mode == 'center_crop':
        return _center_crop(array, rule, height, width)
    if rule.mode == 'none':
        raise ImageError(
            f'the policy takes {width}x{height} pixels unresized, the camera gives {w}x{h}: '
            "set the camera to that size, or export the policy with training's resize rule"
        )
    raise ImageError(
        f'expected the resize mode stretch, letterbox, center_crop or none; got {rule.mode!r}'
    )


def _crop(array: NDArray[Any], crop: tuple[int, int, int, int]) -> NDArray[Any]:
    top, left, height, width = crop
    h, w = array.shape[:2]
    inside = top >= 0 and left >= 0 and height > 0 and width > 0
    if not inside or top + height > h or left + width > w:
        raise ImageError(
            f'the crop of {width}x{height} pixels at left {left}, top {top} lies outside of the '
            f"camera's {w}x{h}: set the camera to the size that training had"
        )
    return array[top : top + height, left : left + width]


def _scale(array: NDArray[Any], rule: ResizeRule, height: int, width: int) -> NDArray[Any]:
    if array.shape[:2] == (height, width):
        return array
    if rule.interpolation not in _INTERPOLATION:
        raise ImageError(
            f'expected one of the interpolations {", ".join(_INTERPOLATION)}; '
            f'got {rule.interpolation!r}'
        )
    code = _INTERPOLATION[rule.interpolation]
    area = rule.interpolation == 'area' and array.dtype == np.uint8 and array.ndim == 3
    if area and _area_agrees_in_float(array.shape, height, width):
        return _area_in_float(array, height, width)
    return np.asarray(cv2.resize(array, (width, height), interpolation=code))


def _area_in_float(array: NDArray[np.uint8], height: int, width: int) -> NDArray[Any]:
    """Resize by area in two thirds of the time.

    OpenCV adds up floats for either dtype, but turns each byte into one again for every pixel that
    it is part of. The floats of a whole picture would be written to memory and read again; those
    of a strip stay in the cache.
    """
    strips = _strips(array.shape[0], height)
    source, target = array.shape[0] // strips, height // strips
    result = np.empty((height, width, *array.shape[2:]), dtype=np.uint8)
    pixels = np.empty((source, *array.shape[1:]), dtype=np.float32)
    for strip in range(strips):
        np.copyto(pixels, array[strip * source : (strip + 1) * source])
        small = cv2.resize(pixels, (width, target), interpolation=cv2.INTER_AREA)
        # Rounds as `resize` does.
        cv2.convertScaleAbs(small, dst=result[strip * target : (strip + 1) * target])
    return result


def _strips(h: int, height: int) -> int:
    """Return how many strips of whole rows, before and after, a picture is cut into."""
    return max(count for count in range(1, _MOST_STRIPS + 1) if h % count == height % count == 0)


@lru_cache(maxsize=64)
def _area_agrees_in_float(shape: tuple[int, ...], height: int, width: int) -> bool:
    """Return whether `_area_in_float` gives OpenCV's own pixels, tried once for each size.

    It does not where an axis grows or both shrink by whole numbers, for which OpenCV has other
    loops, nor need it where a build of OpenCV has others for bytes.
    """
    h, w = shape[:2]
    if h < height or w < width or (h % height == 0 and w % width == 0):
        return False
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    own = cv2.resize(noise, (width, height), interpolation=cv2.INTER_AREA)
    return bool(np.array_equal(_area_in_float(noise, height, width), own))


def _letterbox(array: NDArray[Any], rule: ResizeRule, height: int, width: int) -> NDArray[Any]:
    h, w = array.shape[:2]
    if w * height >= h * width:
        new_h, new_w = max(h * width // w, 1), width
    else:
        new_h, new_w = height, max(w * height // h, 1)
    result = np.full((height, width, *array.shape[2:]), rule.pad_value, dtype=array.dtype)
    top, left = (height - new_h) // 2, (width - new_w) // 2
    result[top : top + new_h, left : left + new_w] = _scale(array, rule, new_h, new_w)
    return result


def _center_crop(array: NDArray[Any], rule: ResizeRule, height: int, width: int) -> NDArray[Any]:
    h, w = array.shape[:2]
    if w * height >= h * width:
        new_h, new_w = height, w * height // h
    else:
        new_h, new_w = h * width // w, width
    top, left = (new_h - height) // 2, (new_w - width) // 2
    scaled = _scale(array, rule, new_h, new_w)
    return scaled[top : top + height, left : left + width]
