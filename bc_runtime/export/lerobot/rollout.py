# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""LeRobot's own closed loop over given observations, under the noise that our runtime would draw.

`select_action` at every control tick: queues, observation history, temporal ensembling and resets
are LeRobot's. What it returns is what a deployment of the same checkpoint must give.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
import contextlib
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray
import torch

from bc_runtime.export.lerobot.source import LeRobotPipeline
from bc_runtime.export.lerobot.vqbet import NOISE, drawing_with
from bc_runtime.export.proof import Tensors
from bc_runtime.policy.own_inputs import noise_for
from bc_runtime.spec import PolicySpec
from bc_runtime.spec.inputs import NoiseInput


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rollout:
    """What LeRobot did.

    Attributes:
        actions: (T, D) physical actions, one per tick.
        inferred: Ticks at which the network ran.
    """

    actions: NDArray[np.float32]
    inferred: tuple[int, ...]


def lerobot_rollout(
    policy: Any,
    pipeline: LeRobotPipeline,
    spec: PolicySpec,
    observations: Sequence[Tensors],
    *,
    resets: Collection[int] = (),
    seed: int = 0,
) -> Rollout:
    """Run LeRobot over observations.

    Args:
        policy: LeRobot's policy object.
        pipeline: Its processors.
        spec: Of the exported policy, for the noise.
        observations: Graph inputs of each tick, without batch and history dimensions.
        resets: Ticks at which a new episode begins; the first tick always is one.
        seed: Noise seed of the first episode; later ones count up.
    """
    noise = tuple(item for item in spec.inputs if isinstance(item, NoiseInput))
    actions, inferred = [], []
    episode, index = seed - 1, 0
    step_noise: list[Any] = []

    code_noise: list[Any] = []

    def next_step_noise(*_: Any, **__: Any) -> Any:
        return step_noise.pop(0)

    where = 'diffusers.schedulers.scheduling_ddpm.randn_tensor'
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        stack.enter_context(mock.patch(where, next_step_noise))
        if hasattr(policy, 'vqbet'):
            stack.enter_context(drawing_with(policy.vqbet, lambda: code_noise[0]))
        for tick, tensors in enumerate(observations):
            if tick == 0 or tick in resets:
                policy.reset()
                episode, index = episode + 1, 0
            options = {}
            runs = _will_infer(policy)
            if runs:
                inferred.append(tick)
                drawn = noise_for(noise, seed=episode, index=index)
                index += 1
                if 'noise' in drawn:
                    options['noise'] = torch.from_numpy(np.array(drawn['noise']))
                if NOISE in drawn:
                    code_noise[:] = [torch.from_numpy(np.array(drawn[NOISE]))]
                step_noise[:] = list(torch.from_numpy(np.array(drawn.get('step_noise', ()))))
            action = policy.select_action(pipeline.observation(tensors), **options)
            actions.append(np.asarray(pipeline.postprocess(action).numpy())[0])
    return Rollout(actions=np.array(actions, dtype=np.float32), inferred=tuple(inferred))


def _will_infer(policy: Any) -> bool:
    if getattr(policy.config, 'temporal_ensemble_coeff', None) is not None:
        return True
    queue = policy._queues['action'] if hasattr(policy, '_queues') else policy._action_queue
    return len(queue) == 0
