# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Actions in units of a network, and back."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

_SMALLEST_CHANGE_RAD = 0.02


class Clipping(Protocol):
    """Knows the range of clean actions in network units."""

    def clip(self, units: Tensor) -> Tensor:
        """Return actions cut to the range."""


class ActionScale(nn.Module):  # type: ignore[misc]
    """Joints as change against the observed state, the gripper as -1 (closed) to 1 (open).

    Statistics are NaN until they are set, so that a network without them cannot give a number.

    Args:
        steps: Actions of a chunk.
        joints: Arm joints; the gripper comes after them.
        gripper_max_m: Opening that is called 1, m.
    """

    def __init__(self, *, steps: int, joints: int, gripper_max_m: float) -> None:
        super().__init__()
        self.joints = joints
        self.gripper_max_m = gripper_max_m
        self.register_buffer('change_scale', torch.full((steps, joints), float('nan')))
        self.register_buffer('largest', torch.full((), float('nan')))

    def set_statistics(self, *, state: Tensor, actions: Tensor, weights: Tensor) -> None:
        """Take the scale from training data.

        Args:
            state: (n, joints + 1), rad and m.
            actions: Chunks, (n, steps, joints + 1).
            weights: (n, steps), 0 where the action counts for nothing.
        """
        change = actions[..., : self.joints] - state[:, None, : self.joints]
        known = weights[..., None]
        count = known.sum(dim=0).clamp(min=1.0)
        spread = ((change**2 * known).sum(dim=0) / count).sqrt()
        # A joint that the task does not use must not rule the loss.
        self.change_scale.copy_(spread.clamp(min=_SMALLEST_CHANGE_RAD))
        self.largest.copy_((change / self.change_scale * known).abs().max().clamp(min=1.0))

    def normalise(self, state: Tensor, actions: Tensor) -> Tensor:
        """Return actions (..., steps, joints + 1) in network units.

        Args:
            state: What was observed, (..., joints + 1).
            actions: (..., steps, joints + 1), rad and m.
        """
        change = actions[..., : self.joints] - state[..., None, : self.joints]
        opening = 2.0 * actions[..., self.joints :] / self.gripper_max_m - 1.0
        return torch.cat([change / self.change_scale, opening], dim=-1)

    def restore(self, state: Tensor, units: Tensor) -> Tensor:
        """Return absolute actions, rad and m; the gripper within its range."""
        arm = state[..., None, : self.joints] + units[..., : self.joints] * self.change_scale
        opening = (0.5 * units[..., self.joints :] + 0.5).clamp(0.0, 1.0) * self.gripper_max_m
        return torch.cat([arm, opening], dim=-1)

    def line(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return gain and offset (1, steps, joints + 1).

        `restore` is gain * units + offset for grippers within their range.
        """
        steps = len(self.change_scale)
        half = torch.full_like(self.change_scale[None, :, :1], 0.5 * self.gripper_max_m)
        arm = state[:, None, : self.joints].expand(1, steps, self.joints)
        return torch.cat([self.change_scale[None], half], dim=-1), torch.cat([arm, half], dim=-1)

    def clip(self, units: Tensor) -> Tensor:
        """Return actions in network units, cut to the range of the training data."""
        arm = torch.minimum(torch.maximum(units[..., : self.joints], -self.largest), self.largest)
        return torch.cat([arm, units[..., self.joints :].clamp(-1.0, 1.0)], dim=-1)
