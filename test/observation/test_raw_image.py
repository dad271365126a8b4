# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Every encoding against arrays that are built pixel by pixel here, not by OpenCV."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from bc_runtime.observation import (
    SUPPORTED_ENCODINGS,
    ImageError,
    RawImage,
    UnknownEncoding,
    decode_image,
)

H, W = 6, 8
RawMaker = Callable[..., RawImage]


def colors(seed: int = 0, height: int = H, width: int = W) -> np.ndarray:
    """Return random RGB pixels."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def padded(array: np.ndarray, encoding: str, padding: int, *, last_row: bool = True) -> RawImage:
    """Return the array as a message whose rows end in garbage."""
    rows = np.ascontiguousarray(array).reshape(array.shape[0], -1).view(np.uint8)
    garbage = np.full((rows.shape[0], padding), 0xAB, dtype=np.uint8)
    data = np.concatenate([rows, garbage], axis=1).tobytes()
    if not last_row:
        data = data[: len(data) - padding]
    return RawImage(
        height=array.shape[0],
        width=array.shape[1],
        encoding=encoding,
        step=rows.shape[1] + padding,
        is_bigendian=False,
        data=data,
    )


def reordered(rgb: np.ndarray, encoding: str) -> np.ndarray:
    """Return RGB pixels as the encoding stores them."""
    alpha = np.full((*rgb.shape[:2], 1), 77, dtype=np.uint8)
    r, g, b = rgb[..., 0:1], rgb[..., 1:2], rgb[..., 2:3]
    channels = {
        'rgb8': (r, g, b),
        'bgr8': (b, g, r),
        '8UC3': (b, g, r),
        'rgba8': (r, g, b, alpha),
        'bgra8': (b, g, r, alpha),
    }[encoding]
    return np.concatenate(channels, axis=2)


@pytest.mark.parametrize('padding', [0, 5])
@pytest.mark.parametrize('encoding', ['rgb8', 'bgr8', '8UC3', 'rgba8', 'bgra8'])
def test_color_order_is_exact(encoding: str, padding: int) -> None:
    rgb = colors()
    image = padded(reordered(rgb, encoding), encoding, padding)
    np.testing.assert_array_equal(decode_image(image, color='rgb'), rgb)
    np.testing.assert_array_equal(decode_image(image, color='bgr'), rgb[..., ::-1])


@pytest.mark.parametrize('encoding', ['rgb8', 'bgr8', 'rgba8', 'bgra8', '8UC3'])
def test_mono_of_color_has_the_weights_of_bt601(encoding: str) -> None:
    rgb = colors()
    mono = decode_image(padded(reordered(rgb, encoding), encoding, 3), color='mono')
    assert mono.shape == (H, W)
    expected = rgb.astype(np.float64) @ [0.299, 0.587, 0.114]
    assert np.abs(mono - expected).max() <= 1.0


@pytest.mark.parametrize('padding', [0, 7])
@pytest.mark.parametrize('encoding', ['mono8', '8UC1'])
def test_mono(encoding: str, padding: int) -> None:
    gray = colors()[..., 0]
    image = padded(gray, encoding, padding)
    np.testing.assert_array_equal(decode_image(image, color='mono'), gray)
    np.testing.assert_array_equal(decode_image(image, color='rgb'), np.stack([gray] * 3, axis=2))


def test_the_padding_of_the_last_row_may_be_missing() -> None:
    rgb = colors()
    image = padded(rgb, 'rgb8', 9, last_row=False)
    np.testing.assert_array_equal(decode_image(image), rgb)


def test_contiguous_and_padded_rgb8_are_views_of_the_message() -> None:
    for padding in (0, 6):
        image = padded(colors(), 'rgb8', padding)
        decoded = decode_image(image, color='rgb')
        assert np.shares_memory(decoded, np.frombuffer(image.data, np.uint8))
        assert not decoded.flags.writeable


@pytest.mark.parametrize('container', [bytes, bytearray, memoryview])
def test_any_buffer_is_taken(container: Callable[[bytes], Any], raw_image: RawMaker) -> None:
    rgb = colors()
    image = raw_image(rgb, data=container(rgb.tobytes()))
    np.testing.assert_array_equal(decode_image(image), rgb)


def wide(array: np.ndarray, encoding: str, *, big: bool, padding: int = 0) -> RawImage:
    stored = array.astype(array.dtype.newbyteorder('>' if big else '<'))
    image = padded(stored, encoding, padding)
    return RawImage(
        height=image.height,
        width=image.width,
        encoding=encoding,
        step=image.step,
        is_bigendian=big,
        data=image.data,
    )


@pytest.mark.parametrize('padding', [0, 2, 3])
@pytest.mark.parametrize('big', [False, True])
@pytest.mark.parametrize(
    ('encoding', 'color', 'dtype'),
    [('mono16', 'mono', 'uint16'), ('16UC1', 'mono', 'uint16'), ('16UC1', 'depth', 'uint16')],
)
def test_sixteen_bits_in_either_byte_order(
    encoding: str, color: str, dtype: str, big: bool, padding: int
) -> None:
    values = np.random.default_rng(1).integers(0, 65536, (H, W), dtype=np.uint16)
    decoded = decode_image(
        wide(values, encoding, big=big, padding=padding), color=color, dtype=dtype
    )
    assert decoded.dtype == np.uint16
    np.testing.assert_array_equal(decoded, values)


def test_mono16_to_eight_bits_rounds_all_values_to_nearest() -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    decoded = decode_image(wide(values, 'mono16', big=False), color='mono')
    expected = [round(v * 255 / 65535) for v in range(65536)]
    np.testing.assert_array_equal(decoded.ravel(), expected)


@pytest.mark.parametrize('big', [False, True])
def test_depth_in_metres(big: bool) -> None:
    metres = np.linspace(0.1, 9.0, H * W, dtype=np.float32).reshape(H, W)
    metres[0, :3] = [np.nan, np.inf, -np.inf]
    decoded = decode_image(wide(metres, '32FC1', big=big, padding=4), color='depth')
    assert decoded.dtype == np.float32
    np.testing.assert_array_equal(decoded[0, :3], 0.0)
    np.testing.assert_array_equal(decoded[1:], metres[1:])


def test_depth_units_are_converted_between_millimetres_and_metres() -> None:
    millimetres = np.array([[0, 1, 1234, 65535]], dtype=np.uint16)
    metres = decode_image(wide(millimetres, '16UC1', big=False), color='depth', dtype='float32')
    np.testing.assert_array_equal(metres, np.float32([[0.0, 0.001, 1.234, 65.535]]))
    far = np.float32([[np.nan, 0.0014, 1.2346, 70.0]])
    back = decode_image(wide(far, '32FC1', big=False), color='depth', dtype='uint16')
    np.testing.assert_array_equal(back, [[0, 1, 1235, 65535]])


def bt601(y: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return RGB of limited-range YCbCr (ITU-R BT.601)."""
    luma, cb, cr = 1.164383 * (y - 16.0), u - 128.0, v - 128.0
    rgb = np.stack(
        [luma + 1.596027 * cr, luma - 0.391762 * cb - 0.812968 * cr, luma + 2.017232 * cb], axis=-1
    )
    return np.clip(rgb, 0, 255)


def yuv_planes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    y = rng.integers(16, 236, (H, W), dtype=np.uint8)
    u = rng.integers(60, 200, (H, W // 2), dtype=np.uint8)
    v = rng.integers(60, 200, (H, W // 2), dtype=np.uint8)
    return y, u, v


def packed(order: str) -> np.ndarray:
    y, u, v = yuv_planes()
    slots = {'u': u, 'v': v}
    out = np.zeros((H, W // 2, 4), dtype=np.uint8)
    luma = iter((y[:, 0::2], y[:, 1::2]))
    for i, letter in enumerate(order):
        out[:, :, i] = next(luma) if letter == 'y' else slots[letter]
    return out.reshape(H, W, 2)


@pytest.mark.parametrize('padding', [0, 6])
@pytest.mark.parametrize(
    ('encoding', 'order'),
    [('uyvy', 'uyvy'), ('yuv422', 'uyvy'), ('yuyv', 'yuyv'), ('yuv422_yuy2', 'yuyv')],
)
def test_yuv422_in_both_orders_and_spellings(encoding: str, order: str, padding: int) -> None:
    y, u, v = yuv_planes()
    image = padded(packed(order), encoding, padding)
    expected = bt601(y, np.repeat(u, 2, axis=1), np.repeat(v, 2, axis=1))
    assert np.abs(decode_image(image, color='rgb') - expected).max() <= 2.0
    assert np.abs(decode_image(image, color='bgr')[..., ::-1] - expected).max() <= 2.0
    np.testing.assert_array_equal(decode_image(image, color='mono'), y)


@pytest.mark.parametrize('padding', [0, 4])
@pytest.mark.parametrize('encoding', ['nv12', 'nv21'])
def test_nv12_and_nv21(encoding: str, padding: int) -> None:
    y, u, v = yuv_planes()
    u, v = u[: H // 2], v[: H // 2]
    pair = (u, v) if encoding == 'nv12' else (v, u)
    chroma = np.stack(pair, axis=2).reshape(H // 2, W)
    planes = padded(np.concatenate([y, chroma]), encoding, padding)
    image = RawImage(
        height=H,
        width=W,
        encoding=encoding,
        step=planes.step,
        is_bigendian=False,
        data=planes.data,
    )
    expected = bt601(y, *(np.repeat(np.repeat(each, 2, axis=0), 2, axis=1) for each in (u, v)))
    assert np.abs(decode_image(image, color='rgb') - expected).max() <= 2.0
    np.testing.assert_array_equal(decode_image(image, color='mono'), y)


@pytest.mark.parametrize('padding', [0, 3])
@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
def test_bayer_of_a_plain_color_is_that_color(pattern: str, padding: int) -> None:
    value = {'r': 200, 'g': 100, 'b': 50}
    mosaic = np.zeros((H, W), dtype=np.uint8)
    for i, letter in enumerate(pattern):
        mosaic[i // 2 :: 2, i % 2 :: 2] = value[letter]
    decoded = decode_image(padded(mosaic, f'bayer_{pattern}8', padding), color='rgb')
    np.testing.assert_array_equal(decoded, np.broadcast_to([200, 100, 50], (H, W, 3)))


def test_every_listed_encoding_has_a_test_here() -> None:
    source = Path(__file__).read_text(encoding='utf-8')
    for encoding in SUPPORTED_ENCODINGS:
        name = (
            encoding.removeprefix('bayer_').removesuffix('8') if 'bayer' in encoding else encoding
        )
        assert f"'{name}'" in source, encoding


@pytest.mark.parametrize('encoding', ['rgb16', 'nv24', '32FC3', 'h264', ''])
def test_unknown_encoding_names_it_the_list_and_the_way_out(
    encoding: str, raw_image: RawMaker
) -> None:
    with pytest.raises(UnknownEncoding) as caught:
        decode_image(raw_image(colors(), encoding))
    text = str(caught.value)
    assert caught.value.encoding == encoding
    assert repr(encoding) in text
    assert 'bayer_rggb8' in text
    assert 'cv_bridge' in text


@pytest.mark.parametrize(
    ('encoding', 'channels', 'color', 'dtype'),
    [
        ('rgb8', 3, 'depth', None),
        ('mono8', 1, 'depth', None),
        ('mono8', 1, 'mono', 'uint16'),
        ('rgb8', 3, 'rgb', 'uint16'),
        ('rgb8', 3, 'hsv', None),
    ],
)
def test_impossible_conversions_are_refused(
    encoding: str, channels: int, color: str, dtype: str | None, raw_image: RawMaker
) -> None:
    array = colors()[..., :channels]
    with pytest.raises(ImageError):
        decode_image(raw_image(array, encoding), color=color, dtype=dtype)


@pytest.mark.parametrize('color', ['rgb', 'bgr', 'mono'])
def test_depth_does_not_become_a_picture(color: str) -> None:
    metres = np.ones((H, W), dtype=np.float32)
    millimetres = np.ones((H, W), dtype=np.uint16)
    for image in (wide(metres, '32FC1', big=False), wide(millimetres, '16UC1', big=False)):
        with pytest.raises(ImageError, match=image.encoding):
            decode_image(image, color=color)


def test_mono16_is_not_depth() -> None:
    with pytest.raises(ImageError, match='mono16'):
        decode_image(wide(np.ones((H, W), np.uint16), 'mono16', big=False), color='depth')


def test_a_truncated_message_says_what_was_expected(raw_image: RawMaker) -> None:
    rgb = colors()
    with pytest.raises(ImageError, match=r'at least 144 bytes, but the message has 143'):
        decode_image(raw_image(rgb, data=rgb.tobytes()[:-1]))


def test_a_step_shorter_than_a_row_is_refused(raw_image: RawMaker) -> None:
    with pytest.raises(ImageError, match='step says 23'):
        decode_image(raw_image(colors(), step=23))


@pytest.mark.parametrize('encoding', ['uyvy', 'nv12'])
def test_odd_sizes_are_refused_where_pixels_share_color(
    encoding: str, raw_image: RawMaker
) -> None:
    array = np.zeros((6, 7, 2), dtype=np.uint8)
    with pytest.raises(ImageError, match='even'):
        decode_image(raw_image(array, encoding))


def test_an_empty_picture_is_refused(raw_image: RawMaker) -> None:
    with pytest.raises(ImageError, match='0x6'):
        decode_image(raw_image(colors(), width=0))


@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 5),
    st.sampled_from(['rgb8', 'bgr8', 'rgba8', 'bgra8']),
    st.sampled_from(['rgb', 'bgr']),
)
def test_property_color_survives_any_size_and_padding(
    height: int, width: int, padding: int, encoding: str, color: str
) -> None:
    rgb = colors(height * 10 + width, height, width)
    image = padded(reordered(rgb, encoding), encoding, padding)
    expected = rgb if color == 'rgb' else rgb[..., ::-1]
    np.testing.assert_array_equal(decode_image(image, color=color), expected)
