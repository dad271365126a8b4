# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What a simulated camera writes is what the middleware would have written."""

from __future__ import annotations

from builtin_interfaces.msg import Time
import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image

from bc_runtime.ros.sim_pictures import raw_message


@pytest.mark.parametrize('shape', [(480, 640, 3), (1, 1, 3), (7, 5, 3)])
@pytest.mark.parametrize('camera', ['front', 'a', ''])
def test_a_picture_is_serialized_as_by_the_middleware(shape: tuple[int, ...], camera: str) -> None:
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    stamp = Time(sec=1_700_000_000, nanosec=123_456_789)
    written = raw_message(picture, camera=camera, stamp=stamp)
    msg = deserialize_message(written, Image)
    assert (msg.height, msg.width, msg.step) == (shape[0], shape[1], 3 * shape[1])
    assert (msg.encoding, msg.header.stamp, msg.is_bigendian) == ('rgb8', stamp, 0)
    assert msg.header.frame_id == f'{camera}_optical_frame'
    assert np.array_equal(np.frombuffer(msg.data, np.uint8).reshape(shape), picture)
    # Byte by byte it cannot be compared: what fills gaps before a number is left to chance.
    assert len(serialize_message(msg)) == len(written)


def test_a_picture_that_is_a_view_is_written_row_by_row() -> None:
    whole = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    part = whole[1:7, 2:10]
    msg = deserialize_message(raw_message(part, camera='front', stamp=Time()), Image)
    assert np.array_equal(np.frombuffer(msg.data, np.uint8).reshape(part.shape), part)
