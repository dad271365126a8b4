# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures: each frame becomes a picture of the policy once, ahead in a thread if foreseen."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bc_runtime.observation.images import decode_image
from bc_runtime.observation.picture import decoded_dtype, make_picture
from bc_runtime.observation.stream_buffer import Defect, Sample
from bc_runtime.spec.inputs import ImageInput

Picture = NDArray[Any]
_Key = tuple[str, int]
_Decoded = dict[tuple[str, int, str, str], NDArray[np.generic]]


class Pictures:
    """Makes pictures and keeps the newest, so that no frame of a history is decoded twice.

    One thread asks for pictures; OpenCV works without Python's lock, so that frames that were
    begun ahead are decoded beside it.

    Args:
        capacity: Pictures to keep.
        count: Called with the camera for every frame that is decoded.
    """

    def __init__(self, capacity: int, count: Callable[[str], None]) -> None:
        self._capacity = capacity
        self._count = count
        self._made: OrderedDict[_Key, Picture] = OrderedDict()
        self._begun: dict[_Key, Future[dict[str, Picture]]] = {}
        self._thread: ThreadPoolExecutor | None = None

    def begin(self, items: list[ImageInput], sample: Sample[Any]) -> None:
        """Begin to make the pictures of one frame for every input that shows its camera."""
        if isinstance(sample.payload, Defect):
            return
        keys = [(item.name, sample.sequence) for item in items]
        if not items or any(key in self._made or key in self._begun for key in keys):
            return
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix='decode')
        future = self._thread.submit(_make_all, items, sample)
        self._begun.update(dict.fromkeys(keys, future))
        self._count(items[0].camera)

    def under_way(self, item: ImageInput, sample: Sample[Any]) -> bool:
        """Return whether the picture was begun and is not ready."""
        future = self._begun.get((item.name, sample.sequence))
        return future is not None and not future.done()

    def get(self, item: ImageInput, sample: Sample[Any], decoded: _Decoded) -> Picture:
        """Return a picture, read-only.

        Args:
            item: The policy's input.
            sample: Frame of its camera.
            decoded: Frames that were decoded for other inputs of the same observation.

        Raises:
            ImageError: the frame cannot be decoded or does not fit.
        """
        key = (item.name, sample.sequence)
        future = self._begun.get(key)
        if future is not None and future.exception() is None:
            for name, made in future.result().items():
                del self._begun[name, sample.sequence]
                self._add((name, sample.sequence), made)
        picture = self._made.get(key)
        if picture is not None:
            self._made.move_to_end(key)
            return picture
        source = (item.camera, sample.sequence, item.color, decoded_dtype(item))
        if source not in decoded:
            decoded[source] = _decode(item, sample)
            self._count(item.camera)
        picture = make_picture(item, decoded[source])
        self._add(key, picture)
        return picture

    def _add(self, key: _Key, picture: Picture) -> None:
        self._made[key] = picture
        while len(self._made) > self._capacity:
            self._made.popitem(last=False)
        if len(self._begun) > self._capacity:  # begun in vain
            self._begun = {k: f for k, f in self._begun.items() if not f.done()}


def _decode(item: ImageInput, sample: Sample[Any]) -> NDArray[np.generic]:
    if isinstance(sample.payload, Defect):
        raise TypeError(f'{item.camera}: a defective sample was selected')
    return decode_image(sample.payload, color=item.color, dtype=decoded_dtype(item))


def _make_all(items: list[ImageInput], sample: Sample[Any]) -> dict[str, Picture]:
    decoded: dict[tuple[str, str], NDArray[np.generic]] = {}
    pictures = {}
    for item in items:
        source = (item.color, decoded_dtype(item))
        if source not in decoded:
            decoded[source] = _decode(item, sample)
        pictures[item.name] = make_picture(item, decoded[source])
    return pictures
