# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""A head of the policy families, learning from walks in the plane."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor

from bc_runtime.training.claims.plane import STEP, Walk
from bc_runtime.training.families.head import Batch, Head
from bc_runtime.training.optimiser import OptimiserSettings, optimise, seed_torch

_BATCH = 128
_WALKS_AT_ONCE = 16
_RATE = 2e-3
_WEIGHT_DECAY = 1e-4

Floats = NDArray[np.float64]


class PlanePolicy:
    """Steps from positions: the head's units are steps of the usual length.

    Args:
        head: Trained by `learn`.
        noise: Makes the head's noise, if it takes any.
    """

    def __init__(self, head: Head, noise: torch.Generator) -> None:
        self._head = head
        self._noise = noise
        self._hidden: tuple[Tensor, ...] = ()

    def reset(self, count: int) -> None:
        """Begin `count` walks side by side."""
        if self._head.recurrent:
            self._hidden = tuple(
                torch.zeros(1, count, item.shape[-1]) for item in self._head.own_inputs
            )

    def steps(self, positions: Floats) -> Floats:
        """Return the next steps (count, steps, 2) of walks at positions (count, 2)."""
        condition = torch.from_numpy(positions.astype(np.float32))
        own = self._hidden
        if self._head.own_inputs and not self._head.recurrent:
            shape = (len(positions), *self._head.own_inputs[0].shape[1:])
            own = (torch.randn(shape, generator=self._noise),)
        with torch.no_grad():
            units, *hidden = self._head(condition, *own)
        self._hidden = tuple(hidden)
        return np.asarray(units.numpy(), dtype=np.float64) * STEP


def learn(
    make: Callable[[], Head], walks: Sequence[Walk], *, chunk: int, seed: int, updates: int
) -> PlanePolicy:
    """Train a head on walks.

    Args:
        make: Makes the head, with random weights.
        walks: Demonstrations.
        chunk: Steps that it predicts.
        seed: Of the weights and the batches.
        updates: Optimiser steps.
    """
    seed_torch(seed)
    rng = np.random.Generator(np.random.PCG64(seed))
    head = make()
    data = [_targets(walk, chunk) for walk in walks]

    def loss() -> tuple[Tensor, Mapping[str, Tensor]]:
        value = head.loss(_windows(data, rng) if head.recurrent else _rows(data, rng))
        return value, {'loss': value}

    settings = OptimiserSettings(steps=updates, learning_rate=_RATE, weight_decay=_WEIGHT_DECAY)
    trained = optimise(head, loss, settings).network
    return PlanePolicy(trained, torch.Generator().manual_seed(seed))


def _targets(walk: Walk, chunk: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return positions (n, 2), the next steps (n, chunk, 2) and their weights (n, chunk)."""
    steps = np.diff(walk.positions, axis=0) / STEP
    count = len(steps)
    index = np.arange(count)[:, None] + np.arange(chunk)
    known = (index < count).astype(np.float32)
    return (
        torch.from_numpy(walk.positions[:-1].astype(np.float32)),
        torch.from_numpy(steps[np.minimum(index, count - 1)].astype(np.float32)),
        torch.from_numpy(known),
    )


def _rows(data: Sequence[tuple[Tensor, Tensor, Tensor]], rng: np.random.Generator) -> Batch:
    positions, steps, known = (torch.cat(parts) for parts in zip(*data, strict=True))
    pick = torch.from_numpy(rng.integers(0, len(positions), _BATCH))
    return Batch(condition=positions[pick], target=steps[pick], weights=known[pick])


def _windows(data: Sequence[tuple[Tensor, Tensor, Tensor]], rng: np.random.Generator) -> Batch:
    chosen = [data[i] for i in rng.integers(0, len(data), _WALKS_AT_ONCE)]
    condition, target, weights = (
        torch.nn.utils.rnn.pad_sequence(list(parts), batch_first=True)
        for parts in zip(*chosen, strict=True)
    )
    return Batch(condition=condition, target=target, weights=weights)
