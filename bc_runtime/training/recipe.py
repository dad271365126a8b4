# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Every number that a training depends on, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bc_runtime.spec.errors import ConfigError

#: Optimiser steps of one nominal minute. A training is a number of steps, never a time budget, so
#: that a slow or busy machine gives the same policy; this is what one core of a server of 2023
#: does in a minute with the default network.
STEPS_PER_MINUTE: Final = 690


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a policy is trained; equal recipes give equal weights on one machine.

    Attributes:
        seed: Of the weights, the batches and the augmentation.
        first_scene: Seed of the first demonstrated scene; the next episodes count up from it.
        episodes: Successful demonstrations to train on.
        steps: Optimiser steps of a cycle.
        cycles: Each starts from the averaged weights of the one before, at half its learning rate.
        batch: Samples per step.
        learning_rate: Peak of the schedule (linear warm-up, then half a cosine to zero).
        warmup_steps: Length of the warm-up.
        weight_decay: Of AdamW.
        gradient_norm: Gradients are scaled down to this norm.
        average_decay: Of the exponential moving average of the weights that is shipped.
        width: Channels of the encoders' first layer; later layers have twice as many.
        hidden: Width of the two hidden layers of the head.
        chunk_size: Predicted steps.
        gripper_weight: Weight of the gripper's loss against that of the joints.
        state_noise_rad: Standard deviation of the noise on observed joints; covers the time
            between the images and the joint states.
        state_noise_m: The same for the gripper.
        brightness: Images are scaled by a factor within 1 +- this.
        colour_shift: Each colour is shifted by up to +- this share of the full range.
    """

    seed: int = 0
    first_scene: int = 100_000
    episodes: int = 398
    steps: int = 5500
    cycles: int = 1
    batch: int = 64
    learning_rate: float = 2e-3
    warmup_steps: int = 100
    weight_decay: float = 1e-3
    gradient_norm: float = 1.0
    average_decay: float = 0.998
    width: int = 8
    hidden: int = 384
    chunk_size: int = 12
    gripper_weight: float = 0.5
    state_noise_rad: float = 0.003
    state_noise_m: float = 0.001
    brightness: float = 0.1
    colour_shift: float = 0.03

    def __post_init__(self) -> None:
        for name in ('episodes', 'steps', 'cycles', 'batch', 'width', 'hidden', 'chunk_size'):
            if getattr(self, name) < 1:
                raise ConfigError(
                    f'expected at least 1, got {getattr(self, name)}', source='recipe', path=name
                )
        for name in ('seed', 'first_scene'):
            if getattr(self, name) < 0:
                raise ConfigError(
                    f'expected 0 or more, got {getattr(self, name)}', source='recipe', path=name
                )


def steps_of(minutes: float) -> int:
    """Return the optimiser steps of a number of nominal minutes; see `STEPS_PER_MINUTE`."""
    if not minutes > 0.0:
        raise ConfigError(
            f'expected more than 0, got {minutes:g}', source='recipe', path='minutes'
        )
    return max(1, round(minutes * STEPS_PER_MINUTE))
