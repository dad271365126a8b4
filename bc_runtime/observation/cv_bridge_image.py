# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""decode_by_cv_bridge: encodings that are not decoded here, where cv_bridge is installed.

cv_bridge is a part of ROS distributions and of no package index; it is loaded with the first
picture that needs it. It reads the fields of the message by their names, which are those of
`RawImage`.
"""

from __future__ import annotations

from functools import lru_cache
import importlib
from typing import Any

import numpy as np

from bc_runtime.observation.errors import UnknownEncoding
from bc_runtime.observation.image_types import RawImage
from bc_runtime.observation.pixels import Pixels

#: (colour, dtype) -> what cv_bridge is asked for, colour order and dtype of its answer.
_WANTED: dict[tuple[str, str], tuple[str, str, type[np.generic]]] = {
    ('rgb', 'uint8'): ('rgb8', 'rgb', np.uint8),
    ('bgr', 'uint8'): ('bgr8', 'bgr', np.uint8),
    ('mono', 'uint8'): ('mono8', 'gray', np.uint8),
    ('mono', 'uint16'): ('mono16', 'gray16', np.uint16),
}


def decode_by_cv_bridge(image: RawImage, color: str, dtype: str, *, own: str) -> Pixels:
    """Convert a picture by cv_bridge's `imgmsg_to_cv2`.

    Args:
        image: Of an encoding that is not decoded here.
        color: rgb, bgr, mono or depth.
        dtype: uint8 or uint16.
        own: What is decoded here, for the error.

    Raises:
        UnknownEncoding: cv_bridge is not there, refuses the encoding, or cannot make this of it.
    """
    wanted = _WANTED.get((color, dtype))
    if wanted is None:
        raise _unknown(image, own, f'cv_bridge makes no {color} pictures of {dtype}')
    target, order, element = wanted
    try:
        array = np.asarray(_bridge().imgmsg_to_cv2(image, desired_encoding=target))
    except ImportError as error:
        raise _unknown(
            image,
            own,
            f'cv_bridge knows more, but cannot be loaded ({error}): install '
            'ros-<distribution>-cv-bridge',
        ) from None
    # Its errors derive from TypeError, those of its C++ part from RuntimeError and others.
    except Exception as error:  # noqa: BLE001
        raise _unknown(image, own, f'cv_bridge refuses this one: {error}') from None
    channels = () if color == 'mono' else (3,)
    if array.shape != (image.height, image.width, *channels) or array.dtype != element:
        raise _unknown(
            image, own, f'cv_bridge gave {list(array.shape)} of {array.dtype} as {target}'
        )
    return Pixels(order=order, array=array, encoding=image.encoding)


@lru_cache(maxsize=1)
def _bridge() -> Any:
    return importlib.import_module('cv_bridge').CvBridge()


def _unknown(image: RawImage, own: str, why: str) -> UnknownEncoding:
    return UnknownEncoding(
        f'the encoding {image.encoding!r} is not decoded here; supported: {own}. '
        f'Of others, {why}. Set the camera driver to one of '
        'them, or convert in a node before this one',
        encoding=image.encoding,
    )
