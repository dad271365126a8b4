# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Training of the family chunk: batches with augmentation, the L1 loss, averaged weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy

import numpy as np
import torch
from torch import Tensor

from bc_runtime.sim import task
from bc_runtime.training.checkpoint import make_policy
from bc_runtime.training.demonstration_set import DemonstrationSet
from bc_runtime.training.loss import chunk_loss
from bc_runtime.training.network import ChunkPolicy
from bc_runtime.training.optimiser import OptimiserSettings, Trained, optimise, seed_torch
from bc_runtime.training.recipe import Recipe
from bc_runtime.training.samples import SamplePool


def train(
    data: DemonstrationSet, recipe: Recipe, *, say: Callable[[str], None]
) -> Trained[ChunkPolicy]:
    """Train a policy on demonstrations.

    Args:
        data: Demonstrations.
        recipe: Everything that may be chosen.
        say: Takes lines of progress.
    """
    torch.manual_seed(recipe.seed)
    pool = SamplePool([data.samples(recipe.chunk_size)])
    policy = make_policy(recipe)
    policy.set_statistics(
        state=torch.from_numpy(pool.state),
        actions=torch.from_numpy(pool.actions),
        weights=torch.from_numpy(pool.weights),
    )
    return train_further(
        policy,
        pool,
        recipe,
        seed=recipe.seed,
        steps=recipe.steps,
        rate=recipe.learning_rate,
        say=say,
    )


def train_further(
    start: ChunkPolicy,
    pool: SamplePool,
    recipe: Recipe,
    *,
    seed: int,
    steps: int,
    rate: float,
    say: Callable[[str], None],
) -> Trained[ChunkPolicy]:
    """Train for a number of updates from a policy's weights, with a schedule of their own.

    What comes out depends on the arguments alone. The losses are `joints` (L1 in units of the
    change's scale) and `gripper` (cross entropy).

    Args:
        start: Weights to start from; not changed.
        pool: What to learn.
        recipe: Everything that may be chosen.
        seed: Of batches and augmentation.
        steps: Updates.
        rate: Peak learning rate.
        say: Takes lines of progress.
    """
    seed_torch(seed)
    batches = np.random.Generator(np.random.PCG64(seed))
    actions, weights = torch.from_numpy(pool.actions), torch.from_numpy(pool.weights)
    state, instruction = torch.from_numpy(pool.state), torch.from_numpy(pool.instruction)
    policy = deepcopy(start).to(memory_format=torch.channels_last)

    def loss() -> tuple[Tensor, Mapping[str, Tensor]]:
        rows = batches.integers(0, len(pool), recipe.batch)
        pick = torch.from_numpy(rows)
        here = state[pick] + _state_noise(recipe)
        pictures = _augment(
            [torch.from_numpy(pool.images(camera, rows)) for camera in task.CAMERAS], recipe
        )
        raw = policy.predict(here, pictures, instruction[pick])
        joint, gripper = chunk_loss(
            policy, raw, state=here, actions=actions[pick], weights=weights[pick]
        )
        return joint + recipe.gripper_weight * gripper, {'joints': joint, 'gripper': gripper}

    say(f'training: {len(pool)} observations, {steps} updates')
    settings = OptimiserSettings(
        steps=steps,
        learning_rate=rate,
        warmup_steps=recipe.warmup_steps,
        weight_decay=recipe.weight_decay,
        gradient_norm=recipe.gradient_norm,
        average_decay=recipe.average_decay,
    )
    return optimise(policy, loss, settings, say=say)


def _state_noise(recipe: Recipe) -> Tensor:
    scale = torch.full((len(task.JOINT_NAMES),), recipe.state_noise_rad)
    scale[-1] = recipe.state_noise_m
    return torch.randn(recipe.batch, len(task.JOINT_NAMES)) * scale


def _augment(images: list[Tensor], recipe: Recipe) -> list[Tensor]:
    """Bring uint8 images (batch, height, width, 3) to about [-1, 1], each a little brighter."""
    varied = []
    for image in images:
        gain = 1.0 + recipe.brightness * (2.0 * torch.rand(len(image), 1, 1, 1) - 1.0)
        shift = recipe.colour_shift * (2.0 * torch.rand(len(image), 1, 1, 3) - 1.0)
        varied.append(torch.addcmul(2.0 * shift - 1.0, image.to(torch.float32), gain / 127.5))
    return varied
