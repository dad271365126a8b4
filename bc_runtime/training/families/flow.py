# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Flow matching: a chunk is found by following a velocity field from noise to actions.

Lipman et al., 'Flow Matching for Generative Modeling', ICLR 2023, with straight paths (Liu et al.,
'Flow Straight and Fast', ICLR 2023), as in pi0 (Black et al., 'pi0: A Vision-Language-Action Flow
Model for General Robot Control', 2024). Time runs from 0 (noise) to 1 (actions); Euler's method,
all steps in the graph, the noise an input.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bc_runtime.spec.inputs import NoiseInput
from bc_runtime.spec.sampling import VELOCITY, Sampling
from bc_runtime.training.families.denoiser import Denoiser
from bc_runtime.training.families.head import Batch, Head, weighted_mean

_TIMES = 2


class FlowHead(Head):
    """A velocity field and Euler's method.

    Args:
        denoiser: Predicts the velocity from noise to actions.
        sampling_steps: Of Euler's method.
    """

    def __init__(self, denoiser: Denoiser, *, sampling_steps: int) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.sampling_steps = sampling_steps
        steps, dimensions = denoiser.shape
        self.own_inputs = (
            NoiseInput(name='noise', shape=(1, steps, dimensions), distribution='normal'),
        )

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean squared error of the velocity, at random times."""
        condition = batch.condition.repeat(_TIMES, 1)
        actions = batch.target.repeat(_TIMES, 1, 1)
        time = torch.rand(len(actions))
        noise = torch.randn_like(actions)
        between = torch.lerp(noise, actions, time[:, None, None])
        velocity = self.denoiser(between, time, condition)
        error = (velocity - (actions - noise)) ** 2
        return weighted_mean(error, batch.weights.repeat(_TIMES, 1))

    def sampling(self) -> Sampling:
        """Return the loop of `forward`."""
        return Sampling(method='euler', steps=self.sampling_steps, prediction=VELOCITY)

    def predict(self, sample: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        """Return the velocity."""
        return self.denoiser(sample, time, condition)

    def forward(self, condition: Tensor, *own: Tensor) -> tuple[Tensor, ...]:
        """Return the chunk that the noise (1, steps, dimensions) leads to."""
        (x,) = own
        for step in range(self.sampling_steps):
            time = torch.full_like(x[:, 0, 0], step / self.sampling_steps)
            x = x + self.denoiser(x, time, condition) / self.sampling_steps
        return (x,)
