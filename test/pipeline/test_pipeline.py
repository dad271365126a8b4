# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The whole loop in one process, with an injected clock and a policy that is a formula."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
import itertools

import numpy as np
import pytest

from bc_runtime.control import ControlOptions, TickResult
from bc_runtime.execution import CommittedPrefix
from bc_runtime.inference_loop import TriggerOptions, plan_at
from bc_runtime.pipeline import Pipeline, PipelineOptions
from bc_runtime.policy import Inference, NonFiniteOutput
from bc_runtime.safety import State
from bc_runtime.spec import BindingError, ExecutionError, PolicySpec, RobotConfig

S = 1_000_000_000
DT = 10_000_000
HZ = 15.0
JOINTS = ['a', 'b']

ROBOT = RobotConfig.from_yaml("""
schema_version: 1
name: two
joints:
  - {name: a, unit: rad, position: [-2, 2], velocity: 3.0, acceleration: 50.0}
  - {name: b, unit: rad, position: [-2, 2], velocity: 3.0, acceleration: 50.0}
joint_states: {topic: joint_states, max_age_s: 0.1}
command: {type: joint_trajectory, topic: joint_trajectory, joints: [a, b], rate_hz: 100.0}
tolerances: {max_observation_age_s: 1.0}
""")


def make_spec(**changes: object) -> PolicySpec:
    return PolicySpec.from_dict(
        {
            'schema_version': 1,
            'name': 'circle',
            'family': 'mlp',
            'control_hz': HZ,
            'chunk_size': 12,
            'inputs': [
                {
                    'kind': 'state',
                    'name': 'state',
                    'shape': [1, 2],
                    'joints': JOINTS,
                    'units': ['rad', 'rad'],
                }
            ],
            'output': {
                'name': 'action',
                'groups': [{'kind': 'joint_position', 'names': JOINTS, 'units': ['rad', 'rad']}],
            },
            **changes,
        }
    )


def circle(t_s: np.ndarray) -> np.ndarray:
    return np.stack([0.5 * np.sin(t_s), 0.5 * (1.0 - np.cos(t_s))], axis=-1)


@dataclass
class CirclePolicy:
    """Predicts the circle that it was trained on; knows the time as a real one knows the scene."""

    clock: Callable[[], int]
    spec: PolicySpec = field(default_factory=make_spec)
    policy_id: str = 'c' * 64
    backend: str = 'test'
    provider: str = 'test'
    path: str = ''
    warmup_s: float = 0.0
    self_test_error: float = 0.0
    broken: bool = False
    calls: int = 0

    def infer(self, tensors: Mapping[str, np.ndarray], *, prefix: object = None) -> Inference:
        self.calls += 1
        if self.broken:
            raise NonFiniteOutput('NaN')
        t = self.clock() / S + np.arange(self.spec.chunk_size) / HZ
        return Inference(
            values=circle(t).astype(np.float32), inference_ns=1000, seed=0, index=self.calls
        )

    def reset(self, *, seed: int | None = None) -> None:
        pass


class World:
    """A robot that follows at once."""

    def __init__(self, *, spec: PolicySpec | None = None, **options: object) -> None:
        self.t = 0
        self.policy = CirclePolicy(clock=self.observed, spec=spec or make_spec())
        self.pipeline = Pipeline(self.policy, ROBOT, PipelineOptions(**options))
        self.position = [0.0, 0.0]
        self.results: list[TickResult] = []

    def observed(self) -> int:
        observation = self.pipeline.observation
        return 0 if observation is None else observation.stamp_ns

    def run(self, seconds: float) -> TickResult:
        for _ in range(round(seconds * 100)):
            self.t += DT
            self.pipeline.push_joint_state(self.t, JOINTS, self.position)
            result = self.pipeline.tick(self.t)
            if result.command is not None:
                self.position = list(result.command.position)
            self.results.append(result)
        return self.results[-1]

    def started(self) -> World:
        self.run(0.1)
        self.pipeline.start()
        assert self.run(0.8).state is State.AUTO
        return self

    def commands(self) -> list[tuple[float, ...]]:
        return [r.command.position for r in self.results if r.command is not None]


@pytest.mark.parametrize('delay_s', [0.0, 0.03, 0.1, 0.3])
@pytest.mark.parametrize('strategy', ['temporal_ensemble', 'receding_horizon', 'latest'])
def test_the_robot_is_on_time_whatever_the_inference_delay(strategy: str, delay_s: float):
    world = World(
        delay_s=delay_s,
        control=ControlOptions(strategy=strategy, strategy_options={}),
    ).started()
    world.run(3.0)
    expected = circle(np.array((world.t + DT) / S))
    # What is left is the chord of linear interpolation between actions: (dt^2 / 8) * max|x''|.
    assert np.abs(np.array(world.position) - expected).max() < 0.005


def test_two_runs_are_bit_identical():
    def once() -> list[tuple[float, ...]]:
        delays = itertools.cycle([0.02, 0.05, 0.11])
        world = World(delay_s=lambda _index: next(delays)).started()
        world.run(2.0)
        return world.commands()

    assert once() == once()


def test_delay_longer_than_a_chunk_starves_and_brakes():
    world = World(delay_s=1.0)
    world.run(0.1)
    world.pipeline.start()
    world.run(4.0)
    assert not [r for r in world.results if r.state is State.AUTO and r.setpoint is None][5:]
    assert world.results[-1].state in (State.ALIGN, State.BRAKING, State.HELD, State.READY)


def test_a_policy_that_breaks_stops_the_robot_and_says_so():
    world = World().started()
    world.policy.broken = True
    with pytest.raises(NonFiniteOutput):
        world.run(1.0)


def test_inference_every_n_action_steps_asks_as_often_as_it_must():
    world = World(trigger=TriggerOptions(mode='every_n_action_steps', n_action_steps=6)).started()
    before = world.policy.calls
    world.run(6 * 6 / HZ)
    assert 5 <= world.policy.calls - before <= 8


def test_a_chunk_shorter_than_the_wanted_steps_is_renewed_before_it_ends():
    """Regressions pinned: `bc demo` with a one-step policy starved and stood still."""
    world = World(
        spec=make_spec(chunk_size=3),
        trigger=TriggerOptions(mode='every_n_action_steps', n_action_steps=6),
        control=ControlOptions(
            strategy='receding_horizon', strategy_options={'n_action_steps': 6}
        ),
    ).started()
    begin = len(world.results)
    world.run(2.0)
    assert all(result.setpoint is not None for result in world.results[begin:])


def test_a_start_without_observation_is_an_error_with_the_reason():
    world = World()
    world.pipeline.start()
    with pytest.raises(ExecutionError, match='may not start'):
        world.pipeline.tick(DT)


def test_a_policy_for_another_robot_is_refused_with_both_sides():
    policy = CirclePolicy(clock=lambda: 0)
    other = RobotConfig.from_yaml(
        'schema_version: 1\nname: one\n'
        'joints: [{name: x, unit: rad, position: [-1, 1], velocity: 1.0, acceleration: 1.0}]\n'
        'joint_states: {topic: joint_states}\n'
        'command: {type: joint_trajectory, topic: t, joints: [x], rate_hz: 100.0}\n'
    )
    with pytest.raises(BindingError, match='one'):
        Pipeline(policy, other)


def test_plan_at_resamples_linearly_and_ends_where_the_plan_ends():
    values = np.arange(10, dtype=np.float32)[:, None] * [1.0, -2.0]
    plan = CommittedPrefix(
        stamp_ns=S, dt_ns=100_000_000, names=('a', 'b'), values=values.astype(np.float32)
    )
    rows = plan_at(plan, S + 150_000_000, 100_000_000, 20)
    assert len(rows) == 8
    assert rows[:, 0] == pytest.approx(np.arange(8) + 1.5)
    assert rows[:, 1] == pytest.approx(-2.0 * (np.arange(8) + 1.5))
    assert len(plan_at(plan, S - 1, 100_000_000, 20)) == 0
