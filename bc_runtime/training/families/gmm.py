# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""BC-RNN-GMM: an LSTM over the episode and a mixture of Gaussians over the next action.

After robomimic (Mandlekar et al., 'What Matters in Learning from Offline Human Demonstrations for
Robot Manipulation', CoRL 2021). The hidden state is an input and an output of the graph; the
runtime carries it and resets it with the episode. Deployed is the mean of the likeliest component,
which is what robomimic's low-noise evaluation nearly does, without drawing the component.

What a robot did a moment ago foretells what a demonstrator does next, so that a policy with a
memory can learn to go on as it goes instead of looking (de Haan, Jayaraman and Levine, 'Causal
Confusion in Imitation Learning', NeurIPS 2019). With `memory` the observation has a way of its own
to the mixture, and half of what the LSTM beside it says is left out in training.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bc_runtime.spec.inputs import RecurrentInput
from bc_runtime.training.families.head import Batch, Head

# Share of what the LSTM says that is left out in training, if there is a direct way.
_LEFT_OUT = 0.5


class GmmHead(Head):
    """One LSTM layer and the parameters of the mixture.

    Args:
        condition: Width of the condition.
        hidden: Width of the LSTM's state.
        modes: Components of the mixture.
        dimensions: Of one action; one action is predicted.
        memory: Width of the LSTM beside a direct way; 0: the LSTM alone, as wide as `hidden`.
        smallest_spread: Least standard deviation of a component, in network units.
    """

    recurrent = True

    def __init__(
        self,
        *,
        condition: int,
        hidden: int,
        modes: int,
        dimensions: int,
        memory: int = 0,
        smallest_spread: float = 0.02,
    ) -> None:
        super().__init__()
        self.smallest_spread = smallest_spread
        self.modes = modes
        self.dimensions = dimensions
        self.enter = nn.Sequential(nn.Linear(condition, hidden), nn.ReLU())
        width = memory or hidden
        self.memory = nn.LSTM(hidden, width, batch_first=True)
        self.direct: nn.Module | None = None
        if memory:
            self.left_out = nn.Dropout(_LEFT_OUT)
            self.direct = nn.Sequential(nn.Linear(hidden + width, hidden), nn.ReLU())
        self.means = nn.Linear(hidden, modes * dimensions)
        self.spreads = nn.Linear(hidden, modes * dimensions)
        self.scores = nn.Linear(hidden, modes)
        shape = (1, 1, width)
        self.own_inputs = tuple(
            RecurrentInput(
                name=name, shape=shape, dtype='float32', output=f'next_{name}', reset_value=0.0
            )
            for name in ('hidden', 'cell')
        )

    def loss(self, batch: Batch) -> Tensor:
        """Return the negative log-likelihood per dimension of action sequences."""
        entered = self.enter(batch.condition)
        seen = self._joined(entered, self.memory(entered)[0])
        wanted = batch.target[..., :1, :]
        means = self.means(seen).reshape(*seen.shape[:2], self.modes, self.dimensions)
        spreads = self.spreads(seen).reshape(means.shape)
        spreads = nn.functional.softplus(spreads) + self.smallest_spread
        each = -0.5 * ((wanted - means) / spreads) ** 2 - spreads.log()
        each = each.sum(dim=-1) - 0.5 * self.dimensions * math.log(2.0 * math.pi)
        scores = torch.log_softmax(self.scores(seen), dim=-1)
        likelihood = torch.logsumexp(scores + each, dim=-1) / self.dimensions
        known = batch.weights[..., 0]
        return -(likelihood * known).sum() / known.sum().clamp(min=1.0)

    def forward(self, condition: Tensor, *own: Tensor) -> tuple[Tensor, ...]:
        """Return the action (1, 1, dimensions), then the next hidden and cell state."""
        entered = self.enter(condition)[:, None]
        told, (hidden, cell) = self.memory(entered, own)
        seen = self._joined(entered, told)
        means = self.means(seen).reshape(-1, self.modes, self.dimensions)
        best = self.scores(seen[:, 0]).argmax(dim=1)
        chosen = means.gather(1, best[:, None, None].expand(-1, 1, self.dimensions))
        return chosen, hidden, cell

    def _joined(self, entered: Tensor, told: Tensor) -> Tensor:
        if self.direct is None:
            return told
        joined: Tensor = self.direct(torch.cat([entered, self.left_out(told)], dim=-1))
        return joined
