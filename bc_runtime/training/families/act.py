# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""ACT: a conditional variational autoencoder whose decoder is a transformer over a long chunk.

Zhao et al., 'Learning Fine-Grained Bimanual Manipulation with Low-Cost Hardware', RSS 2023. In
training an encoder reduces the demonstrated chunk and the joints to a style z, which is told to
the policy with the observation; so the policy need not take the mean of several ways to do the
same. Deployed, z is 0, the mean of its prior. The loss is L1 on the actions and the divergence of
z from its prior.

As small as one processor core asks for: a grid of cells of each camera's feature maps is the image
(`Vision`), with 2-D sine positions; one token per camera tells where its features are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bc_runtime.training.families.head import Batch, Head, weighted_mean
from bc_runtime.training.families.transformer import (
    DecoderLayer,
    EncoderLayer,
    sine_positions,
    sine_positions_2d,
)
from bc_runtime.training.families.vision import Grid

_HEADS = 4
# Cells of the feature maps that become one token, each way.
_PATCH = 2
# Of the demonstrated chunk the style encoder reads every fourth action: z tells a style.
_STYLE_STRIDE = 4
_STYLE_LAYERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ActSize:
    """How large the network is.

    Attributes:
        width: Of the tokens.
        layers: Of the encoder.
        decoder_layers: Of the decoder.
        style: Dimensions of z.
    """

    width: int = 128
    layers: int = 3
    decoder_layers: int = 1
    style: int = 16

    @property
    def hidden(self) -> int:
        """Width of the perceptrons in the layers."""
        return 2 * self.width


class StyleEncoder(nn.Module):  # type: ignore[misc]
    """Reduce joints and a demonstrated chunk to the mean and the log variance of z.

    Args:
        size: Of the network.
        joints: Width of the observed state.
        steps: Actions of a chunk.
        dimensions: Of one action.
    """

    def __init__(self, size: ActSize, *, joints: int, steps: int, dimensions: int) -> None:
        super().__init__()
        self.joints = nn.Linear(joints, size.width)
        self.action = nn.Linear(dimensions, size.width)
        self.summary = nn.Parameter(torch.zeros(1, 1, size.width))
        self.layers = nn.ModuleList(
            EncoderLayer(width=size.width, heads=_HEADS, hidden=size.hidden)
            for _ in range(_STYLE_LAYERS)
        )
        self.norm = nn.LayerNorm(size.width)
        self.latent = nn.Linear(size.width, 2 * size.style)
        read = -(-steps // _STYLE_STRIDE)
        self.register_buffer('places', sine_positions(2 + read, size.width), persistent=False)

    def forward(self, joints: Tensor, actions: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of z, (batch, style) each.

        Args:
            joints: Standardised, (batch, j).
            actions: In network units, (batch, steps, dimensions).
            known: (batch, steps), 0 where the action counts for nothing.
        """
        read, known = actions[:, ::_STYLE_STRIDE], known[:, ::_STYLE_STRIDE]
        first = torch.cat(
            [self.summary.expand(len(joints), -1, -1), self.joints(joints)[:, None]], dim=1
        )
        tokens = torch.cat([first, self.action(read)], dim=1)
        known = torch.cat([torch.ones_like(known[:, :2]), known], dim=1)
        for layer in self.layers:
            tokens = layer(tokens, self.places, known)
        mean, log_variance = self.latent(self.norm(tokens[:, 0])).chunk(2, dim=1)
        return mean, log_variance


class ActHead(Head):
    """Transformer encoder over the observation, decoder over the steps of the chunk.

    Args:
        grid: Layout of the image features in the condition.
        cameras: Their number.
        joints: Width of the observed state in the condition.
        instructions: Width of the instruction in the condition, at its end.
        steps: Actions of a chunk.
        dimensions: Of one action.
        kl_weight: Of the divergence of z against the L1 loss.
        size: Of the network.
    """

    def __init__(
        self,
        *,
        grid: Grid,
        cameras: int,
        joints: int,
        instructions: int,
        steps: int,
        dimensions: int,
        kl_weight: float,
        size: ActSize,
    ) -> None:
        super().__init__()
        width = size.width
        self.grid = grid
        self.widths = (*(cameras * (grid.features,)), joints, instructions)
        self.style_size = size.style
        self.kl_weight = kl_weight
        self.style = StyleEncoder(size, joints=joints, steps=steps, dimensions=dimensions)
        self.patches = nn.ModuleList(
            nn.Conv2d(grid.channels, width, _PATCH, stride=_PATCH) for _ in range(cameras)
        )
        self.where = nn.ModuleList(nn.Linear(grid.points, width) for _ in range(cameras))
        self.told = nn.ModuleList(
            nn.Linear(each, width) for each in (size.style, joints, instructions)
        )
        places = sine_positions_2d(grid.rows // _PATCH, grid.columns // _PATCH, width)
        self.register_buffer('places', places.repeat(cameras, 1), persistent=False)
        # Which camera a cell is of, and what the other tokens are, is learned.
        self.camera = nn.Parameter(0.02 * torch.randn(cameras, width))
        self.others = nn.Parameter(0.02 * torch.randn(cameras + len(self.told), width))
        self.queries = nn.Parameter(torch.randn(steps, width))
        layer = {'width': width, 'heads': _HEADS, 'hidden': size.hidden}
        self.encoder = nn.ModuleList(EncoderLayer(**layer) for _ in range(size.layers))
        self.encoded = nn.LayerNorm(width)
        self.decoder = nn.ModuleList(DecoderLayer(**layer) for _ in range(size.decoder_layers))
        self.decoded = nn.LayerNorm(width)
        self.leave = nn.Linear(width, dimensions)

    def losses(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return `loss`, what is minimised, and its parts: L1 of the actions, divergence of z."""
        joints = batch.condition.split(self.widths, dim=1)[-2]
        mean, log_variance = self.style(joints, batch.target, batch.weights)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        error = (self.decode(batch.condition, z) - batch.target).abs()
        actions, kl = weighted_mean(error, batch.weights), divergence(mean, log_variance)
        return {'loss': actions + self.kl_weight * kl, 'actions': actions, 'kl': kl}

    def forward(self, condition: Tensor, *own: Tensor) -> tuple[Tensor, ...]:
        """Return the chunk of z = 0."""
        return (self.decode(condition, condition.new_zeros(len(condition), self.style_size)),)

    def decode(self, condition: Tensor, z: Tensor) -> Tensor:
        """Return actions (batch, steps, dimensions) of conditions (batch, c), z (batch, style)."""
        *images, joints, instruction = condition.split(self.widths, dim=1)
        cells, where = [], []
        for image, patch, locate in zip(images, self.patches, self.where, strict=True):
            points, maps = self.grid.split(image)
            cells.append(patch(maps).flatten(2).transpose(1, 2))
            where.append(locate(points))
        told = [layer(x) for layer, x in zip(self.told, (z, joints, instruction), strict=True)]
        memory = torch.cat([*cells, torch.stack([*where, *told], dim=1)], dim=1)
        of_camera = self.camera.repeat_interleave(cells[0].shape[1], dim=0)
        places = torch.cat([self.places + of_camera, self.others])
        for layer in self.encoder:
            memory = layer(memory, places)
        memory = self.encoded(memory)
        x = torch.zeros_like(self.queries).expand(len(condition), -1, -1)
        for layer in self.decoder:
            x = layer(x, self.queries, memory, places)
        return self.leave(self.decoded(x))


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence from the standard normal distribution, in nats.

    Args:
        mean: (batch, dimensions).
        log_variance: (batch, dimensions).

    Returns:
        Summed over the dimensions, averaged over the batch; a scalar.
    """
    each = 0.5 * (mean**2 + log_variance.exp() - 1.0 - log_variance)
    return each.sum(dim=1).mean()
