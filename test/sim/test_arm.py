# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st
import mujoco
import numpy as np
from numpy.typing import NDArray
import pytest

from bc_runtime.sim.arm import ArmSim
from bc_runtime.sim.errors import SimError
from bc_runtime.sim.task import GRIPPER_MAX_M, INSTRUCTIONS, JOINT_NAMES, TRAY_CENTRE


def put_cube(sim: ArmSim, colour: str, position: tuple[float, float, float]) -> None:
    joint = sim.data.joint(f'cube_{colour}')
    joint.qpos[:3] = position
    joint.qpos[3:] = (1, 0, 0, 0)
    joint.qvel[:] = 0
    mujoco.mj_forward(sim.model, sim.data)


def run(sim: ArmSim, seed: int) -> NDArray[np.float64]:
    sim.reset(seed)
    rng = np.random.default_rng(3)
    for _ in range(40):
        sim.command(sim.setpoint + rng.uniform(-0.05, 0.05, 7))
        sim.step(0.01)
    return np.concatenate((sim.data.qpos, sim.data.qvel))


def go_on(sim: ArmSim) -> NDArray[np.float64]:
    for _ in range(30):
        sim.command(sim.setpoint + 0.01)
        sim.step(0.013)
    return np.concatenate((sim.data.qpos, sim.data.qvel, sim.tool_position, [sim.time_s]))


def test_a_restored_simulation_goes_on_as_the_one_that_was_saved(sim: ArmSim) -> None:
    run(sim, 4)
    sim.step(0.005)
    state = sim.state()
    expected = go_on(sim)
    other = ArmSim()
    run(other, 5)
    for again in (other, sim):
        again.restore(state)
        assert again.scene == state.scene
        assert np.array_equal(again.setpoint, state.setpoint)
        assert np.array_equal(go_on(again), expected)


def test_physics_steps_are_deterministic(sim: ArmSim) -> None:
    first = run(sim, 4)
    run(sim, 5)
    assert np.array_equal(run(sim, 4), first), 'a reset leaves something of the last episode'
    assert np.array_equal(run(ArmSim(), 4), first)
    assert not np.array_equal(run(sim, 5), first)


def test_poses_belong_to_the_positions_after_a_step(sim: ArmSim) -> None:
    sim.command(sim.setpoint + 0.2)
    sim.step(0.3)
    seen = sim.snapshot()
    tool = sim.tool_position
    mujoco.mj_forward(sim.model, sim.data)
    exact = sim.snapshot()
    assert np.array_equal(seen.geom_xpos, exact.geom_xpos)
    assert np.array_equal(seen.cam_xpos, exact.cam_xpos)
    assert np.array_equal(seen.cam_xmat, exact.cam_xmat)
    assert np.array_equal(tool, sim.tool_position)


def test_reset_puts_the_scene_on_the_table(sim: ArmSim) -> None:
    scene = sim.reset(11, INSTRUCTIONS['blue'])
    assert sim.time_s == 0
    assert sim.instruction == INSTRUCTIONS['blue']
    assert sim.joint_positions == pytest.approx([*scene.arm_start, GRIPPER_MAX_M])
    assert sim.joint_velocities == pytest.approx(np.zeros(7))
    for colour, place in scene.cubes.items():
        assert sim.cube_position(colour)[:2] == pytest.approx((place.x, place.y))
        assert sim.cube_yaw(colour) == pytest.approx(place.yaw)
    sim.step(0.5)
    for colour, place in scene.cubes.items():
        assert sim.cube_position(colour)[:2] == pytest.approx((place.x, place.y), abs=1e-3)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.floats(0.0, 0.03), min_size=1, max_size=20))
def test_time_does_not_drift_property(durations: list[float]) -> None:
    sim = SHARED
    sim.reset(0)
    for duration in durations:
        sim.step(duration)
    wanted = sum(round(duration * 1e9) for duration in durations)
    assert 0 <= wanted - round(sim.time_s * 1e9) < 2_000_000


def test_command_is_held_until_the_next(sim: ArmSim) -> None:
    goal = sim.setpoint + np.array([0.2, 0.1, -0.1, 0.1, 0.1, 0.2, -0.04])
    sim.command(goal)
    sim.step(2.0)
    assert sim.joint_positions == pytest.approx(goal, abs=0.01)


def test_closed_gripper_presses_on_the_cube(sim: ArmSim) -> None:
    sim.command(np.append(sim.setpoint[:6], 0.0))
    sim.step(1.0)
    assert sim.joint_positions[6] == pytest.approx(0.0, abs=2e-3)
    assert sim.data.ctrl[6] < 0


@pytest.mark.parametrize('bad', [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize('index', [0, 6])
def test_command_with_nan_is_refused_and_the_last_one_held(
    sim: ArmSim, bad: float, index: int
) -> None:
    before = sim.setpoint.copy()
    command = before.copy()
    command[index] = bad
    with pytest.raises(SimError, match=f'finite.*{JOINT_NAMES[index]}.*held'):
        sim.command(command)
    assert np.array_equal(sim.setpoint, before)


def test_command_of_the_wrong_size_is_refused(sim: ArmSim) -> None:
    with pytest.raises(SimError, match=r'expected 7 positions .*gripper.*shape \(6,\)'):
        sim.command(np.zeros(6))


def test_command_is_clipped_to_the_mechanical_range(sim: ArmSim) -> None:
    sim.command([9.0, -9.0, 9.0, 0.0, 0.0, 0.0, 1.0])
    assert sim.setpoint.tolist() == [2.6, -1.6, 2.9, 0.0, 0.0, 0.0, GRIPPER_MAX_M]


def test_setpoint_cannot_be_changed_from_outside(sim: ArmSim) -> None:
    with pytest.raises(ValueError, match='read-only'):
        sim.setpoint[0] = 1.0


def test_success_needs_the_named_cube_at_rest_in_the_tray(sim: ArmSim) -> None:
    sim.reset(0, INSTRUCTIONS['green'])
    assert not sim.success()
    put_cube(sim, 'green', (*TRAY_CENTRE, 0.031))
    assert sim.success()
    sim.data.joint('cube_green').qvel[0] = 0.2
    assert not sim.success(), 'a cube that still slides is not placed'
    sim.step(0.5)
    assert sim.success()
    sim.command(np.append(sim.setpoint[:6], 0.0))
    sim.step(1.0)
    assert not sim.success(), 'the gripper has to be open'


def test_wrong_cube_in_the_tray_is_detected_and_remembered(sim: ArmSim) -> None:
    sim.reset(0, INSTRUCTIONS['green'])
    put_cube(sim, 'green', (*TRAY_CENTRE, 0.031))
    sim.step(0.01)
    assert not sim.wrong_cube()
    put_cube(sim, 'red', (TRAY_CENTRE[0], TRAY_CENTRE[1] + 0.055, 0.031))
    sim.step(0.01)
    assert sim.wrong_cube()
    put_cube(sim, 'red', (0.3, 0.1, 0.025))
    sim.step(0.01)
    assert sim.wrong_cube(), 'taking it back does not undo the mistake'
    sim.reset(0)
    sim.step(0.01)
    assert not sim.wrong_cube()


def test_wrong_cube_that_is_lifted_is_detected(sim: ArmSim) -> None:
    sim.reset(0, INSTRUCTIONS['green'])
    put_cube(sim, 'blue', (0.3, 0.0, 0.10))
    sim.step(0.01)
    assert sim.wrong_cube()


@pytest.mark.parametrize('timestep_s', [0.0, -0.002, math.nan])
def test_bad_timestep_is_refused(timestep_s: float) -> None:
    with pytest.raises(SimError, match='timestep'):
        ArmSim(timestep_s=timestep_s)


@pytest.mark.parametrize('duration_s', [-0.1, math.nan])
def test_bad_duration_is_refused(sim: ArmSim, duration_s: float) -> None:
    with pytest.raises(SimError, match='duration'):
        sim.step(duration_s)


SHARED = ArmSim()
