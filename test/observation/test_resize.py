# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from bc_runtime.observation import ImageError, resize_image
from bc_runtime.spec import ResizeRule

sizes = st.integers(1, 60)
modes = st.sampled_from(['stretch', 'letterbox', 'center_crop'])
kinds = st.sampled_from(['area', 'linear', 'nearest', 'cubic'])


def rule(mode: str = 'stretch', interpolation: str = 'area', **changes: object) -> ResizeRule:
    return ResizeRule(mode=mode, interpolation=interpolation, **changes)


def noise(height: int, width: int, dtype: type = np.uint8) -> np.ndarray:
    return (
        np.random.default_rng(height * 97 + width)
        .integers(0, 256, (height, width, 3))
        .astype(dtype)
    )


@given(sizes, sizes, sizes, sizes, modes, kinds)
def test_property_the_result_has_the_size_and_dtype(
    h: int, w: int, height: int, width: int, mode: str, kind: str
) -> None:
    for dtype in (np.uint8, np.uint16, np.float32):
        out = resize_image(noise(h, w, dtype), rule(mode, kind), height, width)
        assert out.shape == (height, width, 3)
        assert out.dtype == dtype


@given(sizes, sizes, sizes, sizes, modes, kinds)
def test_property_a_plain_picture_stays_plain(
    h: int, w: int, height: int, width: int, mode: str, kind: str
) -> None:
    plain = np.full((h, w, 3), 90, dtype=np.uint8)
    out = resize_image(plain, rule(mode, kind, pad_value=90), height, width)
    assert (out == 90).all()


@given(sizes, sizes, sizes, sizes)
def test_property_letterbox_keeps_the_aspect_and_centres(
    h: int, w: int, height: int, width: int
) -> None:
    white = np.full((h, w), 255, dtype=np.uint8)
    out = resize_image(white, rule('letterbox'), height, width)
    rows, columns = out.any(axis=1), out.any(axis=0)
    new_h, new_w = int(rows.sum()), int(columns.sum())
    scale = min(height / h, width / w)
    assert new_h == height or new_w == width
    assert -1e-9 <= h * scale - new_h < 1 or new_h == 1
    assert -1e-9 <= w * scale - new_w < 1 or new_w == 1
    assert int(rows.argmax()) == (height - new_h) // 2
    assert int(columns.argmax()) == (width - new_w) // 2
    assert (out[np.ix_(rows, columns)] == 255).all()


@given(sizes, sizes, sizes, sizes)
def test_property_center_crop_is_the_centre_of_the_covering_picture(
    h: int, w: int, height: int, width: int
) -> None:
    array = noise(h, w)
    out = resize_image(array, rule('center_crop', 'linear'), height, width)
    scale = max(height / h, width / w)
    new_h = max(height, int(h * scale + 1e-9))
    new_w = max(width, int(w * scale + 1e-9))
    if (new_h, new_w) == (h, w):
        covering = array
    else:
        covering = cv2.resize(array, (new_w, new_h), interpolation=cv2.INTER_LINEAR)
    top, left = (new_h - height) // 2, (new_w - width) // 2
    np.testing.assert_array_equal(out, covering[top : top + height, left : left + width])


def area_weights(source: int, target: int) -> np.ndarray:
    """Return how much of each source pixel each target pixel covers, (target, source)."""
    scale = source / target
    weights = np.zeros((target, source))
    for i in range(target):
        start, end = i * scale, (i + 1) * scale
        for j in range(source):
            weights[i, j] = max(0.0, min(end, j + 1) - max(start, j)) / scale
    return weights


@pytest.mark.parametrize(('height', 'width'), [(6, 8), (7, 9), (5, 13), (24, 32)])
def test_area_is_the_mean_over_the_covered_pixels(height: int, width: int) -> None:
    array = noise(24, 32)
    out = resize_image(array, rule('stretch', 'area'), height, width)
    rows, columns = area_weights(24, height), area_weights(32, width)
    expected = np.einsum('ij,jkc,lk->ilc', rows, array.astype(np.float64), columns)
    assert np.abs(out - expected).max() <= 0.51


def test_nearest_takes_the_pixel_at_the_scaled_index() -> None:
    array = noise(12, 16)
    out = resize_image(array, rule('stretch', 'nearest'), 5, 7)
    rows = [int(i * 12 / 5) for i in range(5)]
    columns = [int(i * 16 / 7) for i in range(7)]
    np.testing.assert_array_equal(out, array[np.ix_(rows, columns)])


@pytest.mark.parametrize(
    ('kind', 'code'),
    [
        ('area', cv2.INTER_AREA),
        ('linear', cv2.INTER_LINEAR),
        ('nearest', cv2.INTER_NEAREST),
        ('cubic', cv2.INTER_CUBIC),
    ],
)
def test_interpolation_is_that_of_opencv(kind: str, code: int) -> None:
    array = noise(48, 64)
    out = resize_image(array, rule('stretch', kind), 22, 22)
    np.testing.assert_array_equal(out, cv2.resize(array, (22, 22), interpolation=code))


@settings(deadline=None)
@given(sizes, sizes, sizes, sizes, st.sampled_from([1, 3, 4]), st.booleans())
def test_property_area_has_the_pixels_of_opencv(
    h: int, w: int, height: int, width: int, channels: int, stripes: bool
) -> None:
    """To the bit: where floats are added up sooner than bytes, and where they are not."""
    array = np.random.default_rng(h * 97 + w).integers(0, 256, (h, w, channels), dtype=np.uint8)
    if stripes:  # half of the means are halfway between two bytes
        array[:] = np.arange(w, dtype=np.uint8)[:, None] % 2 + array[:1, :1] // 2
    out = resize_image(array, rule(), height, width)
    own = cv2.resize(array, (width, height), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(out.reshape(own.shape), own)


def test_area_has_the_pixels_of_opencv_at_the_size_of_a_camera() -> None:
    for seed in range(5):
        array = np.random.default_rng(seed).integers(0, 256, (480, 640, 3), dtype=np.uint8)
        for height, width in ((224, 224), (168, 224), (96, 96), (84, 84), (240, 320)):
            own = cv2.resize(array, (width, height), interpolation=cv2.INTER_AREA)
            np.testing.assert_array_equal(resize_image(array, rule(), height, width), own)


def test_a_padded_view_is_resized_like_a_copy() -> None:
    wide = noise(48, 80)
    view = wide[:, :64]
    out = resize_image(view, rule(), 20, 30)
    np.testing.assert_array_equal(out, resize_image(view.copy(), rule(), 20, 30))


def test_the_right_size_is_not_copied() -> None:
    array = noise(6, 8)
    for mode in ('stretch', 'letterbox', 'center_crop', 'none'):
        assert resize_image(array, rule(mode), 6, 8) is array


def test_crop_comes_first() -> None:
    array = noise(48, 64)
    out = resize_image(array, rule('none', crop=(4, 6, 20, 30)), 20, 30)
    np.testing.assert_array_equal(out, array[4:24, 6:36])
    out = resize_image(array, rule('stretch', crop=(4, 6, 20, 30)), 10, 10)
    np.testing.assert_array_equal(out, resize_image(array[4:24, 6:36], rule(), 10, 10))


@pytest.mark.parametrize('crop', [(0, 0, 49, 64), (40, 0, 9, 64), (-1, 0, 4, 4), (0, 0, 0, 4)])
def test_a_crop_outside_names_both_sizes(crop: tuple[int, int, int, int]) -> None:
    with pytest.raises(ImageError, match='64x48'):
        resize_image(noise(48, 64), rule(crop=crop), 4, 4)


def test_none_refuses_another_size_and_names_both() -> None:
    with pytest.raises(ImageError, match=r'8x6 pixels unresized, the camera gives 64x48'):
        resize_image(noise(48, 64), rule('none'), 6, 8)


def test_unknown_mode_and_interpolation_list_what_there_is() -> None:
    with pytest.raises(ImageError, match='letterbox'):
        resize_image(noise(4, 4), rule('squeeze'), 2, 2)
    with pytest.raises(ImageError, match='cubic'):
        resize_image(noise(4, 4), rule('stretch', 'lanczos'), 2, 2)
