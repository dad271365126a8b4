# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bc_runtime.sim import task
from bc_runtime.spec import ConfigError
from bc_runtime.training.samples import SamplePool, load_samples


def test_pool_gives_what_its_parts_hold_in_their_order(data):
    one, two = data.samples(12), data.samples(12)
    pool = SamplePool([one, two])
    assert len(pool) == 2 * len(data)
    pick = np.array([3, 60, 59, 119, 0, 61])
    for camera in task.CAMERAS:
        both = np.concatenate([one.images[camera], two.images[camera]])
        np.testing.assert_array_equal(pool.images(camera, pick), both[pick])
    np.testing.assert_array_equal(pool.actions[pick], np.concatenate([one.actions] * 2)[pick])
    assert pool.ranges()['state.joint_2'].maximum == pytest.approx(data.state[:, 1].max())


def test_samples_are_saved_and_loaded(data, tmp_path: Path):
    path = tmp_path / 'deep' / 'samples.npz'
    samples = data.samples(12)
    samples.save(path)
    again = load_samples(path)
    for name in ('state', 'instruction', 'actions', 'weights'):
        np.testing.assert_array_equal(getattr(again, name), getattr(samples, name))
    assert set(again.images) == set(task.CAMERAS)
    np.testing.assert_array_equal(again.images['wrist'], samples.images['wrist'])


def test_load_refuses_damaged_and_foreign_files(data, tmp_path: Path):
    path = tmp_path / 'samples.npz'
    data.samples(12).save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ConfigError, match='cannot be read as samples'):
        load_samples(path)
    np.savez(path, state=np.zeros(3))
    with pytest.raises(ConfigError, match='missing: instruction'):
        load_samples(path)
