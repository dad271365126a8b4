# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Perceptrons side by side.

Networks that differ in nothing but their first weights err in different directions where the data
are few, so that the mean of their answers errs less (Lakshminarayanan, Pritzel and Blundell,
'Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles', NeurIPS 2017).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Members(nn.Module):  # type: ignore[misc]
    """Perceptrons of two hidden layers that see the same and know nothing of each other.

    Args:
        condition: Width of the condition.
        hidden: Width of the hidden layers.
        outputs: Of each perceptron.
        members: Perceptrons.
    """

    def __init__(self, *, condition: int, hidden: int, outputs: int, members: int) -> None:
        super().__init__()
        self.each = nn.ModuleList(
            nn.Sequential(
                nn.Linear(condition, hidden),
                nn.ReLU(),
                nn.Linear(hidden, hidden),
                nn.ReLU(),
                nn.Linear(hidden, outputs),
            )
            for _ in range(members)
        )

    def forward(self, condition: Tensor) -> Tensor:
        """Return the answers (members, batch, outputs) to conditions (batch, c)."""
        return torch.stack([member(condition) for member in self.each])
