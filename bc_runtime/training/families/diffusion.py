# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Diffusion Policy: a chunk is found by taking noise away step by step.

Chi et al., 'Diffusion Policy: Visuomotor Policy Learning via Action Diffusion', RSS 2023, with the
cosine schedule of Nichol and Dhariwal, 'Improved Denoising Diffusion Probabilistic Models', ICML
2021, and the deterministic sampler of Song, Meng and Ermon, 'Denoising Diffusion Implicit Models',
ICLR 2021. The network predicts the clean chunk; the whole sampling loop is in the graph, and the
first noise is an input: the same noise gives the same chunk.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bc_runtime.spec.inputs import NoiseInput
from bc_runtime.spec.sampling import COSINE, Sampling
from bc_runtime.training.families.denoiser import Denoiser
from bc_runtime.training.families.head import Batch, Head, weighted_mean
from bc_runtime.training.families.scaling import Clipping

_COSINE_OFFSET = 0.008
_SMALLEST_SIGNAL = 1e-4
# Noise levels that each observation of a batch is trained at.
_LEVELS = 2


def signal_share(level: Tensor) -> Tensor:
    """Return alpha-bar, the share of the variance that is signal, at noise levels in [0, 1]."""
    angle = (level + _COSINE_OFFSET) / (1.0 + _COSINE_OFFSET) * (math.pi / 2)
    first = math.cos(_COSINE_OFFSET / (1.0 + _COSINE_OFFSET) * (math.pi / 2)) ** 2
    return (torch.cos(angle) ** 2 / first).clamp(_SMALLEST_SIGNAL, 1.0)


class DiffusionHead(Head):
    """A denoiser and DDIM.

    Args:
        denoiser: Predicts the clean chunk.
        scale: Cuts it to the range of the training data, at every step of the sampling.
        sampling_steps: Of DDIM.
    """

    def __init__(self, denoiser: Denoiser, scale: Clipping, *, sampling_steps: int) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.scale = scale
        # Numbers, not tensors: the exported graph holds them as constants.
        self.levels = torch.linspace(1.0, 0.0, sampling_steps + 1).tolist()
        self.shares = signal_share(torch.tensor(self.levels, dtype=torch.float64)).tolist()
        steps, dimensions = denoiser.shape
        self.own_inputs = (
            NoiseInput(name='noise', shape=(1, steps, dimensions), distribution='normal'),
        )

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean squared error of the clean chunk, at random noise levels."""
        condition = batch.condition.repeat(_LEVELS, 1)
        clean = batch.target.repeat(_LEVELS, 1, 1)
        level = torch.rand(len(clean))
        share = signal_share(level)[:, None, None]
        noisy = share.sqrt() * clean + (1.0 - share).sqrt() * torch.randn_like(clean)
        guess = self.denoiser(noisy, level, condition)
        return weighted_mean((guess - clean) ** 2, batch.weights.repeat(_LEVELS, 1))

    def sampling(self) -> Sampling:
        """Return the loop of `forward`."""
        return Sampling(
            method='ddim',
            steps=len(self.levels) - 1,
            prediction='sample',
            schedule=COSINE,
            clipped_noise=True,
        )

    def predict(self, sample: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        """Return the clean chunk."""
        return self.denoiser(sample, time, condition)

    def forward(self, condition: Tensor, *own: Tensor) -> tuple[Tensor, ...]:
        """Return the chunk that the noise (1, steps, dimensions) leads to."""
        (x,) = own
        steps = zip(self.levels[:-1], self.shares[:-1], self.shares[1:], strict=True)
        for level, share, next_share in steps:
            guess = self.denoiser(x, torch.full_like(x[:, 0, 0], level), condition)
            clean = self.scale.clip(guess)
            # The noise that this guess implies, kept for the next, lower level.
            noise = (x - math.sqrt(share) * clean) / math.sqrt(1.0 - share)
            x = math.sqrt(next_share) * clean + math.sqrt(1.0 - next_share) * noise
        return (x,)
