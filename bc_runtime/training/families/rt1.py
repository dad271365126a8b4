# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""RT-1's action head: each dimension of the next action is one of 256 tokens.

Brohan et al., 'RT-1: Robotics Transformer for Real-World Control at Scale', RSS 2023; the
instruction modulates the encoders (FiLM), as there. Tokens are of the change against the observed
state; the graph takes the likeliest and gives the action in its middle. The targets are softened
over neighbouring tokens, which a small data set needs: a token's neighbours are nearly right.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bc_runtime.training.families.head import Batch, Head, weighted_mean

_SOFTNESS_TOKENS = 2.0


class TokenHead(Head):
    """Two hidden layers and a distribution over tokens for each dimension.

    Args:
        condition: Width of the condition.
        hidden: Width of the hidden layers.
        tokens: Number of tokens of a dimension.
        dimensions: Of one action; one action is predicted.
    """

    def __init__(self, *, condition: int, hidden: int, tokens: int, dimensions: int) -> None:
        super().__init__()
        self.tokens = tokens
        self.dimensions = dimensions
        self.layers = nn.Sequential(
            nn.Linear(condition, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, dimensions * tokens),
        )
        unset = torch.full((dimensions,), float('nan'))
        self.register_buffer('lowest', unset)
        self.register_buffer('width', unset.clone())

    def set_range(self, target: Tensor, weights: Tensor) -> None:
        """Spread the tokens over the targets (n, 1, dimensions) that count."""
        known = target[weights > 0]
        low = known.amin(dim=0)
        self.lowest.copy_(low)
        self.width.copy_((known.amax(dim=0) - low).clamp(min=1e-3) / self.tokens)

    def loss(self, batch: Batch) -> Tensor:
        """Return the cross entropy against softened tokens."""
        scores = self.layers(batch.condition).reshape(-1, 1, self.dimensions, self.tokens)
        place = ((batch.target - self.lowest) / self.width - 0.5).clamp(0.0, self.tokens - 1.0)
        away = place[..., None] - torch.arange(self.tokens)
        wanted = torch.softmax(-0.5 * (away / _SOFTNESS_TOKENS) ** 2, dim=-1)
        entropy = -(wanted * torch.log_softmax(scores, dim=-1)).sum(dim=-1)
        return weighted_mean(entropy, batch.weights)

    def forward(self, condition: Tensor, *own: Tensor) -> tuple[Tensor, ...]:
        """Return the action in the middle of the likeliest tokens, (1, 1, dimensions)."""
        scores = self.layers(condition).reshape(-1, 1, self.dimensions, self.tokens)
        token = scores.argmax(dim=-1).to(self.lowest.dtype)
        return (self.lowest + (token + 0.5) * self.width,)
