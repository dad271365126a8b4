# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""A family's policy as one module: encoders, head and normalisation, as it is exported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from bc_runtime.export.errors import ExportError
from bc_runtime.sim import task
from bc_runtime.spec.errors import ConfigError
from bc_runtime.spec.sampling import Sampling
from bc_runtime.training.families.act import ActHead, ActSize
from bc_runtime.training.families.denoiser import Denoiser
from bc_runtime.training.families.diffusion import DiffusionHead
from bc_runtime.training.families.flow import FlowHead
from bc_runtime.training.families.gmm import GmmHead
from bc_runtime.training.families.head import Head
from bc_runtime.training.families.mlp import MlpHead
from bc_runtime.training.families.recipe import FamilyRecipe
from bc_runtime.training.families.rt1 import TokenHead
from bc_runtime.training.families.scaling import ActionScale
from bc_runtime.training.families.vision import Vision

_DIMENSIONS = len(task.JOINT_NAMES)
# A feature that hardly moves must not become noise.
_SMALLEST_FEATURE_SPREAD = 0.01


class FamilyPolicy(nn.Module):  # type: ignore[misc]
    """Raw observations in, physical actions out.

    Args:
        vision: The image encoders.
        head: The family.
        scale: Of the actions.
        held: Rows in which the graph gives the first action of a one-step head; 0: the chunk as
            it is.
    """

    def __init__(self, *, vision: Vision, head: Head, scale: ActionScale, held: int) -> None:
        super().__init__()
        self.vision = vision
        self.head = head
        self.scale = scale
        self.held = held
        unset = torch.full((_DIMENSIONS,), float('nan'))
        self.register_buffer('state_mean', unset)
        self.register_buffer('state_scale', unset.clone())
        unset = torch.full((vision.features,), float('nan'))
        self.register_buffer('feature_mean', unset)
        self.register_buffer('feature_scale', unset.clone())

    def set_statistics(
        self, *, features: Tensor, state: Tensor, actions: Tensor, weights: Tensor
    ) -> None:
        """Take the normalisation from training data; see `ActionScale.set_statistics`.

        Args:
            features: Of the images, (n, f).
            state: (n, 7), rad and m.
            actions: Chunks, (n, steps, 7).
            weights: (n, steps), 0 where the action counts for nothing.
        """
        # A soft-argmax moves by little where it matters: a millimetre of the cube's place.
        self.feature_mean.copy_(features.mean(dim=0))
        self.feature_scale.copy_(features.std(dim=0) + _SMALLEST_FEATURE_SPREAD)
        self.state_mean.copy_(state.mean(dim=0))
        self.state_scale.copy_(state.std(dim=0) + 1e-3)
        self.scale.set_statistics(state=state, actions=actions, weights=weights)
        if isinstance(self.head, TokenHead):
            self.head.set_range(self.scale.normalise(state, actions), weights)

    def condition(self, features: Tensor, state: Tensor, instruction: Tensor) -> Tensor:
        """Return what the head sees of observations (..., features), (..., 7), (..., 3)."""
        joints = (state - self.state_mean) / self.state_scale
        seen = (features - self.feature_mean) / self.feature_scale
        return torch.cat([seen, joints, instruction], dim=-1)

    def encode(self, state: Tensor, *rest: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return gain, offset and the condition; see `TwoGraphModule`."""
        gain, offset = self.scale.line(state)
        return gain, offset, self._see(state, *rest)

    def predict(self, sample: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        """Return what the head's network says in one step of the sampling."""
        return self.head.predict(sample, time, condition)

    def sampling(self, names: Sequence[str]) -> Sampling:
        """Return the loop outside the graphs, with the limits of clean actions."""
        plan = self.head.sampling()
        if plan is None:
            raise ExportError('only diffusion and flow can be exported as two graphs')
        # A gripper stays in its range; joints are cut where the one-graph loop cuts them.
        limits = dict.fromkeys(names[self.scale.joints :], 1.0)
        if isinstance(self.head, DiffusionHead):
            limits |= dict.fromkeys(names[: self.scale.joints], float(self.scale.largest))
        return replace(plan, clip=limits)

    def forward(self, state: Tensor, *rest: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return absolute actions (1, chunk_size, 7), then the next hidden state if there is one.

        Args:
            state: (1, 7), rad and m.
            rest: One uint8 image per camera (1, height, width, 3), the instruction (1, 3), then
                the head's own inputs.
        """
        own = rest[len(task.CAMERAS) + 1 :]
        units, *hidden = self.head(self._see(state, *rest), *own)
        actions = self.scale.restore(state, units)
        if self.held:
            actions = actions[:, :1].repeat(1, self.held, 1)
        return (actions, *hidden) if hidden else actions

    def _see(self, state: Tensor, *rest: Tensor) -> Tensor:
        cameras = len(task.CAMERAS)
        images = [image.to(self.state_mean.dtype) / 127.5 - 1.0 for image in rest[:cameras]]
        instruction = rest[cameras]
        return self.condition(self.vision(images, instruction), state, instruction)


def make_family(recipe: FamilyRecipe, vision: Vision) -> FamilyPolicy:
    """Return the network of a recipe, with random weights in its head and without statistics."""
    scale = ActionScale(
        steps=recipe.told,
        joints=len(task.ARM_JOINT_NAMES),
        gripper_max_m=task.GRIPPER_MAX_M,
    )
    width = vision.features + _DIMENSIONS + vision.instructions
    return FamilyPolicy(
        vision=vision, head=_head(recipe, vision, width, scale), scale=scale, held=recipe.held
    )


def _head(recipe: FamilyRecipe, vision: Vision, condition: int, scale: ActionScale) -> Head:
    if recipe.family == 'act':
        return ActHead(
            grid=vision.grid,
            cameras=len(vision.encoders),
            joints=_DIMENSIONS,
            instructions=vision.instructions,
            steps=recipe.chunk_size,
            dimensions=_DIMENSIONS,
            kl_weight=recipe.kl_weight,
            size=ActSize(width=recipe.hidden, layers=recipe.blocks, style=recipe.style),
        )
    if recipe.family in ('diffusion', 'flow'):
        denoiser = Denoiser(
            condition=condition,
            hidden=recipe.hidden,
            blocks=recipe.blocks,
            steps=recipe.chunk_size,
            dimensions=_DIMENSIONS,
        )
        if recipe.family == 'flow':
            return FlowHead(denoiser, sampling_steps=recipe.sampling_steps)
        return DiffusionHead(denoiser, scale, sampling_steps=recipe.sampling_steps)
    if recipe.family == 'mlp':
        return MlpHead(
            condition=condition,
            hidden=recipe.hidden,
            steps=recipe.told,
            dimensions=_DIMENSIONS,
            members=recipe.members,
            two_openings=recipe.two_openings,
        )
    if recipe.chunk_size != 1:
        raise ConfigError(
            f'the family {recipe.family} predicts one action, got {recipe.chunk_size}',
            source='recipe',
            path='chunk_size',
        )
    if recipe.family == 'gmm':
        return GmmHead(
            condition=condition,
            hidden=recipe.hidden,
            modes=recipe.modes,
            dimensions=_DIMENSIONS,
            memory=recipe.memory,
            smallest_spread=recipe.smallest_spread,
        )
    if recipe.family == 'rt1':
        return TokenHead(
            condition=condition,
            hidden=recipe.hidden,
            tokens=recipe.tokens,
            dimensions=_DIMENSIONS,
        )
    raise ConfigError(f'unknown policy family {recipe.family!r}', source='recipe', path='family')
