# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""cv_bridge is in no package index: a module with its interface stands in for it here."""

from __future__ import annotations

from collections.abc import Iterator
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from bc_runtime.observation import RawImage, UnknownEncoding, decode_image
from bc_runtime.observation.cv_bridge_image import _bridge

RGB16 = np.random.default_rng(0).integers(0, 65536, (4, 6, 3), dtype=np.uint16)


class CvBridgeError(TypeError):
    """As in cv_bridge."""


class CvBridge:
    """Reads the message as cv_bridge's `imgmsg_to_cv2` does, for rgb16 alone."""

    def imgmsg_to_cv2(self, img_msg: Any, desired_encoding: str = 'passthrough') -> np.ndarray:
        if img_msg.encoding != 'rgb16':
            raise CvBridgeError(f'Unrecognized image encoding [{img_msg.encoding}]')
        element = np.dtype(np.uint16).newbyteorder('>' if img_msg.is_bigendian else '<')
        pixels = np.ndarray(
            (img_msg.height, img_msg.step // 6, 3), dtype=element, buffer=img_msg.data
        )[:, : img_msg.width]
        small = np.round(pixels / 257.0).astype(np.uint8)
        grey = np.round(small @ [0.299, 0.587, 0.114])
        return {
            'rgb8': small,
            'bgr8': small[..., ::-1],
            'mono8': grey.astype(np.uint8),
            'mono16': grey.astype(np.uint16) * 257,
        }[desired_encoding]


def picture(encoding: str = 'rgb16') -> RawImage:
    return RawImage(
        height=4,
        width=6,
        encoding=encoding,
        step=36,
        is_bigendian=False,
        data=memoryview(RGB16.tobytes()),
    )


@pytest.fixture
def cv_bridge(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    module = ModuleType('cv_bridge')
    module.CvBridge = CvBridge  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, 'cv_bridge', module)
    _bridge.cache_clear()
    yield module
    _bridge.cache_clear()


@pytest.mark.usefixtures('cv_bridge')
def test_what_is_not_decoded_here_goes_to_cv_bridge() -> None:
    """Regressions pinned: the error named cv_bridge, and nothing called it."""
    expected = np.round(RGB16 / 257.0).astype(np.uint8)
    np.testing.assert_array_equal(decode_image(picture(), color='rgb'), expected)
    np.testing.assert_array_equal(decode_image(picture(), color='bgr'), expected[..., ::-1])
    assert decode_image(picture(), color='mono').shape == (4, 6)
    assert decode_image(picture(), color='mono', dtype='uint16').dtype == np.uint16


@pytest.mark.usefixtures('cv_bridge')
def test_what_cv_bridge_refuses_is_an_unknown_encoding() -> None:
    with pytest.raises(UnknownEncoding, match=r'cv_bridge refuses this one: Unrecognized') as no:
        decode_image(picture('nv24'))
    assert no.value.encoding == 'nv24'


@pytest.mark.usefixtures('cv_bridge')
def test_depth_is_not_asked_of_cv_bridge() -> None:
    with pytest.raises(UnknownEncoding, match='no depth pictures'):
        decode_image(picture('16SC1'), color='depth')


def test_a_wrong_answer_of_cv_bridge_is_refused(
    cv_bridge: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    for answer in (np.zeros((4, 5, 3), np.uint8), np.zeros((4, 6, 3), np.uint16), None):
        monkeypatch.setattr(CvBridge, 'imgmsg_to_cv2', lambda *_, answer=answer, **__: answer)
        with pytest.raises(UnknownEncoding, match='cv_bridge gave'):
            decode_image(picture())


def test_without_cv_bridge_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'cv_bridge', None)
    _bridge.cache_clear()
    with pytest.raises(UnknownEncoding, match='ros-<distribution>-cv-bridge'):
        decode_image(picture())
