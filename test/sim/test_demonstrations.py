# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from bc_runtime.sim.arm import ArmSim
from bc_runtime.sim.demonstrations import (
    DRIVER_HZ,
    IMAGE_HEIGHT,
    IMAGE_WIDTH,
    MAX_STEPS,
    KickPlan,
    chunk_mask,
    collect,
    record,
    step_time_ns,
)
from bc_runtime.sim.driver import Driver
from bc_runtime.sim.errors import SimError
from bc_runtime.sim.expert import POLICY_HZ, Expert
from bc_runtime.sim.painter import Painter
from bc_runtime.sim.task import CAMERAS

# As in config/robots/sim_arm.yaml.
LIMITS_SPEED = np.array([2.5, 2.5, 2.5, 3.5, 3.5, 4.0, 0.5])
LIMITS_ACCELERATION = np.array([40.0, 40.0, 40.0, 40.0, 40.0, 40.0, 8.0])


@pytest.mark.parametrize('rate_hz', [POLICY_HZ, 50])
def test_action_is_the_command_at_the_time_of_the_observation(sim: ArmSim, rate_hz: int) -> None:
    """A chunk's element i is meant for i steps after its observation: no shift anywhere.

    Played through an independent interpolator at the recorded times, the actions give the recorded
    states again, bit for bit up to float32.
    """
    each = record(sim, 0, rate_hz=rate_hz)
    times_s = np.array([step_time_ns(step, rate_hz) / 1e9 for step in range(len(each))])
    driver = Driver(each.action[0])
    driver.follow(now_s=0.0, times_s=times_s, positions=each.action)
    sim.reset(0)
    states = [sim.joint_positions]
    end_ns, tick_ns = step_time_ns(len(each) - 1, rate_hz), round(1e9 / DRIVER_HZ)
    now_ns = 0
    stops = sorted({*range(tick_ns, end_ns, tick_ns), *(round(t * 1e9) for t in times_s[1:])})
    for stop_ns in stops:
        if now_ns % tick_ns == 0:
            sim.command(driver.setpoint(now_ns / 1e9))
        sim.step((stop_ns - now_ns) / 1e9)
        now_ns = stop_ns
        if stop_ns in {round(t * 1e9) for t in times_s}:
            states.append(sim.joint_positions)
    assert np.array(states) == pytest.approx(each.state, abs=1e-4)


def test_at_50_hz_the_expert_is_as_fast_and_the_command_moves_in_small_steps(sim: ArmSim) -> None:
    slow, fast = record(sim, 3), record(sim, 3, rate_hz=50, max_steps=800)
    assert fast.success
    assert len(fast) / 50 == pytest.approx(len(slow) / POLICY_HZ, rel=0.15)
    largest = [np.abs(np.diff(each.action[:, :6], axis=0)).max() for each in (slow, fast)]
    assert largest[1] < 0.5 * largest[0]
    # The gripper is told to open or to close, nothing between.
    assert len(np.unique(fast.action[1:, 6])) == 2


def test_images_are_drawn_at_every_nth_step_only(sim: ArmSim) -> None:
    painter = Painter(sim.model, 64, 48)
    each, every = (
        record(sim, 3, painter=painter, max_steps=9, rate_hz=50, image_every=n) for n in (1, 4)
    )
    assert len(every) == len(each) == 9
    for camera in CAMERAS:
        np.testing.assert_array_equal(every.images[camera], each.images[camera][::4])


def test_expert_succeeds_through_the_limits_of_a_deployed_robot(sim: ArmSim) -> None:
    """What a limiter in front of the robot takes away, the expert makes up for."""
    dt_s = 1 / DRIVER_HZ
    for seed in range(6):
        sim.reset(seed)
        expert = Expert(sim)
        command, velocity = sim.setpoint.copy(), np.zeros(7)
        start = end = command
        step = tick = 0
        while not sim.success() and step < MAX_STEPS:
            if tick * dt_s >= step_time_ns(step) * 1e-9:
                start, end = end, expert.act()
                step += 1
            share = (tick * dt_s * 1e9 - step_time_ns(step - 1)) / step_time_ns(1)
            wanted = (start + (end - start) * min(share, 1.0) - command) / dt_s
            change = LIMITS_ACCELERATION * dt_s
            velocity = np.clip(wanted, -LIMITS_SPEED, LIMITS_SPEED).clip(
                velocity - change, velocity + change
            )
            command = command + velocity * dt_s
            sim.command(command)
            sim.step(dt_s)
            tick += 1
        assert sim.success(), seed


def test_recording_holds_both_cameras_and_matching_lengths(sim: ArmSim) -> None:
    each = record(sim, 1, painter=Painter(sim.model), max_steps=5)
    assert len(each) == 5
    assert not each.success
    assert set(each.images) == set(CAMERAS)
    for stack in each.images.values():
        assert stack.shape == (5, IMAGE_HEIGHT, IMAGE_WIDTH, 3)
        assert stack.dtype == np.uint8
    assert each.state.shape == each.action.shape == (5, 7)
    assert each.state.dtype == each.action.dtype == np.float32
    assert each.kick.shape == (5,)
    assert each.action[0] == pytest.approx(each.state[0], abs=1e-6)


def test_kicks_disturb_the_arm_but_not_the_recorded_action(sim: ArmSim) -> None:
    calm, kicked = record(sim, 2), record(sim, 2, kicks=KickPlan())
    onset = int(np.flatnonzero(kicked.kick)[0])
    assert np.array_equal(calm.state[: onset + 1], kicked.state[: onset + 1])
    assert np.array_equal(calm.action[: onset + 2], kicked.action[: onset + 2])
    assert np.abs(calm.state[onset + 1] - kicked.state[onset + 1]).max() > 0.005
    gap = np.abs(np.diff(kicked.action, axis=0)).max(axis=0)
    assert (gap[:6] < 0.45).all(), 'the recorded command shows no kick'


def test_collect_yields_successes_only() -> None:
    found = list(collect([0], width=160, height=120))
    assert [each.seed for each in found] == [0]
    assert found[0].success


@given(
    st.lists(st.booleans(), min_size=1, max_size=40).map(np.array),
    st.integers(0, 39),
    st.integers(1, 20),
)
def test_chunk_mask_ends_where_the_future_is_unknown_property(
    kick: np.ndarray, step: int, chunk_size: int
) -> None:
    step = min(step, len(kick) - 1)
    mask = chunk_mask(kick, step, chunk_size)
    for index in range(chunk_size):
        exists = step + index < len(kick)
        surprised = any(kick[step : max(step, step + index - 1)])
        assert mask[index] == (exists and not surprised)


def test_chunk_mask_refuses_a_step_outside_the_episode() -> None:
    with pytest.raises(SimError, match='from 0 to 4, got 5'):
        chunk_mask(np.zeros(5, dtype=bool), 5, 3)
