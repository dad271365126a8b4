# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The messages in which simulated cameras send what was drawn."""

from __future__ import annotations

import sys

from builtin_interfaces.msg import Time
import cv2
import numpy as np
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, Image

from bc_runtime.ros import convert
from bc_runtime.sim.shapes import Image as Picture

JPEG_QUALITY = 90


def raw_message(picture: Picture, *, camera: str, stamp: Time) -> bytes:
    """Return a picture, shape (height, width, 3) RGB, as a serialized `sensor_msgs/msg/Image`.

    The pixels are the last member of the message: written behind the rest of it they are copied
    once, where the way through a message object copies them three times.
    """
    height, width, _ = picture.shape
    msg = Image(height=height, width=width, encoding='rgb8', step=3 * width)
    msg.header.stamp = stamp
    msg.header.frame_id = f'{camera}_optical_frame'
    empty: bytes = serialize_message(msg)
    pixels = np.ascontiguousarray(picture).data.cast('B')
    return b''.join((empty[:-4], pixels.nbytes.to_bytes(4, sys.byteorder), pixels))


def jpeg_message(picture: Picture, *, camera: str, stamp: Time) -> CompressedImage:
    """Return a picture, shape (height, width, 3) RGB, as image_transport compresses it."""
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    _, jpeg = cv2.imencode('.jpg', bgr, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
    msg = CompressedImage(format='rgb8; jpeg compressed bgr8', data=convert.to_bytes(jpeg))
    msg.header.stamp = stamp
    msg.header.frame_id = f'{camera}_optical_frame'
    return msg
