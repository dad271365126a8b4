# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The seam between a family and everything that the families share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bc_runtime.spec.inputs import PolicyInput
from bc_runtime.spec.sampling import Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What a head learns from.

    Attributes:
        condition: What the head sees of the observation, (batch, c); (batch, time, c) for
            recurrent heads.
        target: Actions in network units, (batch, [time,] steps, 7).
        weights: (batch, [time,] steps), 0 where the target counts for nothing.
    """

    condition: Tensor
    target: Tensor
    weights: Tensor


class Head(nn.Module):  # type: ignore[misc]
    """What makes a family: from the condition to actions in network units."""

    #: Inputs beside the observation: sampling noise, hidden state.
    own_inputs: tuple[PolicyInput, ...] = ()
    #: Trained on windows of episodes, in order.
    recurrent: bool = False

    def losses(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return `loss`, what is minimised, and its parts if it has any; scalars."""
        return {'loss': self.loss(batch)}

    def loss(self, batch: Batch) -> Tensor:
        """Return what is minimised, a scalar."""
        raise NotImplementedError

    def sampling(self) -> Sampling | None:
        """Return the loop over `predict`, without its limits; None: the head has none."""
        return None

    def predict(self, sample: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        """Return what the network says in one step of the loop."""
        raise NotImplementedError

    def forward(self, condition: Tensor, *own: Tensor) -> tuple[Tensor, ...]:
        """Return actions in network units (1, steps, 7), then the next hidden state if any.

        Args:
            condition: (1, c).
            own: One tensor per own input.
        """
        raise NotImplementedError


def weighted_mean(error: Tensor, weights: Tensor) -> Tensor:
    """Return the mean of errors (..., steps, dimensions) over the steps that count."""
    total = weights.sum().clamp(min=1.0) * error.shape[-1]
    return (error * weights[..., None]).sum() / total


def nearer_opening(units: Tensor) -> Tensor:
    """Return actions (..., dimensions) with the last dimension, the gripper, at -1 or 1.

    The demonstrations know no other opening: one between is a mean of two that nobody showed.
    """
    opening = torch.where(units[..., -1:] < 0.0, -1.0, 1.0)
    return torch.cat([units[..., :-1], opening], dim=-1)
