# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bc_runtime.sim import task
from bc_runtime.spec import ConfigError
from bc_runtime.training.demonstration_set import (
    DemonstrationSet,
    join_demonstrations,
    load_demonstrations,
)


def thinned(data, image_every):
    """The same steps with images of every nth of an episode only."""
    ends = np.cumsum(data.lengths)
    begins = ends - data.lengths
    steps = [range(b, e, image_every) for b, e in zip(begins, ends, strict=True)]
    rows = [step for each in steps for step in each]
    images = {camera: stack[rows] for camera, stack in data.images.items()}
    return replace(data, images=images, image_every=image_every)


def test_chunk_of_a_step_begins_with_its_own_action_and_stays_in_its_episode(data):
    actions, weights = data.chunks(12)
    assert actions.shape == (60, 12, 7)
    np.testing.assert_array_equal(actions[5], data.action[5:17][np.r_[0:10, 9, 9]])
    np.testing.assert_array_equal(weights[5], [1] * 10 + [0] * 2)
    np.testing.assert_array_equal(actions[14], np.repeat(data.action[14:15], 12, axis=0))
    np.testing.assert_array_equal(weights[14], [1] + [0] * 11)


def test_chunk_counts_nothing_that_a_later_push_changes(data):
    _, weights = data.chunks(12)
    # The push begins after step 4 of the second episode; actions 4 and 5 are still known.
    np.testing.assert_array_equal(weights[15], [1] * 6 + [0] * 6)
    np.testing.assert_array_equal(weights[15 + 4], [1] * 2 + [0] * 10)
    np.testing.assert_array_equal(weights[15 + 5], [1] * 12)


def test_chunks_of_every_nth_step_are_those_of_the_steps_with_images(data):
    """Element i of a chunk is the command i steps later, at whatever rate images were drawn."""
    every = thinned(data, 4)
    assert len(every) == 60
    np.testing.assert_array_equal(every.observed_lengths, [4, 5, 7])
    steps = np.r_[0:15:4, 15:35:4, 35:60:4]
    np.testing.assert_array_equal(every.observed, steps)
    actions, weights = data.chunks(12)
    samples = every.samples(12)
    np.testing.assert_array_equal(samples.actions, actions[steps])
    np.testing.assert_array_equal(samples.weights, weights[steps])
    np.testing.assert_array_equal(samples.state, data.state[steps])
    np.testing.assert_array_equal(samples.instruction, data.instructions()[steps])
    for camera in task.CAMERAS:
        np.testing.assert_array_equal(samples.images[camera], data.images[camera][steps])


def test_instructions_are_repeated_over_their_episodes(data):
    rows = data.instructions()
    assert rows.shape == (60, 3)
    np.testing.assert_array_equal(rows[14], [1, 0, 0])
    np.testing.assert_array_equal(rows[15], [0, 0, 1])
    np.testing.assert_array_equal(rows[59], [0, 1, 0])


def test_ranges_name_every_state_and_action_dimension(data):
    ranges = data.ranges()
    assert set(ranges) == {f'{k}.{n}' for k in ('state', 'action') for n in task.JOINT_NAMES}
    assert ranges['action.joint_2'].maximum == pytest.approx(data.action[:, 1].max())
    assert ranges['state.gripper'].std == pytest.approx(data.state[:, 6].std(), rel=1e-5)


@pytest.mark.parametrize('image_every', [1, 4])
def test_save_and_load_give_the_same_arrays(data, tmp_path: Path, image_every):
    data = thinned(data, image_every)
    path = tmp_path / 'deep' / 'demonstrations.npz'
    data.save(path)
    again = load_demonstrations(path)
    for name in ('state', 'action', 'kick', 'lengths', 'seeds', 'colours'):
        np.testing.assert_array_equal(getattr(again, name), getattr(data, name))
    assert again.image_every == image_every
    for camera in task.CAMERAS:
        np.testing.assert_array_equal(again.images[camera], data.images[camera])
    assert [p.name for p in path.parent.iterdir()] == ['demonstrations.npz']


def test_load_refuses_damaged_and_foreign_files(data, tmp_path: Path):
    path = tmp_path / 'demonstrations.npz'
    data.save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ConfigError, match=r'cannot be read as demonstrations.*delete it'):
        load_demonstrations(path)
    np.savez(path, state=np.zeros(3))
    with pytest.raises(ConfigError, match='missing: action'):
        load_demonstrations(path)


def test_join_refuses_nothing():
    with pytest.raises(ConfigError, match='at least one demonstration'):
        join_demonstrations([])
    assert DemonstrationSet.__slots__
