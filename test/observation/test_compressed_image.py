# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest

from bc_runtime.observation import CompressedImage, ImageError, UnknownEncoding, decode_image

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def png(array: np.ndarray) -> bytes:
    """Write a PNG by the specification (RFC 2083), without OpenCV."""
    color_type = {1: 0, 3: 2, 4: 6}[1 if array.ndim == 2 else array.shape[2]]
    depth = 8 * array.dtype.itemsize
    big = array.astype(array.dtype.newbyteorder('>'))
    rows = b''.join(b'\0' + row.tobytes() for row in big)

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack('>I', zlib.crc32(kind + data))
        return struct.pack('>I', len(data)) + kind + data + check

    header = struct.pack('>IIBBBBB', array.shape[1], array.shape[0], depth, color_type, 0, 0, 0)
    return (
        b'\x89PNG\r\n\x1a\n'
        + chunk(b'IHDR', header)
        + chunk(b'IDAT', zlib.compress(rows))
        + chunk(b'IEND', b'')
    )


ORDINARY = ['png', 'rgb8; png compressed bgr8', 'bgr8; png compressed bgr8', '', 'rgb8; png']


@pytest.mark.parametrize('format', ORDINARY)
def test_an_ordinary_png_keeps_its_colors(format: str) -> None:
    image = CompressedImage(format=format, data=png(RGB))
    np.testing.assert_array_equal(decode_image(image, color='rgb'), RGB)
    np.testing.assert_array_equal(decode_image(image, color='bgr'), RGB[..., ::-1])


@pytest.mark.parametrize('format', ['rgb8; png compressed rgb8', 'bgr8; jpeg compressed rgb8'])
def test_pixels_that_were_stored_as_if_bgr_are_turned_back(format: str) -> None:
    """image_transport_plugins name the order that they handed to OpenCV, which expects BGR."""
    swapped = png(RGB[..., ::-1])
    image = CompressedImage(format=format, data=swapped)
    np.testing.assert_array_equal(decode_image(image, color='rgb'), RGB)


def test_alpha_is_dropped() -> None:
    rgba = np.concatenate([RGB, np.full((5, 7, 1), 9, np.uint8)], axis=2)
    image = CompressedImage(format='rgba8; png compressed bgra8', data=png(rgba))
    np.testing.assert_array_equal(decode_image(image), RGB)


def test_mono_png() -> None:
    gray = RGB[..., 0]
    image = CompressedImage(format='mono8; png compressed ', data=png(gray))
    np.testing.assert_array_equal(decode_image(image, color='mono'), gray)
    np.testing.assert_array_equal(decode_image(image, color='rgb')[..., 2], gray)


@pytest.mark.parametrize('encoding', ['mono16', '16UC1'])
def test_sixteen_bit_png(encoding: str) -> None:
    values = np.random.default_rng(1).integers(0, 65536, (5, 7), dtype=np.uint16)
    image = CompressedImage(format=f'{encoding}; png compressed ', data=png(values))
    decoded = decode_image(image, color='mono', dtype='uint16')
    np.testing.assert_array_equal(decoded, values)


@pytest.mark.parametrize(
    'format', ['jpeg', 'rgb8; jpeg compressed bgr8', 'bgr8; jpeg compressed bgr8', 'junk']
)
@pytest.mark.parametrize('channel', [0, 1, 2])
def test_jpeg_colors(format: str, channel: int) -> None:
    rgb = np.full((16, 16, 3), 20, dtype=np.uint8)
    rgb[..., channel] = 220
    _, data = cv2.imencode('.jpg', rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    image = CompressedImage(format=format, data=memoryview(data.tobytes()))
    assert np.abs(decode_image(image, color='rgb').astype(int) - rgb).max() < 12


def test_gray_jpeg() -> None:
    gray = np.full((16, 16), 120, dtype=np.uint8)
    _, data = cv2.imencode('.jpg', gray)
    image = CompressedImage(format='mono8; jpeg compressed ', data=data.tobytes())
    assert np.abs(decode_image(image, color='mono').astype(int) - gray).max() < 4


def test_compressed_depth_in_millimetres() -> None:
    depth = np.random.default_rng(2).integers(0, 65536, (5, 7), dtype=np.uint16)
    data = struct.pack('<iff', 0, 0.0, 0.0) + png(depth)
    image = CompressedImage(format='16UC1; compressedDepth png', data=data)
    np.testing.assert_array_equal(decode_image(image, color='depth'), depth)


def test_compressed_depth_in_metres_inverts_the_quantisation() -> None:
    quantization, depth_max = 100.0, 10.0
    a = quantization * (quantization + 1.0)
    b = 1.0 - a / depth_max
    metres = np.float32([[0.5, 1.0, 2.0, 5.0]])
    stored = (a / metres + b).astype(np.uint16)
    stored = np.append(stored, np.uint16([[0]]), axis=1)
    data = struct.pack('<iff', 0, a, b) + png(stored)
    image = CompressedImage(format='32FC1; compressedDepth png', data=data)
    decoded = decode_image(image, color='depth')
    assert decoded.dtype == np.float32
    np.testing.assert_allclose(decoded[0, :4], metres[0], rtol=2e-3)
    assert decoded[0, 4] == 0.0


@pytest.mark.parametrize(
    ('format', 'data'),
    [
        ('16UC1; compressedDepth rvl', b'x' * 40),
        ('mono16; compressedDepth png', bytes(12) + png(RGB[..., 0].astype(np.uint16))),
        ('h264', b'\0\0\0\1gibberish'),
        ('tiff', b'II*\0' + b'x' * 40),
        ('jpeg', b''),
    ],
)
def test_other_codecs_are_named_with_what_is_supported(format: str, data: bytes) -> None:
    with pytest.raises(UnknownEncoding) as caught:
        decode_image(CompressedImage(format=format, data=data), color='depth')
    assert repr(format) in str(caught.value)
    assert 'jpeg compressed bgr8' in str(caught.value)


def test_a_damaged_file_is_an_error_not_a_picture() -> None:
    data = png(RGB)[:30]
    with pytest.raises(ImageError, match='damaged'):
        decode_image(CompressedImage(format='png', data=data))


def test_wide_color_files_are_refused() -> None:
    data = png(RGB.astype(np.uint16))
    with pytest.raises(ImageError, match='8 bits per channel'):
        decode_image(CompressedImage(format='rgb16; png compressed bgr16', data=data))


def test_a_color_jpeg_is_no_depth() -> None:
    with pytest.raises(ImageError, match='depth'):
        decode_image(CompressedImage(format='png', data=png(RGB)), color='depth')


@pytest.mark.parametrize('array', [RGB, RGB[..., 0], RGB.astype(np.uint16)])
def test_compressed_depth_must_hold_one_channel_of_16_bits(array: np.ndarray) -> None:
    data = struct.pack('<iff', 0, 0.0, 0.0) + png(array)
    with pytest.raises(ImageError, match='one channel of 16 bits'):
        decode_image(
            CompressedImage(format='16UC1; compressedDepth png', data=data), color='depth'
        )


def test_compressed_depth_without_a_picture_is_truncated() -> None:
    image = CompressedImage(format='16UC1; compressedDepth png', data=bytes(12))
    with pytest.raises(ImageError, match='12 bytes is truncated'):
        decode_image(image, color='depth')


def test_a_header_that_promises_too_many_pixels_is_a_damaged_picture() -> None:
    size = (60_000).to_bytes(4, 'big')
    chunk = b'IHDR' + size + size + b'\x08\x02\x00\x00\x00'
    png = (
        b'\x89PNG\r\n\x1a\n'
        + (13).to_bytes(4, 'big')
        + chunk
        + zlib.crc32(chunk).to_bytes(4, 'big')
    )
    with pytest.raises(ImageError, match='is damaged'):
        decode_image(CompressedImage(format='png', data=memoryview(png)))


GREY_JPEG = cv2.imencode('.jpg', np.full((48, 64), 81, np.uint8))[1].tobytes()


@pytest.mark.parametrize('color', ['rgb', 'bgr'])
@pytest.mark.parametrize(
    'format',
    [
        'yuv422_yuy2; jpeg compressed mono8',
        'yuv422; jpeg compressed mono8',
        'uyvy; jpeg compressed mono8',
        'nv12; jpeg compressed ',
        'bayer_rggb8; jpeg compressed mono8',
        'bayer_grbg8;jpeg compressed mono8',
        'bayer_rggb16; png compressed mono16',
        'rgb8; jpeg compressed mono8',
        'rgb8; jpeg compressed bgr8',
        'bgra8; png compressed',
        'mono8; jpeg compressed bgr8',
        'yuv422_yuy2',
        'YUV422_YUY2; jpeg',
    ],
)
def test_grey_of_a_color_camera_is_not_a_color_picture(format: str, color: str) -> None:
    """Regressions pinned: image_transport compresses YUYV and Bayer as mono8; R = G = B acted."""
    with pytest.raises(
        ImageError, match=r'is colour, the policy takes colour|colour mosaic'
    ) as no:
        decode_image(CompressedImage(format=format, data=GREY_JPEG), color=color)
    assert repr(format) in str(no.value)
    assert 'raw topic' in str(no.value)


def test_grey_of_a_color_camera_is_a_mono_picture() -> None:
    for original in ('yuv422_yuy2', 'bayer_rggb8', 'rgb8'):
        image = CompressedImage(format=f'{original}; jpeg compressed mono8', data=GREY_JPEG)
        assert np.abs(decode_image(image, color='mono').astype(int) - 81).max() < 3


@pytest.mark.parametrize('color', ['rgb', 'mono'])
@pytest.mark.parametrize('format', ['bayer_rggb8; png compressed ', 'bayer_gbrg8; jpeg'])
def test_a_color_mosaic_is_not_a_picture(format: str, color: str) -> None:
    with pytest.raises(ImageError, match='mosaic bayer_'):
        decode_image(CompressedImage(format=format, data=png(RGB[..., 0])), color=color)


def test_a_mono_camera_still_becomes_color() -> None:
    for format in ('mono8; jpeg compressed mono8', 'mono8; jpeg compressed ', 'jpeg', ''):
        picture = decode_image(CompressedImage(format=format, data=GREY_JPEG), color='rgb')
        assert np.abs(picture.astype(int) - 81).max() < 3


@pytest.mark.parametrize('format', ['16UC1; jpeg compressed mono8', '32FC1; png compressed mono8'])
@pytest.mark.parametrize('color', ['rgb', 'mono', 'depth'])
def test_depth_squeezed_into_8_bits_is_refused(format: str, color: str) -> None:
    for data in (png(RGB[..., 0]), png(RGB)):
        with pytest.raises(ImageError, match='is depth, which 8 bits per pixel cannot hold'):
            decode_image(CompressedImage(format=format, data=data), color=color)


@pytest.mark.parametrize('original', ['mono8', 'rgb8', 'bgr8', 'yuv422', 'mono16', '32FC1'])
def test_sixteen_bits_of_something_else_are_no_depth(original: str) -> None:
    """Regressions pinned: a 16-bit PNG of any camera became millimetres."""
    data = png(RGB[..., 0].astype(np.uint16))
    with pytest.raises(ImageError):
        decode_image(
            CompressedImage(format=f'{original}; png compressed ', data=data), color='depth'
        )


# Damage ---------------------------------------------------------------------------------------


def smooth(height: int = 240, width: int = 320) -> np.ndarray:
    noise = np.random.default_rng(5).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC))


def jpeg(*options: int) -> bytes:
    return bytes(cv2.imencode('.jpg', smooth(), [*options])[1].tobytes())


@pytest.mark.parametrize('lost', [600, 2000, 6000])
@pytest.mark.parametrize('at', [0.2, 0.5, 0.8])
@pytest.mark.parametrize(
    'options',
    [
        (),
        (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        (cv2.IMWRITE_JPEG_RST_INTERVAL, 20),
        (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422),
    ],
)
def test_a_jpeg_that_lost_a_part_is_damaged(
    options: tuple[int, ...], at: float, lost: int
) -> None:
    """Regressions pinned: frames with two thirds of the pixels wrong were observed."""
    data = jpeg(*options)
    cut = round(at * len(data))
    for broken in (
        data[:cut] + data[cut + lost :],
        data[:cut],
        data[:cut] + b'\xff\xd9',
        data[:cut] + bytes(lost) + data[cut + lost :],
        data[:-2],
    ):
        with pytest.raises(ImageError, match='damaged'):
            decode_image(CompressedImage(format='jpeg', data=broken))


@pytest.mark.parametrize('fill', [b'\x00' * 37, b'\xff' * 90, b'\x00' * 500])
def test_fill_bytes_about_the_end_of_a_jpeg_are_no_damage(fill: bytes) -> None:
    """UVC cameras fill a frame up, before the end marker or behind it."""
    data = jpeg()
    expected = decode_image(CompressedImage(format='jpeg', data=data))
    for filled in (data[:-2] + fill + data[-2:], data + fill):
        picture = decode_image(CompressedImage(format='jpeg', data=filled))
        np.testing.assert_array_equal(picture, expected)


def test_motion_jpeg_without_huffman_tables() -> None:
    """UVC cameras leave out the standard tables."""
    data = jpeg()
    at = data.find(b'\xff\xc4')
    bare = data
    while at >= 0:
        end = at + 2 + int.from_bytes(bare[at + 2 : at + 4], 'big')
        bare = bare[:at] + bare[end:]
        at = bare.find(b'\xff\xc4', 0, bare.find(b'\xff\xda'))
    assert len(bare) < len(data)
    picture = decode_image(CompressedImage(format='jpeg', data=bare))
    np.testing.assert_array_equal(picture, decode_image(CompressedImage(format='jpeg', data=data)))


@pytest.mark.parametrize(
    'factor',
    [
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ],
)
def test_jpeg_pixels_are_those_of_opencv(factor: int) -> None:
    """Policies were trained on OpenCV's pixels."""
    data = jpeg(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor)
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    picture = decode_image(CompressedImage(format='jpeg', data=memoryview(data)), color='bgr')
    np.testing.assert_array_equal(picture, expected)


@pytest.mark.parametrize('at', [0.1, 0.4, 0.9])
def test_a_png_that_is_not_whole_is_damaged(at: float) -> None:
    """Regressions pinned: OpenCV returns what it could read of a damaged PNG."""
    data = png(smooth())
    cut = round(at * len(data))
    flipped = bytearray(data)
    flipped[cut] ^= 16
    for broken in (data[:cut], data[:cut] + data[cut + 9 :], bytes(flipped), data[:-12]):
        with pytest.raises(ImageError, match='damaged'):
            decode_image(CompressedImage(format='png', data=broken))


def test_a_damaged_depth_png_is_no_depth() -> None:
    depth = png(np.random.default_rng(2).integers(0, 65536, (40, 50), dtype=np.uint16))
    for broken in (depth[:2000], depth[:2000] + b'\0' + depth[2001:]):
        with pytest.raises(ImageError, match='damaged'):
            decode_image(
                CompressedImage(format='16UC1; compressedDepth png', data=bytes(12) + broken),
                color='depth',
            )
