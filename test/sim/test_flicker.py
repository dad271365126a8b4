# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""A simulated sensor never gives the same picture twice."""

import numpy as np

from bc_runtime.sim.flicker import COUNT, Flicker


def test_pictures_of_a_scene_at_rest_differ_a_little() -> None:
    scene = np.full((48, 64, 3), 100, np.uint8)
    flicker = Flicker(seed=1)
    pictures = [flicker.apply(scene.copy()) for _ in range(20)]
    assert len({picture.tobytes() for picture in pictures}) == 20
    for picture in pictures:
        change = np.abs(picture.astype(int) - scene)
        assert change.max() == 1
        assert change.sum() <= COUNT


def test_flicker_repeats_from_a_seed() -> None:
    scene = np.zeros((8, 8, 3), np.uint8)
    assert (Flicker(2).apply(scene.copy()) == Flicker(2).apply(scene.copy())).all()
