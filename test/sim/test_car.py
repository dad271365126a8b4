# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The lane car: road, motion, camera and expert."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip('cv2')

from bc_runtime.sim.car import CarSim
from bc_runtime.sim.car_expert import (
    IMAGE_HEIGHT,
    IMAGE_WIDTH,
    POLICY_HZ,
    CarExpert,
    record_drive,
)
from bc_runtime.sim.car_painter import HEIGHT, WIDTH, CarPainter
from bc_runtime.sim.car_track import LANE_HALF_M, sample_track
from bc_runtime.sim.errors import SimError


def test_track_is_the_same_for_a_seed_and_runs_both_ways():
    np.testing.assert_array_equal(sample_track(4).points, sample_track(4).points)
    turned = [np.unwrap(sample_track(seed).heading)[-1] > 0.0 for seed in range(12)]
    assert any(
        np.unwrap(t.heading)[-1] > np.unwrap(t.heading)[0] for t in map(sample_track, range(12))
    )
    assert len(set(turned)) == 2
    with pytest.raises(SimError, match='zero or more'):
        sample_track(-1)


def test_track_locates_what_it_placed():
    track = sample_track(7)
    for way in np.linspace(0.0, track.length, 30, endpoint=False):
        x, y, heading = track.at(way)
        x, y = x - 0.1 * math.sin(heading), y + 0.1 * math.cos(heading)
        found, offset, _ = track.locate(x, y)
        gap = abs(found - way)
        assert min(gap, track.length - gap) < 0.03
        assert offset == pytest.approx(0.1, abs=0.005)


def test_car_turns_left_for_a_positive_rate_and_follows_with_a_lag():
    sim = CarSim()
    sim.reset(1)
    heading = sim.pose[2]
    sim.command(0.5, 0.5)
    sim.step(0.05)
    assert 0.0 < sim.velocity[0] < 0.4
    sim.step(1.0)
    assert sim.velocity == pytest.approx((0.5, 0.5), abs=1e-3)
    assert sim.pose[2] > heading
    assert sim.time_s == pytest.approx(1.05)


def test_car_refuses_what_is_not_finite_and_keeps_its_command():
    sim = CarSim()
    sim.command(0.5, 0.0)
    with pytest.raises(SimError, match='finite velocities'):
        sim.command(math.nan, 0.0)
    sim.step(1.0)
    assert sim.velocity[0] == pytest.approx(0.5, abs=1e-3)


def test_car_notices_that_it_left_the_lane():
    sim = CarSim()
    sim.reset(2)
    sim.command(0.5, 0.0)
    for _ in range(100):
        sim.step(0.1)
    assert sim.left_lane
    assert not sim.success()


def test_expert_drives_a_round_inside_the_lane():
    sim = CarSim()
    for seed in range(3):
        sim.reset(seed)
        expert = CarExpert(sim)
        for _ in range(40 * POLICY_HZ):
            sim.command(*expert.act())
            sim.step(1.0 / POLICY_HZ)
            if sim.success():
                break
        assert sim.success()
        assert abs(sim.offset) < 0.5 * LANE_HALF_M


def test_camera_sees_the_left_edge_line_nearer_when_the_car_is_on_the_left():
    track = sample_track(3)
    x, y, heading = track.at(1.0)
    painter = CarPainter(track)
    row = 9 * HEIGHT // 10

    def white(aside: float) -> float:
        pose = (x - aside * math.sin(heading), y + aside * math.cos(heading), heading)
        picture = painter.render(pose)
        assert picture.shape == (HEIGHT, WIDTH, 3)
        bright = np.flatnonzero(picture[row].min(axis=1) > 190)
        return float(bright.min()) if len(bright) else -1.0

    assert white(0.15) > white(0.05) > white(-0.05)


def test_record_shows_small_pictures_and_the_experts_answers_not_the_pushes():
    sim = CarSim()
    drive = record_drive(sim, 5, steps=40)
    assert drive.images.shape == (40, IMAGE_HEIGHT, IMAGE_WIDTH, 3)
    assert drive.action.shape == (40, 2)
    assert drive.action[:, 0].min() > 0.0
    again = record_drive(CarSim(), 5, steps=40)
    np.testing.assert_array_equal(drive.images, again.images)
    np.testing.assert_array_equal(drive.action, again.action)
