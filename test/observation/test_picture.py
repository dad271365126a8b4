# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bc_runtime.observation import CompressedImage, ImageError, RawImage, make_picture
from bc_runtime.observation.content import same_picture
from bc_runtime.observation.picture import describe_picture, is_blank
from bc_runtime.spec import ImageInput, ResizeRule

PIXELS = np.arange(256, dtype=np.uint8).reshape(8, 32)


def item(**changes: Any) -> ImageInput:
    values: dict[str, Any] = {
        'name': 'front',
        'shape': (1, 8, 32, 1),
        'camera': 'front',
        'height': 8,
        'width': 32,
        'layout': 'HWC',
        'dtype': 'float32',
        'value_range': (0.0, 1.0),
        'color': 'mono',
        'resize': ResizeRule(mode='none'),
    }
    return ImageInput(**{**values, **changes})


def test_unit_range_equals_the_division_by_255_of_training() -> None:
    picture = make_picture(item(), PIXELS)
    np.testing.assert_array_equal(picture[..., 0], PIXELS.astype(np.float32) / np.float32(255.0))


def test_full_range_is_exact() -> None:
    picture = make_picture(item(value_range=(0.0, 255.0)), PIXELS)
    np.testing.assert_array_equal(picture[..., 0], PIXELS.astype(np.float32))


def test_symmetric_range() -> None:
    picture = make_picture(item(value_range=(-1.0, 1.0)), PIXELS)
    assert picture.min() == -1.0
    assert picture.max() == 1.0
    np.testing.assert_allclose(picture[..., 0], PIXELS / 127.5 - 1.0, atol=1e-7)


@pytest.mark.parametrize('dtype', ['uint8', 'float32'])
@pytest.mark.parametrize('layout', ['HWC', 'CHW'])
def test_layout_dtype_and_flags(layout: str, dtype: str) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (8, 32, 3), dtype=np.uint8)
    picture = make_picture(
        item(color='rgb', layout=layout, dtype=dtype, value_range=(0.0, 255.0)), rgb
    )
    expected = rgb if layout == 'HWC' else np.moveaxis(rgb, 2, 0)
    np.testing.assert_array_equal(picture, expected)
    assert picture.dtype == dtype
    assert picture.flags.c_contiguous
    assert not picture.flags.writeable


def test_depth_is_not_scaled() -> None:
    metres = np.linspace(0, 5, 256, dtype=np.float32).reshape(8, 32)
    picture = make_picture(item(color='depth', value_range=(0.0, 255.0)), metres)
    np.testing.assert_array_equal(picture[..., 0], metres)


@pytest.mark.parametrize(('level', 'blank'), [(0, True), (8, True), (9, False), (255, True)])
@pytest.mark.parametrize(
    ('dtype', 'value_range'),
    [('uint8', (0.0, 255.0)), ('float32', (0.0, 1.0)), ('float32', (1.0, -1.0))],
)
def test_black_and_white_pictures_are_blank(
    level: int, blank: bool, dtype: str, value_range: tuple[float, float]
) -> None:
    spec = item(dtype=dtype, value_range=value_range)
    picture = make_picture(spec, np.full((8, 32), level, dtype=np.uint8))
    assert is_blank(spec, picture) is blank
    assert not is_blank(spec, make_picture(spec, PIXELS))


def test_same_picture_finds_a_difference_anywhere() -> None:
    """Sizes around the probes and the pieces of the comparison, odd tails included."""
    rng = np.random.default_rng(0)
    for size in (1, 7, 8, 63, 64, 65, 129, 1000, 131072, 131073, 300_001):
        data = rng.integers(0, 256, size, dtype=np.uint8)

        def picture(values: np.ndarray) -> CompressedImage:
            return CompressedImage(format='', data=values.tobytes())

        assert same_picture(picture(data), picture(data.copy()))
        assert not same_picture(picture(data), picture(data[:-1]))
        for at in {0, size // 3, size // 2, size - 1}:
            changed = data.copy()
            changed[at] ^= 1
            assert not same_picture(picture(data), picture(changed))


def test_same_picture_compares_the_header_too(raw_image: Callable[..., RawImage]) -> None:
    pixels = np.zeros((4, 6, 3), dtype=np.uint8)
    first = raw_image(pixels)
    assert same_picture(first, raw_image(pixels))
    for changes in ({'encoding': 'bgr8'}, {'height': 2}, {'width': 3}, {'step': 36}):
        assert not same_picture(first, raw_image(pixels, **changes))
    assert not same_picture(first, CompressedImage(format='rgb8', data=first.data))


def test_a_picture_is_described_as_the_policy_takes_it(
    raw_image: Callable[..., RawImage],
) -> None:
    """Regressions pinned: the preflight decoded every picture as rgb, a depth camera's too."""
    gray = raw_image(np.zeros((4, 6, 1), dtype=np.uint8), 'mono8')
    color = raw_image(np.arange(72, dtype=np.uint8).reshape(4, 6, 3))
    depth = raw_image(np.ones((4, 6, 2), dtype=np.uint8), '16UC1')
    rgb = item(color='rgb')
    assert describe_picture(color, [rgb]) == '6x4 rgb8'
    assert describe_picture(color, []) == '6x4 rgb8'
    assert describe_picture(gray, [item()]) == '6x4 mono8'
    assert 'grey, although the policy takes colour' in describe_picture(gray, [rgb])
    assert describe_picture(depth, [item(color='depth', value_range=(0.0, 255.0))]) == '6x4 16UC1'
    with pytest.raises(ImageError, match='16UC1'):
        describe_picture(depth, [rgb])
    with pytest.raises(ImageError, match='depth'):
        describe_picture(color, [rgb, item(color='depth')])
