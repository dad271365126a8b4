# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The network that takes noise out of a chunk; shared by diffusion and flow matching."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_TIME_FEATURES = 32
_LONGEST_PERIOD = 100.0


class Denoiser(nn.Module):  # type: ignore[misc]
    """A residual perceptron over the flattened chunk, told the observation and the noise level.

    Small chunks of few dimensions need no convolution over time. Each block is scaled and shifted
    by the condition (FiLM, Perez et al., AAAI 2018), as Diffusion Policy's U-Net is.

    Args:
        condition: Width of the condition.
        hidden: Width of the blocks.
        blocks: Their number.
        steps: Actions of the chunk.
        dimensions: Of one action.
    """

    def __init__(
        self, *, condition: int, hidden: int, blocks: int, steps: int, dimensions: int
    ) -> None:
        super().__init__()
        self.shape = (steps, dimensions)
        rates = torch.logspace(0.0, math.log10(_LONGEST_PERIOD), _TIME_FEATURES // 2)
        self.register_buffer('rates', rates, persistent=False)
        self.context = nn.Sequential(
            nn.Linear(condition + _TIME_FEATURES, hidden), nn.SiLU(), nn.Linear(hidden, hidden)
        )
        self.enter = nn.Linear(steps * dimensions, hidden)
        self.norms = nn.ModuleList(
            nn.LayerNorm(hidden, elementwise_affine=False) for _ in range(blocks)
        )
        self.films = nn.ModuleList(nn.Linear(hidden, 2 * hidden) for _ in range(blocks))
        self.layers = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(blocks))
        self.leave = nn.Linear(hidden, steps * dimensions)
        for film in self.films:
            nn.init.zeros_(film.weight)
            nn.init.zeros_(film.bias)

    def forward(self, noisy: Tensor, level: Tensor, condition: Tensor) -> Tensor:
        """Return the prediction, (batch, steps, dimensions).

        Args:
            noisy: (batch, steps, dimensions).
            level: Of the noise, (batch,) in [0, 1].
            condition: (batch, c).
        """
        angle = level[:, None] * self.rates
        time = torch.cat([torch.sin(angle), torch.cos(angle)], dim=1)
        context = nn.functional.silu(self.context(torch.cat([condition, time], dim=1)))
        x = self.enter(noisy.flatten(1))
        for norm, film, layer in zip(self.norms, self.films, self.layers, strict=True):
            gain, shift = film(context).chunk(2, dim=1)
            x = x + layer(nn.functional.silu(norm(x) * (1.0 + gain) + shift))
        return self.leave(nn.functional.silu(x)).reshape(-1, *self.shape)
