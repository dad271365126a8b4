# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Every number that the training of a family depends on, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from bc_runtime.sim.expert import POLICY_HZ
from bc_runtime.spec.errors import ConfigError

#: Policy steps for which the graph of a one-step family holds its action: a chunk is never
#: extrapolated, and the next one comes a step and a latency later.
HELD_STEPS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyRecipe:
    """How a family is trained; equal recipes and data give equal weights on one machine.

    Attributes:
        family: act, mlp, diffusion, gmm, rt1 or flow.
        seed: Of the weights, the batches and the noise.
        steps: Optimiser steps.
        batch: Samples per step; episodes per step for recurrent families.
        learning_rate: Peak of the schedule (linear warm-up, then half a cosine to zero).
        warmup_steps: Length of the warm-up.
        weight_decay: Of AdamW.
        gradient_norm: Gradients are scaled down to this norm.
        average_decay: Of the exponential moving average of the weights that is shipped.
        chunk_size: Predicted actions; 1 for one-step families, whose graph holds the action.
        foresight: Actions that the head of a one-step policy learns to tell (mlp); the graph gives
            the first. What comes after it makes the head see what the motion is for.
        hidden: Width of the head.
        blocks: Residual blocks of the denoiser (diffusion, flow), or layers of the encoder
            (act).
        sampling_steps: Of the loop in the graph (diffusion, flow).
        modes: Components of the mixture (gmm).
        memory: Width of the LSTM beside the direct way from observation to action (gmm); 0: there
            is no direct way, and the LSTM has the width of the head.
        smallest_spread: Least standard deviation of a component, in network units (gmm).
        tokens: Per dimension (rt1).
        style: Dimensions of the style z (act).
        kl_weight: Of the divergence of z from its prior against the L1 loss (act).
        coarser: Cells of the feature maps that are averaged, each way, to be seen (act); 0:
            only where features are is seen.
        rate_hz: Policy steps per second; 15 or 50.
        members: Perceptrons of the head whose answers are averaged (mlp).
        two_openings: The gripper is told to open or to close, nothing between (mlp).
        state_noise_rad: Standard deviation of the noise on observed joints; covers the time
            between the images and the joint states.
        state_noise_m: The same for the gripper.
        views: How often the features of each image are computed, each time with other colours.
        view_seed: Of the colours; not `seed`, so that trainings share the features.
        brightness: Images are scaled by a factor within 1 +- this, but for the first view.
        colour_shift: Each colour is shifted by up to +- this share of the full range.
    """

    family: str
    seed: int = 0
    steps: int
    batch: int = 256
    learning_rate: float = 1e-3
    warmup_steps: int = 200
    weight_decay: float = 1e-3
    gradient_norm: float = 1.0
    average_decay: float = 0.998
    chunk_size: int = 1
    foresight: int = 1
    hidden: int
    blocks: int = 0
    sampling_steps: int = 0
    modes: int = 0
    memory: int = 0
    smallest_spread: float = 0.02
    tokens: int = 0
    style: int = 0
    kl_weight: float = 0.0
    coarser: int = 0
    rate_hz: int = POLICY_HZ
    members: int = 1
    two_openings: bool = False
    state_noise_rad: float = 0.003
    state_noise_m: float = 0.001
    views: int = 4
    view_seed: int = 0
    brightness: float = 0.1
    colour_shift: float = 0.03

    def __post_init__(self) -> None:
        for name in ('steps', 'batch', 'hidden', 'chunk_size', 'views', 'warmup_steps'):
            if getattr(self, name) < 1:
                raise ConfigError(
                    f'expected at least 1, got {getattr(self, name)}', source='recipe', path=name
                )

    @property
    def rows(self) -> int:
        """Actions that the graph gives."""
        return self.held or self.chunk_size

    @property
    def held(self) -> int:
        """Rows in which the graph gives its one action; 0 if it gives a chunk."""
        return HELD_STEPS if self.chunk_size == 1 else 0

    @property
    def told(self) -> int:
        """Actions that the head tells."""
        return self.foresight if self.chunk_size == 1 else self.chunk_size


#: The recipes of the shipped policies, by family.
RECIPES: Final[Mapping[str, FamilyRecipe]] = MappingProxyType(
    {
        recipe.family: recipe
        for recipe in (
            FamilyRecipe(
                family='act',
                steps=5_000,
                batch=64,
                learning_rate=7e-4,
                chunk_size=100,
                rate_hz=50,
                hidden=128,
                blocks=3,
                style=16,
                kl_weight=10.0,
                coarser=3,
                views=3,
            ),
            FamilyRecipe(
                family='mlp',
                steps=6_000,
                batch=128,
                hidden=384,
                foresight=11,
                members=3,
                two_openings=True,
                state_noise_m=0.008,
            ),
            FamilyRecipe(
                family='diffusion',
                steps=6_000,
                batch=128,
                chunk_size=12,
                hidden=288,
                blocks=3,
                sampling_steps=10,
            ),
            FamilyRecipe(
                family='flow',
                steps=6_000,
                batch=128,
                chunk_size=12,
                hidden=288,
                blocks=3,
                sampling_steps=8,
            ),
            FamilyRecipe(
                family='gmm',
                steps=1_000,
                batch=16,
                hidden=256,
                modes=5,
                memory=64,
                smallest_spread=0.1,
            ),
            FamilyRecipe(family='rt1', steps=3_000, batch=128, hidden=320, tokens=256),
        )
    }
)


def recipe_of(family: str) -> FamilyRecipe:
    """Return the recipe of a shipped family.

    Raises:
        ConfigError: There is none; lists those that exist.
    """
    if family not in RECIPES:
        raise ConfigError(
            f'unknown policy family {family!r}; available: {", ".join(sorted(RECIPES))}'
        )
    return RECIPES[family]
