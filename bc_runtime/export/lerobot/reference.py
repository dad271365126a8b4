# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The actions of LeRobot itself for the inputs of an exported graph, to compare with."""

from __future__ import annotations

from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray
import torch

from bc_runtime.export.lerobot.checkpoint import LeRobotCheckpoint
from bc_runtime.export.lerobot.contract import INSTRUCTION, input_name
from bc_runtime.export.lerobot.source import LeRobotPipeline
from bc_runtime.export.lerobot.vqbet import NOISE, drawing_with
from bc_runtime.export.proof import Reference, Tensors
from bc_runtime.export.sampling import DiffusionSampler
from bc_runtime.spec import PolicySpec


def make_reference(
    pipeline: LeRobotPipeline, checkpoint: LeRobotCheckpoint, spec: PolicySpec, module: Any
) -> Reference:
    """Return LeRobot's own actions: its preprocessor, its network, its postprocessor.

    Args:
        pipeline: LeRobot's policy object with its processors.
        checkpoint: Where it came from.
        spec: Of the graph.
        module: The graph, for its sampler.
    """
    policy = pipeline.policy

    def batch_of(tensors: Tensors) -> dict[str, Any]:
        """Each observation of the history through the preprocessor, stacked as LeRobot does."""
        batch: dict[str, list[Any]] = {}
        for step in range(spec.n_obs_steps):
            one = {}
            for feature in checkpoint.inputs:
                value = tensors[input_name(feature.key)]
                rank = 3 if feature.kind == 'VISUAL' else 1
                one[input_name(feature.key)] = value.reshape(-1, *value.shape[-rank:])[step]
            for key, tensor in pipeline.observation(one).items():
                batch.setdefault(key, []).append(tensor)
        stacked = {key: torch.stack(values, dim=1) for key, values in batch.items()}
        pictures = list(policy.config.image_features)
        if pictures:
            stacked['observation.images'] = torch.stack([stacked[k] for k in pictures], dim=-4)
        for feature in checkpoint.inputs:
            if feature.kind == 'ENV':
                stacked['observation.environment_state'] = stacked[feature.key]
        return stacked

    def act(tensors: Tensors) -> Any:
        observation = pipeline.observation(
            {input_name(f.key): tensors[input_name(f.key)][0] for f in checkpoint.inputs}
        )
        return policy.predict_action_chunk(observation)

    def diffuse(tensors: Tensors) -> Any:
        plan = sample_with_diffusers(policy.diffusion, module.sampler, batch_of(tensors), tensors)
        return plan[:, spec.n_obs_steps - 1 :]

    def decode(tensors: Tensors) -> Any:
        noise = torch.from_numpy(np.array(tensors[NOISE]))
        with drawing_with(policy.vqbet, lambda: noise):
            return policy.vqbet(batch_of(tensors), rollout=True)

    def flow(tensors: Tensors) -> Any:
        given = {input_name(f.key): tensors[input_name(f.key)][0] for f in checkpoint.inputs}
        observation = pipeline.observation({**given, INSTRUCTION: tensors[INSTRUCTION]})
        noise = torch.from_numpy(np.array(tensors['noise']))
        return policy.predict_action_chunk(observation, noise=noise)

    runs = {'act': act, 'diffusion': diffuse, 'vqbet': decode, 'smolvla': flow}
    run = runs[checkpoint.policy]

    def reference(tensors: Tensors) -> NDArray[Any]:
        with torch.no_grad():
            return np.asarray(pipeline.postprocess(run(tensors)).numpy())

    return reference


def sample_with_diffusers(
    network: Any, sampler: DiffusionSampler, batch: Any, tensors: Tensors
) -> Any:
    """Return LeRobot's plan (1, horizon, D), its own scheduler fed with our noise.

    LeRobot takes only the initial noise from outside; that of DDPM's steps comes from torch's
    generator inside the scheduler, so the scheduler's variance noise is given to it here.
    """
    from lerobot.policies.diffusion.modeling_diffusion import _make_noise_scheduler

    config = network.config
    scheduler = _make_noise_scheduler(
        sampler.method.upper(),
        num_train_timesteps=config.num_train_timesteps,
        beta_start=config.beta_start,
        beta_end=config.beta_end,
        beta_schedule=config.beta_schedule,
        clip_sample=config.clip_sample,
        clip_sample_range=config.clip_sample_range,
        prediction_type=config.prediction_type,
    )
    rest = iter(
        torch.from_numpy(np.array(tensors['step_noise'])) if sampler.needs_step_noise else ()
    )
    with (
        mock.patch.object(network, 'noise_scheduler', scheduler),
        mock.patch.object(network, 'num_inference_steps', sampler.steps),
        mock.patch(
            'diffusers.schedulers.scheduling_ddpm.randn_tensor', lambda *_, **__: next(rest)
        ),
    ):
        condition = network._prepare_global_conditioning(batch)
        return network.conditional_sample(
            1, global_cond=condition, noise=torch.from_numpy(np.array(tensors['noise']))
        )
