# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Claims that a point in the plane can show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from bc_runtime.training.claims import plane
from bc_runtime.training.claims.learner import PlanePolicy, learn
from bc_runtime.training.claims.result import Claim, Count
from bc_runtime.training.families.denoiser import Denoiser
from bc_runtime.training.families.diffusion import DiffusionHead
from bc_runtime.training.families.flow import FlowHead
from bc_runtime.training.families.gmm import GmmHead
from bc_runtime.training.families.head import Head
from bc_runtime.training.families.mlp import MlpHead

Floats = NDArray[np.float64]

CHUNKS: Final = (1, 2, 4, 8, 16)
_HIDDEN: Final = 64
_DEMONSTRATIONS: Final = 12
_WALKS_PER_POLICY: Final = 20
_PUSH: Final = 0.008
_OFF_PATH: Final = 0.15
_HORIZONS: Final = (5, 10, 20, 40, 60)
_CHUNK: Final = 8
_EXECUTED: Final = 4
_TWO_WAYS: Final = 40


def error_growth(*, policies: int, updates: int) -> tuple[Claim, Claim]:
    """Try how far one-step and chunking policies get from the path, and how often they lose it.

    Args:
        policies: Trained per chunk size, each from other demonstrations.
        updates: Optimiser steps of each.

    Returns:
        The distance from the path over time, and success over chunk size.
    """
    distance: dict[str, tuple[float, ...]] = {}
    kept: list[Count] = []
    for chunk in CHUNKS:
        gaps = np.concatenate([_path_gaps(chunk, seed, updates) for seed in range(policies)])
        # Where a walk has ended its last distance stands.
        distance[f'chunk {chunk}'] = tuple(float(gaps[:, h - 1].mean()) for h in _HORIZONS)
        good = int((gaps[:, : _HORIZONS[-1]].max(axis=1) < _OFF_PATH).sum())
        kept.append(Count(successes=good, trials=len(gaps)))
    setting = (
        f'A point follows a winding path, cloned from {_DEMONSTRATIONS} demonstrations that stay '
        f'near it; squared error; it sees its position, is pushed by {_PUSH:g} at random in every '
        f'step of {plane.STEP:g}, and executes each chunk to its end. {policies} policies of '
        f'{_WALKS_PER_POLICY} walks for each chunk size.'
    )
    growth = Claim(
        key='error_growth',
        title='Error over time, one step against chunks',
        claim='The error of one-step cloning grows with the square of the horizon (Ross and '
        'Bagnell, AISTATS 2010); chunks shorten the effective horizon (Zhao et al., RSS 2023).',
        setting=setting,
        variable='step',
        columns=tuple(float(h) for h in _HORIZONS),
        counts=MappingProxyType({}),
        values=MappingProxyType(distance),
        unit='mean distance from the path',
    )
    sizes = Claim(
        key='chunk_size',
        title='Success over chunk size',
        claim='Success rises with the chunk size and falls again when chunks get so long that the '
        'policy no longer reacts (Zhao et al., RSS 2023, figure 8).',
        setting=setting + f' Success: never farther than {_OFF_PATH:g} from the path.',
        variable='chunk size, steps',
        columns=tuple(float(chunk) for chunk in CHUNKS),
        counts=MappingProxyType({'squared error': tuple(kept)}),
        values=MappingProxyType({}),
    )
    return growth, sizes


def two_ways(*, policies: int, updates: int) -> Claim:
    """Try which families cope with demonstrations that pass a post by either side."""
    counts: dict[str, tuple[Count, ...]] = {}
    for name, (make, chunk, executed) in _families().items():
        found = [
            _passes(make, chunk=chunk, executed=executed, seed=seed, updates=updates)
            for seed in range(policies)
        ]
        done, trials = sum(f.successes for f in found), sum(f.trials for f in found)
        counts[name] = (Count(successes=done, trials=trials),)
    return Claim(
        key='two_ways',
        title='Two ways that are equally good',
        claim='A policy under the squared error takes the mean of two ways and fails; diffusion '
        'and mixtures take one of them (Chi et al., RSS 2023; Mandlekar et al., CoRL 2021).',
        setting=f'A point passes a post to a goal; {_TWO_WAYS} demonstrations take either side by '
        f'chance, from the same starts. {policies} policies of {_WALKS_PER_POLICY} walks for each '
        'family. Success: at the goal without touching the post.',
        variable='',
        columns=(0.0,),
        counts=MappingProxyType(counts),
        values=MappingProxyType({}),
    )


class _Unit(nn.Module):  # type: ignore[misc]
    """Steps are about 1 in their units; a clean chunk is within this."""

    def clip(self, units: Tensor) -> Tensor:
        """Return chunks cut to the range."""
        return units.clamp(-1.5, 1.5)


def _families() -> Mapping[str, tuple[Callable[[], Head], int, int]]:
    """Return how to make each head, its chunk, and how many of its steps are executed."""

    def denoiser() -> Denoiser:
        return Denoiser(condition=2, hidden=_HIDDEN, blocks=2, steps=_CHUNK, dimensions=2)

    def mlp(chunk: int) -> Head:
        return MlpHead(condition=2, hidden=_HIDDEN, steps=chunk, dimensions=2)

    return {
        'squared error, 1 step': (lambda: mlp(1), 1, 1),
        f'squared error, chunk {_CHUNK}': (lambda: mlp(_CHUNK), _CHUNK, _EXECUTED),
        'LSTM and mixture, 1 step': (
            lambda: GmmHead(condition=2, hidden=_HIDDEN, modes=5, dimensions=2),
            1,
            1,
        ),
        f'diffusion, chunk {_CHUNK}': (
            lambda: DiffusionHead(denoiser(), _Unit(), sampling_steps=10),
            _CHUNK,
            _EXECUTED,
        ),
        f'flow, chunk {_CHUNK}': (
            lambda: FlowHead(denoiser(), sampling_steps=8),
            _CHUNK,
            _EXECUTED,
        ),
    }


def _path_gaps(chunk: int, seed: int, updates: int) -> Floats:
    """Return distances from the path (walks, steps) of one policy."""
    rng = np.random.Generator(np.random.PCG64((seed, 1)))
    walks = [plane.follow_path(rng) for _ in range(_DEMONSTRATIONS)]
    policy = learn(
        lambda: MlpHead(condition=2, hidden=_HIDDEN, steps=chunk, dimensions=2),
        walks,
        chunk=chunk,
        seed=seed,
        updates=updates,
    )
    start = np.repeat(walks[0].positions[:1], _WALKS_PER_POLICY, axis=0)
    positions = _walk(policy, start, steps=_HORIZONS[-1], executed=chunk, rng=rng)
    x = np.linspace(-1.2, 1.3, 1200)
    line = np.stack([x, plane.path_height(x)], axis=1)
    gaps = np.linalg.norm(positions[:, :, None] - line, axis=-1).min(axis=-1)
    return np.asarray(gaps[:, 1:])


def _passes(
    make: Callable[[], Head], *, chunk: int, executed: int, seed: int, updates: int
) -> Count:
    rng = np.random.Generator(np.random.PCG64((seed, 2)))
    walks = [plane.pass_post(rng) for _ in range(_TWO_WAYS)]
    policy = learn(make, walks, chunk=chunk, seed=seed, updates=updates)
    start = plane.start_before_post(rng, _WALKS_PER_POLICY)
    positions = _walk(policy, start, steps=100, executed=executed, rng=rng)
    at_goal = plane.arrived(positions)
    first = np.where(at_goal.any(axis=1), at_goal.argmax(axis=1), positions.shape[1])
    before = np.arange(positions.shape[1]) <= first[:, None]
    touched = (plane.hits_post(positions) & before).any(axis=1)
    good = int((at_goal.any(axis=1) & ~touched).sum())
    return Count(successes=good, trials=len(start))


def _walk(
    policy: PlanePolicy, start: Floats, *, steps: int, executed: int, rng: np.random.Generator
) -> Floats:
    """Return positions (walks, steps + 1, 2) of walks that are pushed at random."""
    policy.reset(len(start))
    positions = [start]
    while len(positions) <= steps:
        plan = policy.steps(positions[-1])
        for step in range(executed):
            push = rng.normal(0.0, _PUSH, start.shape)
            positions.append(positions[-1] + plan[:, step] + push)
    return np.stack(positions[: steps + 1], axis=1)
