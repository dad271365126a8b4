# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What the training of a `ChunkPolicy` minimises."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from bc_runtime.training.network import ChunkPolicy


def chunk_loss(
    policy: ChunkPolicy, raw: Tensor, *, state: Tensor, actions: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the L1 loss of the joints and the cross entropy of the gripper, both scalars.

    Args:
        policy: Gives the scales.
        raw: Output of `ChunkPolicy.predict`, (batch, chunk_size, joints + 1).
        state: What the policy observed, (batch, joints + 1).
        actions: Targets, (batch, chunk_size, joints + 1), rad and m.
        weights: (batch, chunk_size), 0 where the target counts for nothing.
    """
    joints = policy.joints
    known = weights[..., None]
    total = known.sum().clamp(min=1.0)
    wanted = (actions[..., :joints] - state[:, None, :joints]) / policy.change_scale
    arm = ((raw[..., :joints] - wanted).abs() * known).sum() / (total * joints)
    opening = (actions[..., joints:] / policy.gripper_max_m).clamp(0.0, 1.0)
    entropy = binary_cross_entropy_with_logits(raw[..., joints:], opening, reduction='none')
    return arm, (entropy * known).sum() / total
