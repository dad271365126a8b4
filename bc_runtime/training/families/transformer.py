# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Transformer blocks as in DETR: positions are added where tokens are compared, not to values.

Carion et al., 'End-to-End Object Detection with Transformers', ECCV 2020; normalised before each
block instead of after it, which trains without a long warm-up (Xiong et al., 'On Layer
Normalization in the Transformer Architecture', ICML 2020).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_LONGEST_PERIOD = 10_000.0
_IGNORED = -1e9


class Attention(nn.Module):  # type: ignore[misc]
    """Multi-head attention.

    Args:
        width: Of the tokens; divisible by `heads`.
        heads: Their number.
    """

    def __init__(self, *, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, known: Tensor | None = None
    ) -> Tensor:
        """Return (batch, q, width).

        Args:
            query: (batch, q, width).
            key: (batch, k, width).
            value: (batch, k, width).
            known: (batch, k), 0 where a token is not to be looked at; None: all are.
        """
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer, x in ((self.query, query), (self.key, key), (self.value, value))
        )
        scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])
        if known is not None:
            scores = scores + _IGNORED * (1.0 - known[:, None, None, :])
        seen = torch.softmax(scores, dim=-1) @ v
        return self.out(seen.transpose(1, 2).flatten(2))


class EncoderLayer(nn.Module):  # type: ignore[misc]
    """Tokens look at each other, then each is changed by a perceptron.

    Args:
        width: Of the tokens.
        heads: Of the attention.
        hidden: Width of the perceptron.
    """

    def __init__(self, *, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.attention = Attention(width=width, heads=heads)
        self.perceptron = _perceptron(width, hidden)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))

    def forward(self, tokens: Tensor, places: Tensor, known: Tensor | None = None) -> Tensor:
        """Return tokens (batch, n, width); see `Attention.forward` for `known`."""
        x = self.norms[0](tokens)
        tokens = tokens + self.attention(x + places, x + places, x, known)
        return tokens + self.perceptron(self.norms[1](tokens))


class DecoderLayer(nn.Module):  # type: ignore[misc]
    """Queries look at each other and at the encoder's tokens.

    Args:
        width: Of the tokens.
        heads: Of the attention.
        hidden: Width of the perceptron.
    """

    def __init__(self, *, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.among = Attention(width=width, heads=heads)
        self.across = Attention(width=width, heads=heads)
        self.perceptron = _perceptron(width, hidden)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))

    def forward(self, x: Tensor, queries: Tensor, memory: Tensor, places: Tensor) -> Tensor:
        """Return (batch, q, width).

        Args:
            x: What the queries have found so far, (batch, q, width).
            queries: Learned positions of the queries, (q, width).
            memory: The encoder's tokens, (batch, n, width).
            places: Their positions, (n, width).
        """
        y = self.norms[0](x)
        x = x + self.among(y + queries, y + queries, y)
        y = self.norms[1](x)
        x = x + self.across(y + queries, memory + places, memory)
        return x + self.perceptron(self.norms[2](x))


def sine_positions(count: int, width: int) -> Tensor:
    """Return sines and cosines of positions 0 to count - 1, (count, width); width is even."""
    rates = _LONGEST_PERIOD ** (-torch.arange(0, width, 2) / width)
    angles = torch.arange(count)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


def sine_positions_2d(rows: int, columns: int, width: int) -> Tensor:
    """Return positions of a grid, row by row, (rows * columns, width).

    The first half of the width tells the row, the second the column; width is divisible by 4.
    """
    down = sine_positions(rows, width // 2)[:, None].expand(rows, columns, -1)
    across = sine_positions(columns, width // 2)[None].expand(rows, columns, -1)
    return torch.cat([down, across], dim=-1).flatten(0, 1)


def _perceptron(width: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width))
