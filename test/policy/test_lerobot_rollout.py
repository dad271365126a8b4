# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""LeRobot's closed loop against the deployed stack, from `bc export` of LeRobot checkpoints.

The files were made by scripts/lerobot_golden.py: LeRobot 0.4.4 ran `select_action` at every tick.
Here the exported policy runs behind the observation assembler, the trigger and the timeline, as in
a deployment without delay.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bc_runtime.execution import (
    ActionChunk,
    InferenceTrigger,
    Setpoint,
    Timeline,
    TriggerDecision,
    make_strategy,
)
from bc_runtime.observation import ObservationAssembler, RawImage
from bc_runtime.policy import load_policy
from bc_runtime.spec import RobotConfig

GOLDEN = Path(__file__).resolve().parents[1] / 'golden'
JOINTS = ['j1', 'j2', 'j3', 'j4']
FIRST_NS = 1_000_000_000

#: The joints of the robot come in another order than the policy's.
ROBOT = RobotConfig.from_yaml("""
schema_version: 1
name: golden
joints:
  - {name: j4, unit: m, position: [-9, 9], velocity: 9.0, acceleration: 99.0}
  - {name: j1, unit: rad, position: [-9, 9], velocity: 9.0, acceleration: 99.0}
  - {name: j2, unit: rad, position: [-9, 9], velocity: 9.0, acceleration: 99.0}
  - {name: j3, unit: rad, position: [-9, 9], velocity: 9.0, acceleration: 99.0}
cameras:
  front: {topic: front/image_raw, transport: raw, max_age_s: 0.2}
joint_states: {topic: joint_states, max_age_s: 0.2}
command: {type: joint_trajectory, topic: joint_trajectory, joints: [j1, j2, j3, j4], rate_hz: 100}
tolerances: {max_observation_age_s: 1.0}
""")


def roll_out(name: str) -> tuple[np.ndarray, np.ndarray, list[int], list[int]]:
    """Return our actions, LeRobot's, and the ticks at which each ran the network."""
    data = np.load(GOLDEN / f'{name}.npz', allow_pickle=False)
    policy = load_policy(GOLDEN / f'{name}.onnx', threads=1)
    spec = policy.spec
    resets = {0, *data['resets'].tolist()}
    trigger = InferenceTrigger(
        'every_n_action_steps', dt_ns=spec.dt_ns, n_action_steps=spec.n_action_steps
    )
    timeline = Timeline(make_strategy('receding_horizon', {'n_action_steps': spec.n_action_steps}))
    assembler, episode, actions, inferred = None, int(data['seed']) - 1, [], []
    for tick in range(len(data['actions'])):
        now_ns = FIRST_NS + tick * spec.dt_ns
        if tick in resets:
            episode += 1
            policy.reset(seed=episode)
            trigger.reset()
            timeline.clear(episode)
            assembler = ObservationAssembler(spec=spec, robot=ROBOT)
            # LeRobot fills its history with the first observation.
            for step in range(1, spec.n_obs_steps):
                push(assembler, data, tick, now_ns - step * spec.dt_ns)
        push(assembler, data, tick, now_ns)
        if trigger.decide(now_ns=now_ns, observation_ns=now_ns) is TriggerDecision.INFER:
            trigger.started(now_ns=now_ns, observation_ns=now_ns)
            inferred.append(tick)
            observation = assembler.assemble(now_ns)
            assert observation.valid, observation.reasons
            chunk = ActionChunk(
                stamp_ns=now_ns,
                dt_ns=spec.dt_ns,
                stamp_index=spec.stamp_index,
                values=policy.infer(observation.tensors).values,
                names=spec.action_names,
                kinds=spec.action_kinds,
                policy_id=policy.policy_id,
                sequence=tick,
                epoch=episode,
                received_ns=now_ns,
            )
            assert timeline.add(chunk).accepted
            trigger.finished(received_ns=now_ns)
        setpoint = timeline.at(now_ns)
        assert isinstance(setpoint, Setpoint)
        actions.append(setpoint.values)
    return np.array(actions), data['actions'], inferred, data['inferred'].tolist()


def push(assembler: ObservationAssembler, data: np.lib.npyio.NpzFile, tick: int, t_ns: int):
    order = ['j4', 'j1', 'j2', 'j3']
    position = [float(data['state'][tick][JOINTS.index(name)]) for name in order]
    assembler.push_joint_state(stamp_ns=t_ns, arrival_ns=t_ns, names=order, position=position)
    picture = data['image'][tick]
    image = RawImage(
        height=24, width=32, encoding='rgb8', step=96, is_bigendian=False, data=picture.tobytes()
    )
    assembler.push_image('front', stamp_ns=t_ns, arrival_ns=t_ns, image=image)
    if 'instruction' in data:
        assembler.set_instruction(str(data['instruction'][tick]))


@pytest.mark.parametrize(
    'name',
    ['lerobot_act', 'lerobot_diffusion_ddim', 'lerobot_diffusion_ddpm', 'lerobot_smolvla'],
)
def test_parity_with_lerobot_through_a_whole_rollout_of_the_deployed_stack(name: str) -> None:
    ours, theirs, inferred, their_inferred = roll_out(name)
    assert inferred == their_inferred
    worst = float(np.abs(ours - theirs).max())
    print(f'{name}: {len(ours)} actions, largest deviation {worst:.1e}')
    assert np.abs(theirs).max() > 0.5
    assert np.ptp(theirs, axis=0).max() > 0.05
    assert worst <= 1e-4


@pytest.mark.parametrize('name', ['lerobot_act', 'lerobot_diffusion_ddim', 'lerobot_smolvla'])
def test_the_golden_file_says_how_it_was_proven(name: str) -> None:
    source = load_policy(GOLDEN / f'{name}.onnx').spec.source
    assert source['origin'] == 'lerobot 0.4.4'
    assert source['parity']['source_max_abs_error'] <= 1e-4
    assert set(source['parity']['outputs']) == {'action'}
