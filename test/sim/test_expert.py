# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import mujoco
import numpy as np
import pytest

from bc_runtime.sim.arm import ArmSim
from bc_runtime.sim.demonstrations import KickPlan, drive, record
from bc_runtime.sim.expert import POLICY_HZ, Expert
from bc_runtime.sim.kinematics import DownwardKinematics
from bc_runtime.sim.task import INSTRUCTIONS

EPISODES = 20


def test_expert_succeeds_with_commands_near_the_arm(sim: ArmSim) -> None:
    demonstrations = [record(sim, 1000 + seed) for seed in range(EPISODES)]
    assert sum(each.success for each in demonstrations) >= 18
    for each in demonstrations:
        # action[k + 1] answers the state at step k.
        ahead = np.abs(each.action[1:, :6] - each.state[:-1, :6])
        assert ahead.max() < 0.6


def test_expert_depends_on_the_state_alone(sim: ArmSim) -> None:
    """What it did before does not matter: what it shows can be learned from one observation."""
    sim.reset(4)
    experienced = Expert(sim)
    for _ in range(20):
        end = experienced.act()
        sim.command(end)
        sim.step(1 / POLICY_HZ)
        assert Expert(sim).act() == pytest.approx(end, abs=0.3)
    assert np.array_equal(experienced.act(), Expert(sim).act())


def place(sim: ArmSim, colour: str, *, x: float, y: float, yaw: float) -> None:
    joint = sim.data.joint(f'cube_{colour}')
    joint.qpos[:] = (x, y, 0.025, np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2))
    joint.qvel[:] = 0
    mujoco.mj_forward(sim.model, sim.data)


@pytest.mark.parametrize('yaw', np.linspace(-np.pi, np.pi, 13))
def test_expert_takes_a_cube_however_it_is_turned(sim: ArmSim, yaw: float) -> None:
    sim.reset(7)
    where = sim.scene.cubes[sim.scene.target]
    place(sim, sim.scene.target, x=where.x, y=where.y, yaw=yaw)
    assert finish(sim)


def test_expert_takes_a_cube_from_the_side_that_is_free(sim: ArmSim) -> None:
    sim.reset(7, INSTRUCTIONS['red'])
    place(sim, 'red', x=0.27, y=0.05, yaw=0.0)
    place(sim, 'green', x=0.27, y=0.05 + 0.065, yaw=0.0)
    place(sim, 'blue', x=0.20, y=0.20, yaw=0.0)
    assert finish(sim)
    assert not sim.wrong_cube()


def finish(sim: ArmSim) -> bool:
    """Let the expert act until the task is done, for 12 s at most."""
    expert = Expert(sim)
    start = sim.setpoint
    for _ in range(12 * POLICY_HZ):
        end = expert.act()
        drive(sim, step=0, start=start, end=end)
        start = end
        if sim.success():
            return True
    return False


def test_expert_recovers_from_kicks(sim: ArmSim) -> None:
    demonstrations = [record(sim, seed, kicks=KickPlan()) for seed in range(8)]
    assert sum(each.success for each in demonstrations) >= 7
    assert all(each.kick.any() for each in demonstrations)


@pytest.mark.parametrize('instruction', INSTRUCTIONS.values())
def test_expert_does_as_told(sim: ArmSim, instruction: str) -> None:
    each = record(sim, 5, instruction=instruction)
    assert each.success
    assert each.instruction == instruction


def test_expert_is_deterministic(sim: ArmSim) -> None:
    first = record(sim, 3, kicks=KickPlan())
    second = record(ArmSim(), 3, kicks=KickPlan())
    assert np.array_equal(first.action, second.action)
    assert np.array_equal(first.kick, second.kick)


def test_kinematics_reaches_poses_over_the_table(sim: ArmSim) -> None:
    kinematics = DownwardKinematics(sim.model)
    rng = np.random.default_rng(0)
    for _ in range(30):
        angle, radius = rng.uniform(-1.0, 0.9), rng.uniform(0.2, 0.38)
        goal = [radius * np.cos(angle), radius * np.sin(angle), rng.uniform(0.02, 0.15)]
        yaw = rng.uniform(-0.7, 0.7) + np.pi
        joints = kinematics.solve(goal, yaw, sim.setpoint[:6])
        position, reached = kinematics.forward(joints)
        assert position == pytest.approx(goal, abs=1e-3)
        assert np.cos(reached - yaw) == pytest.approx(1.0, abs=1e-4)
