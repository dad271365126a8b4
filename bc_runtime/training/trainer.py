# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The optimiser loop: a fixed number of steps on one thread, the same from the same seed."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
import math
import time

import numpy as np
import torch
from torch import Tensor

from bc_runtime.sim import task
from bc_runtime.spec.errors import ConfigError
from bc_runtime.training.checkpoint import make_policy
from bc_runtime.training.demonstration_set import DemonstrationSet
from bc_runtime.training.loss import chunk_loss
from bc_runtime.training.network import ChunkPolicy
from bc_runtime.training.recipe import Recipe

_LINES = 20
_CYCLE_SEEDS = 1000


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
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(recipe.seed)
    actions, weights = (torch.from_numpy(each) for each in data.chunks(recipe.chunk_size))
    state = torch.from_numpy(data.state)
    policy = make_policy(recipe)
    policy.set_statistics(state=state, actions=actions, weights=weights)
    begin, result = time.process_time(), None
    for cycle in range(recipe.cycles):
        # A cycle depends on the averaged weights that it starts from and on its number alone.
        seed = recipe.seed + cycle * _CYCLE_SEEDS
        if cycle:
            torch.manual_seed(seed)
        result = run_cycle(
            policy, data, recipe, seed=seed, rate=recipe.learning_rate * 0.5**cycle, say=say
        )
        policy = result.policy
    if result is None:
        raise ConfigError('expected at least 1', source='recipe', path='cycles')
    return replace(result, cpu_s=time.process_time() - begin)


def run_cycle(
    start: ChunkPolicy,
    data: DemonstrationSet,
    recipe: Recipe,
    *,
    seed: int,
    rate: float,
    say: Callable[[str], None],
) -> TrainingResult:
    """Train for `recipe.steps` updates from a policy's weights, with a schedule of their own.

    Warm restarts after Loshchilov and Hutter, 'SGDR: Stochastic Gradient Descent with Warm
    Restarts', ICLR 2017.

    Args:
        start: Weights to start from; not changed.
        data: Demonstrations.
        recipe: Everything that may be chosen.
        seed: Of the batches.
        rate: Peak learning rate.
        say: Takes lines of progress.
    """
    batches = np.random.Generator(np.random.PCG64(seed))
    actions, weights = (torch.from_numpy(each) for each in data.chunks(recipe.chunk_size))
    state = torch.from_numpy(data.state)
    images = [torch.from_numpy(data.images[camera]) for camera in task.CAMERAS]
    instruction = torch.from_numpy(data.instructions())
    policy = deepcopy(start).train().to(memory_format=torch.channels_last)
    average = deepcopy(policy)
    optimiser = torch.optim.AdamW(policy.parameters(), lr=rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, recipe))
    begin, recent = time.process_time(), _Recent()
    say(f'training: {len(data)} steps of {len(data.lengths)} episodes, {recipe.steps} updates')
    for step in range(1, recipe.steps + 1):
        pick = torch.from_numpy(batches.integers(0, len(data), recipe.batch))
        here = state[pick] + _state_noise(recipe)
        pictures = _augment([image[pick] for image in images], recipe)
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
        if step % max(1, recipe.steps // _LINES) == 0 or step == recipe.steps:
            say(
                f'  update {step}/{recipe.steps}: joints {recent.joint:.4f}, gripper '
                f'{recent.gripper:.4f}, {(time.process_time() - begin) / 60:.1f} CPU min'
            )
    return TrainingResult(
        policy=average.eval(),
        joint_loss=recent.joint,
        gripper_loss=recent.gripper,
        cpu_s=time.process_time() - begin,
    )


def _rate(step: int, recipe: Recipe) -> float:
    """Return the learning rate's share of its peak: linear warm-up, then half a cosine."""
    warm = min(1.0, (step + 1) / recipe.warmup_steps)
    return warm * 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / recipe.steps)))


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
