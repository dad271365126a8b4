# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Training and deployment reduce a camera's picture in the same way, bit for bit."""

from __future__ import annotations

import numpy as np

from bc_runtime.observation.resize import resize_image
from bc_runtime.sim import task
from bc_runtime.sim.demonstrations import shrink_image
from bc_runtime.training.sim_arm import make_spec


def test_image_parity_between_demonstrations_and_the_spec():
    spec = make_spec(chunk_size=12, training_ranges={}, source={})
    assert [image.camera for image in spec.image_inputs] == list(task.CAMERAS)
    picture = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    for image in spec.image_inputs:
        live = resize_image(picture, image.resize, image.height, image.width)
        np.testing.assert_array_equal(live, shrink_image(picture))
        assert live.shape == image.feature_shape


def test_spec_round_trip_gives_the_same_contract():
    spec = make_spec(chunk_size=12, training_ranges={}, source={'command': 'test'})
    assert type(spec).from_json(spec.to_json()).to_dict() == spec.to_dict()
