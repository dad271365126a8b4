# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
from types import SimpleNamespace

import numpy as np
from PIL import Image
import pytest

from bc_runtime.evaluation.errors import EvaluationError
from bc_runtime.evaluation.gif import MAX_BYTES, write_gif
from bc_runtime.evaluation.pictures import camera_name, decode_picture, pictures_at
from bc_runtime.recording.reader import BagReader


def test_gif_shows_both_cameras_in_real_time(make_episode, tmp_path):
    bag = make_episode(tmp_path, 'e', seconds=3.0)
    size = write_gif(tmp_path / 'new' / 'demo.gif', bag)
    data = (tmp_path / 'new' / 'demo.gif').read_bytes()
    assert size == len(data) < MAX_BYTES
    gif = Image.open(io.BytesIO(data))
    assert gif.size == (2 * 320 + 4, 240 + 30)
    total_ms = 0
    for index in range(gif.n_frames):
        gif.seek(index)
        total_ms += gif.info['duration']
    # The last picture stands longer.
    assert total_ms == pytest.approx(2900 - 100 + 1200, abs=150)
    gif.seek(0)
    first = np.asarray(gif.convert('RGB'), dtype=int)
    gif.seek(gif.n_frames - 1)
    last = np.asarray(gif.convert('RGB'), dtype=int)
    assert np.abs(first - last)[:240].max() > 60  # the cubes have moved
    assert np.abs(first - last)[240:, 560:].max() > 60  # so has the clock
    assert (first[240:, :300] > 200).any()  # the instruction


def test_gif_of_a_long_episode_is_cut(make_episode, tmp_path):
    bag = make_episode(tmp_path, 'e', seconds=3.0)
    write_gif(tmp_path / 'short.gif', bag, max_s=1.0)
    assert Image.open(tmp_path / 'short.gif').n_frames <= 11


def test_gif_gives_up_quality_to_stay_small(make_episode, tmp_path):
    bag = make_episode(tmp_path, 'e', seconds=3.0)
    large = write_gif(tmp_path / 'large.gif', bag)
    small = write_gif(tmp_path / 'small.gif', bag, max_bytes=large // 3)
    assert small <= large // 3
    assert Image.open(tmp_path / 'small.gif').size[0] < 644


def test_gif_without_cameras_says_how_to_get_them(make_episode, tmp_path):
    bag = make_episode(tmp_path, 'e', seconds=0.5, images=False)
    with pytest.raises(EvaluationError, match='record:=compressed'):
        write_gif(tmp_path / 'demo.gif', bag)
    assert not (tmp_path / 'demo.gif').exists()


def test_pictures_at_times(make_episode, tmp_path):
    with BagReader(make_episode(tmp_path, 'e', seconds=2.0)) as bag:
        early, late, never = pictures_at(
            bag, '/front/image_raw/compressed', [0.0, 1.85, 60.0], width=160
        )
    assert early.size == late.size == (160, 120)
    assert never is None
    assert np.abs(np.asarray(early, int) - np.asarray(late, int)).max() > 60


def raw(encoding, pixels, padding=0):
    data = np.asarray(pixels, dtype=np.uint8)
    height, width = data.shape[:2]
    rows = data.reshape(height, -1)
    rows = np.concatenate([rows, np.full((height, padding), 255, np.uint8)], axis=1)
    return SimpleNamespace(
        encoding=encoding, height=height, width=width, step=rows.shape[1], data=rows.ravel()
    )


def test_raw_pictures_of_every_shown_encoding_with_padded_rows():
    red = np.array([[[200, 10, 20], [1, 2, 3]]])
    for encoding, pixels in (
        ('rgb8', red),
        ('bgr8', red[..., ::-1]),
        ('rgba8', np.concatenate([red, [[[9], [9]]]], axis=2)),
        ('bgra8', np.concatenate([red[..., ::-1], [[[9], [9]]]], axis=2)),
    ):
        found = np.asarray(decode_picture(raw(encoding, pixels, padding=5)))
        np.testing.assert_array_equal(found, red, err_msg=encoding)
    gray = np.asarray(decode_picture(raw('mono8', np.array([[7, 99]]), padding=2)))
    np.testing.assert_array_equal(gray, [[[7] * 3, [99] * 3]])


def test_pictures_that_cannot_be_shown_are_named():
    with pytest.raises(EvaluationError, match=r"'16UC1'.*rgb8"):
        decode_picture(raw('16UC1', np.zeros((2, 2))))
    with pytest.raises(EvaluationError, match='h264'):
        decode_picture(SimpleNamespace(format='h264', data=np.arange(9, dtype=np.uint8)))


@pytest.mark.parametrize(
    ('topic', 'name'),
    [
        ('/front/image_raw/compressed', 'front'),
        ('/arm_1/wrist/image_raw', 'wrist'),
        ('/camera', 'camera'),
        ('/image_raw', 'image_raw'),
    ],
)
def test_camera_names(topic, name):
    assert camera_name(topic) == name
