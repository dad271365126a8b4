# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Every number that a training depends on, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bc_runtime.spec.errors import ConfigError

_AT_LEAST_ONE: Final = (
    *('episodes', 'steps', 'round_trials', 'round_steps', 'batch'),
    *('width', 'hidden', 'chunk_size'),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a policy is trained; equal recipes give equal weights on one machine.

    Attributes:
        seed: Of the weights, the batches and the augmentation.
        first_scene: Seed of the first demonstrated scene; the next episodes count up from it.
        episodes: Successful demonstrations to train on.
        steps: Optimiser steps on the demonstrations.
        rounds: Of DAgger: the policy acts, the expert corrects, training goes on with all of it.
        round_trials: Trials in a round.
        round_steps: Optimiser steps of a round, at half the learning rate; it starts from the
            averaged weights of the one before.
        first_trial: Seed of the scene of the first trial; the rounds count up from it.
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
    episodes: int = 400
    steps: int = 5500
    rounds: int = 0
    round_trials: int = 150
    round_steps: int = 4000
    first_trial: int = 200_000
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
        for name in _AT_LEAST_ONE:
            if getattr(self, name) < 1:
                raise ConfigError(
                    f'expected at least 1, got {getattr(self, name)}', source='recipe', path=name
                )
        for name in ('seed', 'first_scene', 'first_trial', 'rounds'):
            if getattr(self, name) < 0:
                raise ConfigError(
                    f'expected 0 or more, got {getattr(self, name)}', source='recipe', path=name
                )

    def command(self, policy: str) -> str:
        """Return what to type for a policy of this recipe."""
        chosen = ('seed', 'steps', 'episodes', 'rounds', 'round_trials', 'round_steps')
        options = (f'--{name.replace("_", "-")} {getattr(self, name)}' for name in chosen)
        return f'bc train {policy} {" ".join(options)}'
