# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Raw physical observations -> what a LeRobot network expects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from bc_runtime.export.lerobot.checkpoint import LeRobotCheckpoint
from bc_runtime.export.lerobot.normalization import Normalize


class ObservationEncoder(nn.Module):  # type: ignore[misc]
    """Scales pictures, moves their channels forward, and normalises every input.

    Args:
        checkpoint: Gives the inputs and their normalisation.
    """

    def __init__(self, checkpoint: LeRobotCheckpoint) -> None:
        super().__init__()
        self.kinds = tuple(feature.kind for feature in checkpoint.inputs)
        self.rules = nn.ModuleList(
            Normalize(checkpoint.observation_norms[feature.key]) for feature in checkpoint.inputs
        )

    def forward(self, tensors: Sequence[Any]) -> tuple[Any, Any, list[Any]]:
        """Return the state, the environment state (None if there is none) and the pictures.

        Args:
            tensors: In the checkpoint's order; pictures (..., H, W, 3) uint8. Pictures come out as
                (..., 3, H, W) in the network's units.
        """
        state, environment, pictures = None, None, []
        for kind, rule, tensor in zip(self.kinds, self.rules, tensors, strict=True):
            if kind == 'VISUAL':
                lead = tuple(range(tensor.dim() - 3))
                planes = tensor.permute(*lead, *(len(lead) + axis for axis in (2, 0, 1)))
                pictures.append(rule(planes.float() / 255.0))
            elif kind == 'ENV':
                environment = rule(tensor)
            else:
                state = rule(tensor)
        return state, environment, pictures
