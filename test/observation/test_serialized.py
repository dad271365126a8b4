# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import struct

import numpy as np
import pytest

from bc_runtime.observation import ImageError, decode_image, read_compressed_image, read_image

rosbags_typesys = pytest.importorskip('rosbags.typesys')
STORE = rosbags_typesys.get_typestore(rosbags_typesys.Stores.LATEST)
RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def header(frame_id: str, sec: int = 12) -> object:
    types = STORE.types
    return types['std_msgs/msg/Header'](
        stamp=types['builtin_interfaces/msg/Time'](sec=sec, nanosec=345), frame_id=frame_id
    )


@pytest.mark.parametrize('little', [True, False])
@pytest.mark.parametrize('frame_id', ['', 'a', 'ab', 'abc', 'camera_optical_frame'])
def test_image_is_read_in_place(frame_id: str, little: bool) -> None:
    """Every length of the texts before the pixels, so that every alignment is met."""
    kind = 'sensor_msgs/msg/Image'
    message = STORE.types[kind](
        header=header(frame_id),
        height=5,
        width=7,
        encoding='rgb8',
        is_bigendian=0,
        step=21,
        data=RGB.reshape(-1),
    )
    data = bytes(STORE.serialize_cdr(message, kind, little_endian=little))
    stamp_ns, image = read_image(data)
    assert stamp_ns == 12_000_000_345
    assert (image.height, image.width, image.encoding, image.step) == (5, 7, 'rgb8', 21)
    np.testing.assert_array_equal(decode_image(image), RGB)
    assert np.shares_memory(np.frombuffer(image.data, np.uint8), np.frombuffer(data, np.uint8))


def test_big_endian_pixels_are_flagged() -> None:
    kind = 'sensor_msgs/msg/Image'
    pixels = np.array([[1, 2, 3]], dtype='>u2')
    message = STORE.types[kind](
        header=header('x'),
        height=1,
        width=3,
        encoding='mono16',
        is_bigendian=1,
        step=6,
        data=pixels.view(np.uint8).reshape(-1),
    )
    _, image = read_image(bytes(STORE.serialize_cdr(message, kind)))
    decoded = decode_image(image, color='mono', dtype='uint16')
    np.testing.assert_array_equal(decoded, [[1, 2, 3]])


def test_compressed_image_is_read_in_place() -> None:
    kind = 'sensor_msgs/msg/CompressedImage'
    message = STORE.types[kind](
        header=header('cam', sec=-1), format='jpeg', data=np.arange(10, dtype=np.uint8)
    )
    stamp_ns, image = read_compressed_image(bytes(STORE.serialize_cdr(message, kind)))
    assert stamp_ns == -1_000_000_000 + 345
    assert image.format == 'jpeg'
    assert bytes(image.data) == bytes(range(10))


def test_every_truncation_is_an_error() -> None:
    kind = 'sensor_msgs/msg/CompressedImage'
    message = STORE.types[kind](header=header('cam'), format='png', data=np.zeros(9, np.uint8))
    data = bytes(STORE.serialize_cdr(message, kind))
    for length in range(len(data)):
        try:
            _, image = read_compressed_image(data[:length])
        except ImageError:
            continue
        assert len(data) - length < 4, 'only padding may be missing'
        assert len(image.data) == 9


def test_absurd_lengths_are_errors() -> None:
    data = b'\x00\x01\x00\x00' + struct.pack('<iI', 0, 0) + struct.pack('<I', 2**32 - 1)
    with pytest.raises(ImageError, match='truncated or of another type'):
        read_image(data)
    with pytest.raises(ImageError, match='expected a CDR message'):
        read_image(b'\x07\x01\x00\x00')
