# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Training of the families that share the image encoders: batches of features, the head's loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor

from bc_runtime.sim import task
from bc_runtime.spec.errors import ConfigError
from bc_runtime.training.families.head import Batch
from bc_runtime.training.families.network import FamilyPolicy, make_family
from bc_runtime.training.families.recipe import FamilyRecipe
from bc_runtime.training.families.table import FeatureTable
from bc_runtime.training.families.vision import Vision
from bc_runtime.training.optimiser import OptimiserSettings, Trained, optimise, seed_torch

# A recurrent policy may be started anywhere: this share of the windows begins within an episode.
_STARTED_LATE = 0.3


def train_family(
    table: FeatureTable,
    vision: Vision,
    recipe: FamilyRecipe,
    *,
    say: Callable[[str], None],
    checkpoint: Callable[[Trained[FamilyPolicy], int], None] = lambda result, step: None,
) -> Trained[FamilyPolicy]:
    """Train the head of a family; the unit of its `loss` depends on the family.

    Args:
        table: Features of the demonstrations.
        vision: The encoders that made them; part of the result.
        recipe: Everything that may be chosen.
        say: Takes lines of progress.
        checkpoint: See `optimise`.
    """
    seed_torch(recipe.seed)
    policy = make_family(recipe, vision)
    sampler = _Sampler(table, policy, recipe)
    policy.set_statistics(
        features=torch.from_numpy(table.features[0]),
        state=torch.from_numpy(table.state),
        actions=sampler.actions,
        weights=sampler.weights,
    )

    def loss() -> tuple[Tensor, Mapping[str, Tensor]]:
        parts = policy.head.losses(sampler.next())
        return parts['loss'], parts

    say(f'training {recipe.family}: {len(table)} observations, {recipe.steps} updates')
    settings = OptimiserSettings(
        steps=recipe.steps,
        learning_rate=recipe.learning_rate,
        warmup_steps=recipe.warmup_steps,
        weight_decay=recipe.weight_decay,
        gradient_norm=recipe.gradient_norm,
        average_decay=recipe.average_decay,
    )
    return optimise(policy, loss, settings, say=say, checkpoint=checkpoint)


class _Sampler:
    """Draws batches: single observations, or windows of episodes for recurrent heads."""

    def __init__(self, table: FeatureTable, policy: FamilyPolicy, recipe: FamilyRecipe) -> None:
        # A one-step policy answers with the command for one step later, as the expert does.
        first = 1 if recipe.chunk_size == 1 else 0
        last = first + recipe.told
        if table.actions.shape[1] < last:
            raise ConfigError(
                f'expected chunks of at least {last} actions, got {table.actions.shape[1]}'
            )
        self.actions = torch.from_numpy(table.actions[:, first:last])
        self.weights = torch.from_numpy(table.weights[:, first:last])
        self._features = torch.from_numpy(table.features)
        self._state = torch.from_numpy(table.state)
        self._instruction = torch.from_numpy(table.instruction)
        self._policy = policy
        self._recipe = recipe
        self._rng = np.random.Generator(np.random.PCG64(recipe.seed))
        self._noise = torch.full((len(task.JOINT_NAMES),), recipe.state_noise_rad)
        self._noise[-1] = recipe.state_noise_m
        ends = np.cumsum(table.lengths)
        self._episodes = np.stack([ends - table.lengths, ends], axis=1)
        if policy.head.recurrent and not len(ends):
            raise ConfigError(f'the family {recipe.family} learns from whole episodes, got none')

    def next(self) -> Batch:
        """Return the next batch."""
        if self._policy.head.recurrent:
            return self._windows()
        pick = self._rng.integers(0, len(self._state), self._recipe.batch)
        return self._batch(pick, self._rng.integers(0, len(self._features), len(pick)))

    def _windows(self) -> Batch:
        """Return episodes side by side, shorter ones filled with steps that do not count."""
        rng = self._rng
        chosen = self._episodes[rng.integers(0, len(self._episodes), self._recipe.batch)]
        late = rng.random(len(chosen)) < _STARTED_LATE
        offset = rng.random(len(chosen)) * (chosen[:, 1] - chosen[:, 0]) * late
        begin, end = chosen[:, 0] + offset.astype(np.int64), chosen[:, 1]
        steps = begin[:, None] + np.arange(int((end - begin).max()))
        view = rng.integers(0, len(self._features), len(chosen))[:, None]
        batch = self._batch(np.minimum(steps, end[:, None] - 1), view)
        inside = torch.from_numpy(steps < end[:, None]).to(torch.float32)
        return Batch(
            condition=batch.condition,
            target=batch.target,
            weights=batch.weights * inside[..., None],
        )

    def _batch(self, pick: NDArray[np.int64], view: NDArray[np.int64]) -> Batch:
        rows = torch.from_numpy(pick)
        state: Tensor = self._state[rows]
        state = state + torch.randn_like(state) * self._noise
        features = self._features[torch.from_numpy(view), rows]
        return Batch(
            condition=self._policy.condition(features, state, self._instruction[rows]),
            target=self._policy.scale.normalise(state, self.actions[rows]),
            weights=self.weights[rows],
        )
