# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
import pytest

from bc_runtime.policy import Inference
from bc_runtime.sim.arm import ArmSim
from bc_runtime.sim.demonstrations import drive
from bc_runtime.sim.expert import Expert
from bc_runtime.spec import PolicySpec, RobotConfig
from bc_runtime.training.correction import ExpertChunks, correct
from bc_runtime.training.deployment_model import Conditions, DeploymentModel, Visit
from bc_runtime.training.limited import Follower
from bc_runtime.training.sim_arm import make_spec

ROBOT = Path(__file__).parents[2] / 'config' / 'robots' / 'sim_arm.yaml'
CONDITIONS = Conditions(strategy='latest', options={}, timeout_s=1.0)


@pytest.fixture
def robot() -> RobotConfig:
    return RobotConfig.from_file(ROBOT)


@dataclass
class Lazy:
    """A policy that wants to stay where it is."""

    spec: PolicySpec

    def infer(self, tensors: Mapping[str, NDArray[np.generic]]) -> Inference:
        values = np.repeat(tensors['state'], self.spec.chunk_size, axis=0).astype(np.float32)
        return Inference(values=values, inference_ns=0, seed=0, index=0)


@pytest.fixture
def lazy(data) -> Lazy:
    return Lazy(
        make_spec(chunk_size=12, training_ranges=data.ranges(), source={'command': 'test'})
    )


def visits_of(lazy: Lazy, robot: RobotConfig) -> list[Visit]:
    visits: list[Visit] = []
    model = DeploymentModel(
        spec=lazy.spec,
        infer=lambda tensors: lazy.infer(tensors).values,
        robot=robot,
        conditions=CONDITIONS,
        visited=visits.append,
    )
    model.run(3)
    return visits


def test_a_policy_step_is_visited_once_whatever_is_asked(lazy, robot):
    visits = visits_of(lazy, robot)
    assert len(visits) == pytest.approx(15, abs=1)
    times = [visit.state.done_ns for visit in visits]
    assert times == sorted(set(times))
    for visit in visits:
        np.testing.assert_allclose(visit.tensors['state'][0], visit.joints, atol=1e-6)


def test_the_target_is_what_the_expert_then_does(lazy, robot):
    visit = visits_of(lazy, robot)[5]
    chunk = ExpertChunks(robot, 12).chunk(visit)
    sim = ArmSim()
    sim.restore(visit.state)
    follow = Follower(robot)(sim, visit.velocity)
    expert, start = Expert(sim), sim.setpoint
    for row in chunk:
        np.testing.assert_allclose(row, start, atol=1e-6)
        end = expert.act()
        drive(sim, step=0, start=start, end=end, follow=follow)
        start = end
    assert np.abs(chunk[-1, :6] - chunk[0, :6]).max() > 0.05


def test_nothing_is_shown_for_a_cube_out_of_reach(lazy, robot):
    visit = visits_of(lazy, robot)[0]
    sim = ArmSim()
    sim.restore(visit.state)
    sim.data.joint(f'cube_{sim.scene.target}').qpos[:3] = (0.6, 0.0, 0.025)
    away = Visit(
        tensors=visit.tensors, joints=visit.joints, state=sim.state(), velocity=visit.velocity
    )
    assert ExpertChunks(robot, 12).chunk(away) is None


def test_corrections_hold_every_visit_with_its_target(lazy, robot):
    lines: list[str] = []
    found = correct(lazy, robot=robot, scenes=[3, 4], conditions=[CONDITIONS], say=lines.append)
    assert (found.trials, found.successes) == (2, 0)
    assert found.samples.actions.shape == (len(found.samples), 12, 7)
    assert len(found.samples) == pytest.approx(30, abs=2)
    assert found.samples.images['wrist'].shape[1:] == (72, 96, 3)
    assert lines[-1].startswith('  2/2 trials, 0 successes')
