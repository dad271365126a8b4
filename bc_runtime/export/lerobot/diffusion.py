# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Inference of LeRobot's Diffusion Policy as one graph, with the whole sampling loop inside.

Chi et al. 2023, https://arxiv.org/abs/2303.04137. The initial noise is an input, and with DDPM the
noise of every step is another, so a run can be repeated bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from bc_runtime.export.lerobot.checkpoint import LeRobotCheckpoint
from bc_runtime.export.lerobot.crop import make_crop_static
from bc_runtime.export.lerobot.normalization import Denormalize
from bc_runtime.export.lerobot.observation import ObservationEncoder
from bc_runtime.export.sampling import DiffusionSampler
from bc_runtime.spec.sampling import Sampling


class DiffusionGraph(nn.Module):  # type: ignore[misc]
    """Raw observations and noise -> chunk of physical actions.

    The chunk begins with the action of the newest observation and goes to the end of the network's
    horizon; LeRobot executes the first `n_action_steps` of it.

    Args:
        network: The `DiffusionModel` of a LeRobot policy.
        checkpoint: Where it came from.
        sampler: The loop.
    """

    def __init__(
        self, network: Any, checkpoint: LeRobotCheckpoint, sampler: DiffusionSampler
    ) -> None:
        super().__init__()
        config = network.config
        self.count = len(checkpoint.inputs)
        self.history = config.n_obs_steps
        self.chunk = (1, config.horizon - config.n_obs_steps + 1, config.action_feature.shape[0])
        self.separate = config.use_separate_rgb_encoder_per_camera
        self.observe = ObservationEncoder(checkpoint)
        self.unet = network.unet
        self.encoders: Any = None
        if config.image_features:
            encoders = network.rgb_encoder if self.separate else [network.rgb_encoder]
            for encoder in encoders:
                make_crop_static(encoder, config)
            self.encoders = nn.ModuleList(encoders)
        self.sampler = sampler
        self.denormalize = Denormalize(checkpoint.action_norm)

    def forward(self, *inputs: Any) -> Any:
        """Return (1, horizon - n_obs_steps + 1, D); inputs: observations, then noise."""
        observations, noises = inputs[: self.count], inputs[self.count :]
        condition = self._condition(observations)

        def denoise(sample: Any, timestep: Any) -> Any:
            return self.predict(sample, timestep, condition)

        plan = self.sampler(denoise, *noises)
        return self.denormalize(plan[:, self.history - 1 :])

    def encode(self, *observations: Any) -> tuple[Any, Any, Any]:
        """Return gain, offset and the condition; see `TwoGraphModule`."""
        gain, offset = self.denormalize.line()
        return gain.expand(self.chunk), offset.expand(self.chunk), self._condition(observations)

    def predict(self, sample: Any, time: Any, condition: Any) -> Any:
        """Return what the network says of a sample (1, horizon, D) at a timestep (1,)."""
        return self.unet(sample, time, global_cond=condition)

    def sampling(self, names: Sequence[str]) -> Sampling:
        """Return the loop outside the graphs."""
        return self.sampler.plan(names, first_row=self.history - 1)

    def _condition(self, observations: Sequence[Any]) -> Any:
        if self.history == 1:
            observations = tuple(tensor.unsqueeze(1) for tensor in observations)
        state, environment, pictures = self.observe(observations)
        parts = [state]
        if self.encoders is not None:
            parts += self._features(pictures)
        if environment is not None:
            parts.append(environment)
        return torch.cat(parts, dim=-1).flatten(start_dim=1)

    def _features(self, pictures: Sequence[Any]) -> list[Any]:
        """Return (1, history, width) of each camera, in the cameras' order."""
        features = []
        for number, picture in enumerate(pictures):
            encoder = self.encoders[number if self.separate else 0]
            features.append(encoder(picture[0]).unsqueeze(0))
        return features


def noise_inputs(
    sampler: DiffusionSampler, *, horizon: int, dimensions: int
) -> list[dict[str, object]]:
    """Return the spec's noise inputs of a sampler."""
    shape = [1, horizon, dimensions]
    inputs: list[dict[str, object]] = [
        {'kind': 'noise', 'name': 'noise', 'shape': shape, 'distribution': 'normal'}
    ]
    if sampler.needs_step_noise:
        inputs.append(
            {
                'kind': 'noise',
                'name': 'step_noise',
                'shape': [sampler.steps, *shape],
                'distribution': 'normal',
            }
        )
    return inputs
