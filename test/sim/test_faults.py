# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
import pytest

from bc_runtime.sim.errors import SimError
from bc_runtime.sim.faults import FaultInjector, FaultPlan

HEALTHY = FaultPlan()


def picture(value: int) -> NDArray[np.uint8]:
    return np.full((12, 16, 3), value, dtype=np.uint8)


def plan(**fields: object) -> FaultPlan:
    return FaultPlan.from_fields(fields)


def injector(chosen: FaultPlan = HEALTHY, seed: int = 0) -> FaultInjector:
    faults = FaultInjector(seed)
    faults.plan = chosen
    return faults


def test_healthy_robot_is_left_alone() -> None:
    faults = injector()
    positions = np.arange(7.0)
    image = picture(9)
    assert faults.image('front', lambda: image) is image
    measured = faults.joints(positions, positions)
    assert measured is not None
    assert measured[0] is positions
    assert faults.command(0.0, positions) is positions


def test_stopped_camera_gives_nothing_and_is_not_drawn() -> None:
    faults = injector(plan(camera='stop', cameras=['wrist']))
    assert faults.image('wrist', lambda: pytest.fail('drawn')) is None
    assert faults.image('front', lambda: picture(1)) is not None


def test_frozen_camera_repeats_its_last_picture_until_it_recovers() -> None:
    faults = injector()
    faults.image('front', lambda: picture(1))
    faults.plan = plan(camera='freeze')
    for value in (2, 3):
        frozen = faults.image('front', lambda value=value: picture(value))
        assert frozen is not None
        assert frozen.max() == 1
    faults.plan = HEALTHY
    recovered = faults.image('front', lambda: picture(4))
    assert recovered is not None
    assert recovered.max() == 4


def test_camera_frozen_from_the_start_freezes_its_first_picture() -> None:
    faults = injector(plan(camera='freeze'))
    shown = [faults.image('front', lambda value=value: picture(value)) for value in (5, 6)]
    assert [image.max() for image in shown if image is not None] == [5, 5]


def test_black_camera_is_black() -> None:
    image = injector(plan(camera='black')).image('front', lambda: picture(200))
    assert image is not None
    assert image.shape == (12, 16, 3)
    assert not image.any()


def test_image_noise_has_the_asked_size_and_repeats_with_the_seed() -> None:
    def noisy(seed: int) -> NDArray[np.uint8]:
        faults = injector(plan(image_noise=8.0), seed)
        image = faults.image('front', lambda: np.full((120, 160, 3), 128, dtype=np.uint8))
        assert image is not None
        return image

    first = noisy(1)
    assert first.dtype == np.uint8
    assert (first.astype(float) - 128).std() == pytest.approx(8.0, rel=0.05)
    assert np.array_equal(noisy(1), first)
    assert not np.array_equal(noisy(2), first)


def test_joint_stop_freeze_and_noise() -> None:
    still = np.zeros(7)
    faults = injector(plan(joints='stop'))
    assert faults.joints(still, still) is None
    faults.plan = HEALTHY
    faults.joints(still, still)
    faults.plan = plan(joints='freeze')
    frozen = faults.joints(still + 1, still + 1)
    assert frozen is not None
    assert not frozen[0].any()
    faults.plan = plan(position_noise=0.1)
    samples = [faults.joints(still, still) for _ in range(500)]
    spread = np.std([each[0] for each in samples if each is not None], axis=0)
    assert spread[:6] == pytest.approx(np.full(6, 0.1), rel=0.15)
    assert 0 < spread[6] < 0.01, 'the gripper is measured in metres'
    assert not still.any(), 'the true positions are never written to'


def test_actuation_lag_delays_every_command() -> None:
    faults = injector(plan(actuation_lag_s=0.05))
    seen = [faults.command(tick / 100, np.full(7, float(tick))) for tick in range(10)]
    assert seen[:5] == [None] * 5
    assert [each[0] for each in seen[5:] if each is not None] == [0, 1, 2, 3, 4]
    faults.plan = HEALTHY
    now = faults.command(0.10, np.full(7, 10.0))
    assert now is not None
    assert now[0] == 10


def test_reset_drops_commands_that_are_under_way() -> None:
    faults = injector(plan(actuation_lag_s=0.05))
    faults.command(0.0, np.zeros(7))
    faults.reset()
    assert faults.command(0.06, np.ones(7)) is None


def test_stuck_drives_ignore_commands() -> None:
    assert injector(plan(actuation='stuck')).command(0.0, np.zeros(7)) is None


@pytest.mark.parametrize(
    ('fields', 'text'),
    [
        ({'camera': 'broken'}, 'camera: expected one of none, stop, freeze, black, got .broken.'),
        ({'joints': 'black'}, 'joints: expected one of none, stop, freeze, got'),
        ({'cameras': ['side']}, 'cameras out of front, wrist, got side'),
        ({'actuation_lag_s': -1.0}, 'actuation_lag_s: expected a number of zero or more, got -1'),
        ({'image_noise': float('nan')}, 'image_noise: expected'),
    ],
)
def test_bad_plan_says_what_is_possible(fields: dict[str, object], text: str) -> None:
    with pytest.raises(SimError, match=text):
        FaultPlan.from_fields(fields)
