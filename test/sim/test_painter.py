# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray
import pytest

from bc_runtime.sim.arm import ArmSim
from bc_runtime.sim.camera import view_of
from bc_runtime.sim.errors import SimError
from bc_runtime.sim.painter import Painter
from bc_runtime.sim.task import CAMERAS, COLOURS


def digest(image: NDArray[np.uint8]) -> str:
    return hashlib.sha256(image.tobytes()).hexdigest()


def pictures(seed: int) -> list[str]:
    sim = ArmSim()
    sim.reset(seed)
    painter = Painter(sim.model)
    hashes = []
    for _ in range(3):
        hashes += [digest(painter.render(sim.data, camera)) for camera in CAMERAS]
        sim.command(sim.setpoint + 0.1)
        sim.step(0.2)
    return hashes


def colour_mask(image: NDArray[np.uint8], colour: str) -> NDArray[np.bool_]:
    channel = COLOURS.index(colour)
    values = image.astype(int)
    others = np.delete(values, channel, axis=-1).max(axis=-1)
    return (values[..., channel] > 60) & (values[..., channel] > 2 * others)


def test_same_seed_gives_identical_images() -> None:
    first = pictures(2)
    assert pictures(2) == first
    assert len(set(first)) == len(first)
    assert pictures(3)[0] != first[0]


@pytest.mark.parametrize(
    ('camera', 'seed'), [('front', 0), ('front', 1), ('front', 2), ('wrist', 0), ('wrist', 1)]
)
def test_cubes_are_drawn_where_the_projection_says(sim: ArmSim, camera: str, seed: int) -> None:
    sim.reset(seed)
    image = Painter(sim.model).render(sim.data, camera)
    view = view_of(sim.model, sim.data, camera, 640, 480)
    seen = 0
    for colour in COLOURS:
        pixel, depth = view.project(sim.cube_position(colour))
        # Lower in the wrist camera's picture the fingers may hide a cube.
        inside = depth > 0 and 40 < pixel[0] < 600 and 40 < pixel[1] < 290
        if not inside:
            continue
        seen += 1
        where = np.argwhere(colour_mask(image, colour))
        centre = where.mean(axis=0)[::-1]
        size = 0.05 * view.focal_px / depth
        assert np.linalg.norm(centre - pixel) < 0.25 * size
        assert 0.7 * size**2 < len(where) < 2.5 * size**2
    assert seen >= 1


def test_moving_cube_moves_in_the_image(sim: ArmSim) -> None:
    painter = Painter(sim.model)
    before = np.argwhere(colour_mask(painter.render(sim.data, 'front'), 'red')).mean(axis=0)
    sim.data.joint('cube_red').qpos[1] += 0.05  # to the robot's left: right in the front camera
    sim.step(0.01)
    after = np.argwhere(colour_mask(painter.render(sim.data, 'front'), 'red')).mean(axis=0)
    assert after[1] > before[1] + 20


def test_images_are_rgb_of_the_asked_size(sim: ArmSim) -> None:
    image = Painter(sim.model, 200, 100).render(sim.data, 'front')
    assert image.shape == (100, 200, 3)
    assert image.dtype == np.uint8
    table = image[80, 100].astype(int)
    assert table[0] > table[1] > table[2], 'the table is of a sandy colour'


def test_snapshot_draws_like_the_live_state(sim: ArmSim) -> None:
    painter = Painter(sim.model)
    snapshot = sim.snapshot()
    before = digest(painter.render(sim.data, 'wrist'))
    sim.command(sim.setpoint + 0.3)
    sim.step(0.3)
    assert digest(painter.render(snapshot, 'wrist')) == before
    assert digest(painter.render(sim.data, 'wrist')) != before


def test_picture_belongs_to_the_caller(sim: ArmSim) -> None:
    painter = Painter(sim.model)
    first = painter.render(sim.data, 'front')
    before = digest(first)
    first[:] = 0
    assert digest(painter.render(sim.data, 'front')) == before


def test_shape_that_reaches_behind_the_camera_is_clipped(sim: ArmSim) -> None:
    view = view_of(sim.model, sim.data, 'wrist', 640, 480)
    ahead = view.position - view.rotation[:, 2]
    behind = view.position + view.rotation[:, 2]
    aside = view.rotation[:, 0] * 0.1
    kept = view.clip(np.array([ahead, ahead + aside, behind + aside, behind]))
    assert len(kept) == 4
    assert view.project(kept)[1].min() == pytest.approx(0.02)
    assert len(view.clip(np.array([behind, behind + aside, behind - aside]))) == 0


def test_unknown_camera_lists_the_cameras(sim: ArmSim) -> None:
    with pytest.raises(SimError, match="front, wrist, got 'side'"):
        Painter(sim.model).render(sim.data, 'side')
