# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""One-step behaviour cloning: a perceptron under the squared error.

The oldest form of the idea (Pomerleau, 'ALVINN: An Autonomous Land Vehicle in a Neural Network',
NIPS 1988). Between two ways that the demonstrations both show it takes the middle.
"""

from __future__ import annotations

from torch import Tensor

from bc_runtime.training.families.head import Batch, Head, nearer_opening, weighted_mean
from bc_runtime.training.families.members import Members


class MlpHead(Head):
    """Perceptrons of two hidden layers, each trained by itself, and the mean of their answers.

    Args:
        condition: Width of the condition.
        hidden: Width of the hidden layers.
        steps: Predicted actions.
        dimensions: Of one action.
        members: Perceptrons.
        two_openings: The answer is one of the two openings of the gripper, see `nearer_opening`.
    """

    def __init__(
        self,
        *,
        condition: int,
        hidden: int,
        steps: int,
        dimensions: int,
        members: int = 1,
        two_openings: bool = False,
    ) -> None:
        super().__init__()
        self.two_openings = two_openings
        self.shape = (steps, dimensions)
        self.members = Members(
            condition=condition,
            hidden=hidden,
            outputs=steps * dimensions,
            members=members,
        )

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean squared error of each perceptron, their mean."""
        error = (self._each(batch.condition) - batch.target) ** 2
        return weighted_mean(error.mean(dim=0), batch.weights)

    def forward(self, condition: Tensor, *own: Tensor) -> tuple[Tensor, ...]:
        """Return the actions."""
        units = self._each(condition).mean(dim=0)
        return (nearer_opening(units) if self.two_openings else units,)

    def _each(self, condition: Tensor) -> Tensor:
        return self.members(condition).reshape(-1, len(condition), *self.shape)
