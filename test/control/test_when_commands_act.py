# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""A plant that holds what it is sent moves as it did when the actions were applied to it directly.

For each kind of output: a set-point or a velocity acts at once and stands for its period, the
point of a trajectory is reached at the end of its period.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from bc_runtime.control import ControlLoop, ControlOptions
from bc_runtime.execution import ActionChunk
from bc_runtime.safety import Event, State
from bc_runtime.spec import PolicySpec, RobotConfig
from bc_runtime.spec.command_kinds import COMMAND_KINDS

S = 1_000_000_000
DT = 10_000_000
POLICY = 'a' * 64
STEPS = 400

JOINTS = """
schema_version: 1
name: plant
joints:
  - {name: a, unit: rad, position: [-3, 3], velocity: 3.0, acceleration: 500.0}
joint_states: {topic: joint_states, max_age_s: 0.1}
tolerances: {tracking: 2.0, tracking_s: 5.0}
"""
BASE = """
schema_version: 1
name: base
"""
OUTPUTS = {
    'joint_trajectory': (JOINTS, 'type: joint_trajectory, joints: [a]'),
    'float64_multi_array': (JOINTS, 'type: float64_multi_array, joints: [a]'),
    'joint_state': (JOINTS, 'type: joint_state, joints: [a]'),
    'float64_multi_array velocity': (
        JOINTS,
        'type: float64_multi_array, interface: velocity, joints: [a]',
    ),
    'joint_state velocity': (JOINTS, 'type: joint_state, interface: velocity, joints: [a]'),
    'twist': (BASE, 'type: twist, axes: {linear.x: {velocity: 3.0, acceleration: 500.0}}'),
    'twist_stamped': (
        BASE,
        'type: twist_stamped, axes: {linear.x: {velocity: 3.0, acceleration: 500.0}}',
    ),
}


def robot(output: str) -> RobotConfig:
    head, command = OUTPUTS[output]
    return RobotConfig.from_yaml(f'{head}\ncommand: {{{command}, topic: c, rate_hz: 100.0}}\n')


def spec(name: str, kind: str, unit: str, *, hz: float) -> PolicySpec:
    return PolicySpec.from_dict(
        {
            'schema_version': 1,
            'name': 'wave',
            'family': 'mlp',
            'control_hz': hz,
            'chunk_size': STEPS,
            'inputs': [
                {
                    'kind': 'image', 'name': 'i', 'shape': [1, 4, 4, 3], 'camera': 'front',
                    'height': 4, 'width': 4, 'layout': 'HWC', 'dtype': 'uint8', 'color': 'rgb',
                    'resize': {'mode': 'stretch', 'interpolation': 'area'},
                }
            ],
            'output': {
                'name': 'action',
                'groups': [{'kind': kind, 'names': [name], 'units': [unit]}],
            },
        }
    )  # fmt: skip


def wave(rate: bool) -> np.ndarray:
    """Actions that are 0 until AUTO has begun: positions or velocities, (STEPS, 1)."""
    t = np.maximum(np.arange(STEPS) * 0.01 - 0.6, 0.0)
    return (0.4 * np.sin(3.0 * t) ** 2 if rate else 0.2 * (1.0 - np.cos(3.0 * t)))[:, None]


def deployed(output: str, kind: str, unit: str, actions: np.ndarray) -> tuple[int, list[tuple]]:
    """Run one chunk; return when its first action was due, and (tick time, command) in AUTO."""
    config = robot(output)
    options = ControlOptions(interpolation='hold', strategy='latest', strategy_options={})
    loop = ControlLoop(config, options)
    name = config.command.joints[0]
    loop.set_policy(POLICY, spec(name, kind, unit, hz=100.0))
    now, x, begun, seen = 1000 * S, 0.0, 0, []
    velocity = config.command.takes_velocities
    for tick in range(STEPS):
        now += DT
        loop.on_joint_state([name], [x], arrival_ns=now)
        loop.on_observation(valid=True, reasons=(), arrival_ns=now)
        if tick == 10:
            loop.post(Event.CONFIGURED)
            loop.post(Event.ACTIVATE)
        if tick == 20:
            loop.post(Event.START)
        if tick == 25:
            begun = now
            chunk = ActionChunk(
                stamp_ns=now, dt_ns=DT, values=actions.astype(np.float32), names=(name,),
                kinds=(kind,), sequence=1, received_ns=now, policy_id=POLICY, epoch=loop.epoch,
            )  # fmt: skip
            assert not loop.on_chunk(chunk)
        result = loop.tick(mono_ns=now, ros_ns=now)
        if result.command is None:
            continue
        if result.state is State.AUTO:
            seen.append((now, result.command))
        x = x + 0.01 * result.command.velocity[0] if velocity else result.command.position[0]
    assert len(seen) > 200
    return begun, seen


@pytest.mark.parametrize('output', [name for name in OUTPUTS if name.startswith('twist')])
def test_a_twist_is_the_action_of_its_tick(output):
    actions = wave(rate=True)
    begun, seen = deployed(output, 'linear_velocity', 'm/s', actions)
    _agrees(begun, seen, actions, after=0, of='velocity')


@pytest.mark.parametrize('output', [name for name in OUTPUTS if name.endswith('velocity')])
def test_a_joint_velocity_is_the_action_of_its_tick(output):
    """Regressions pinned: it was that of the next tick, for every kind of output."""
    actions = wave(rate=True)
    begun, seen = deployed(output, 'joint_velocity', 'rad/s', actions)
    _agrees(begun, seen, actions, after=0, of='velocity')


@pytest.mark.parametrize('output', ['float64_multi_array', 'joint_state'])
def test_a_set_point_is_the_action_of_its_tick(output):
    actions = wave(rate=False)
    begun, seen = deployed(output, 'joint_position', 'rad', actions)
    _agrees(begun, seen, actions, after=0, of='position')


def test_the_point_of_a_trajectory_is_the_action_of_the_end_of_its_tick():
    actions = wave(rate=False)
    begun, seen = deployed('joint_trajectory', 'joint_position', 'rad', actions)
    _agrees(begun, seen, actions, after=1, of='position')


@pytest.mark.parametrize('output', ['joint_trajectory', 'float64_multi_array', 'joint_state'])
def test_velocities_of_a_policy_move_positions_by_the_action_of_the_tick(output):
    """They act at once whatever carries them: x goes on by v(t) from t to t + dt."""
    actions = wave(rate=True)
    begun, seen = deployed(output, 'joint_velocity', 'rad/s', actions)
    for (_, before), (t, command) in pairwise(seen):
        moved = (command.position[0] - before.position[0]) / 0.01
        assert moved == pytest.approx(actions[(t - begun) // DT, 0], abs=1e-5)


def _agrees(begun: int, seen: list[tuple], actions: np.ndarray, *, after: int, of: str) -> None:
    """The plant at each tick is where the actions themselves would have put it."""
    for t, command in seen:
        k = min((t - begun) // DT + after, STEPS - 1)
        assert getattr(command, of)[0] == pytest.approx(float(actions[k, 0]), abs=1e-5), (k, t)


def test_each_kind_of_output_says_when_it_acts():
    assert {output.split()[0] for output in OUTPUTS} == set(COMMAND_KINDS)
    late = {name for name, kind in COMMAND_KINDS.items() if kind.acts_after}
    assert late == {'joint_trajectory'}
    assert robot('joint_trajectory').command.acts_after_s == pytest.approx(0.01)
    assert robot('twist').command.acts_after_s == 0.0
