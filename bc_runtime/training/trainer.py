# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The optimiser loop: a fixed number of steps on one thread, the same from the same seed."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
import math
import time

import numpy as np
import torch
from torch import Tensor

from bc_runtime.sim import task
from bc_runtime.training.checkpoint import make_policy
from bc_runtime.training.demonstration_set import DemonstrationSet
from bc_runtime.training.loss import chunk_loss
from bc_runtime.training.network import ChunkPolicy
from bc_runtime.training.recipe import Recipe
from bc_runtime.training.samples import SamplePool

_LINES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """A trained network and what the training cost.

    Attributes:
        policy: With averaged weights, in inference mode.
        joint_loss: L1 of the joints in units of the change's scale, averaged over the last steps.
        gripper_loss: Cross entropy of the gripper, averaged over the last steps.
        cpu_s: Processor time.
    """

    policy: ChunkPolicy
    joint_loss: float
    gripper_loss: float
    cpu_s: float


def train(data: DemonstrationSet, recipe: Recipe, *, say: Callable[[str], None]) -> TrainingResult:
    """Train a policy on demonstrations.

    Runs on one thread with deterministic algorithms: the same data and recipe give the same
    weights on one machine.

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
    return optimise(
        policy,
        pool,
        recipe,
        seed=recipe.seed,
        steps=recipe.steps,
        rate=recipe.learning_rate,
        say=say,
    )


def optimise(
    start: ChunkPolicy,
    pool: SamplePool,
    recipe: Recipe,
    *,
    seed: int,
    steps: int,
    rate: float,
    say: Callable[[str], None],
) -> TrainingResult:
    """Train for a number of updates from a policy's weights, with a schedule of their own.

    What comes out depends on the arguments alone.

    Args:
        start: Weights to start from; not changed.
        pool: What to learn.
        recipe: Everything that may be chosen.
        seed: Of batches and augmentation.
        steps: Updates.
        rate: Peak learning rate.
        say: Takes lines of progress.
    """
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(seed)
    batches = np.random.Generator(np.random.PCG64(seed))
    actions, weights = torch.from_numpy(pool.actions), torch.from_numpy(pool.weights)
    state, instruction = torch.from_numpy(pool.state), torch.from_numpy(pool.instruction)
    policy = deepcopy(start).train().to(memory_format=torch.channels_last)
    average = deepcopy(policy)
    optimiser = torch.optim.AdamW(policy.parameters(), lr=rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: _rate(step, steps, recipe.warmup_steps)
    )
    begin, recent = time.process_time(), _Recent()
    say(f'training: {len(pool)} observations, {steps} updates')
    for step in range(1, steps + 1):
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
        optimiser.zero_grad()
        (joint + recipe.gripper_weight * gripper).backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), recipe.gradient_norm)
        optimiser.step()
        schedule.step()
        _follow(average, policy, min(recipe.average_decay, step / (step + 10.0)))
        recent.add(float(joint.detach()), float(gripper.detach()))
        if step % max(1, steps // _LINES) == 0 or step == steps:
            say(
                f'  update {step}/{steps}: joints {recent.joint:.4f}, gripper '
                f'{recent.gripper:.4f}, {(time.process_time() - begin) / 60:.1f} CPU min'
            )
    return TrainingResult(
        policy=average.eval(),
        joint_loss=recent.joint,
        gripper_loss=recent.gripper,
        cpu_s=time.process_time() - begin,
    )


def _rate(step: int, steps: int, warmup: int) -> float:
    """Return the learning rate's share of its peak: linear warm-up, then half a cosine."""
    warm = min(1.0, (step + 1) / warmup)
    return warm * 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / steps)))


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


@torch.no_grad()  # type: ignore[untyped-decorator]
def _follow(average: ChunkPolicy, policy: ChunkPolicy, decay: float) -> None:
    for slow, fast in zip(average.parameters(), policy.parameters(), strict=True):
        slow.lerp_(fast, 1.0 - decay)


class _Recent:
    """Running means of the losses, for the log."""

    def __init__(self) -> None:
        self.joint = math.nan
        self.gripper = math.nan

    def add(self, joint: float, gripper: float) -> None:
        if math.isnan(self.joint):
            self.joint, self.gripper = joint, gripper
        self.joint += 0.01 * (joint - self.joint)
        self.gripper += 0.01 * (gripper - self.gripper)
