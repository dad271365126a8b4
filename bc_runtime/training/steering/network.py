# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`SteeringPolicy`: one picture to one velocity of the body.

Pomerleau, 'ALVINN: An Autonomous Land Vehicle in a Neural Network', NIPS 1988, with the
convolutions of Bojarski et al., 'End to End Learning for Self-Driving Cars', 2016, made small.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_CHANNELS = (12, 24, 32)
_HIDDEN = 64


class SteeringPolicy(nn.Module):  # type: ignore[misc]
    """Predict (linear.x, angular.z) from a picture.

    Statistics are NaN until they are set, so that a network without them cannot give a number.

    Args:
        height: Of the picture, px; divisible by 8.
        width: Of the picture, px; divisible by 8.
        rows: Actions that the graph gives: the one prediction, held.
    """

    def __init__(self, *, height: int, width: int, rows: int) -> None:
        super().__init__()
        self.rows = rows
        layers: list[nn.Module] = []
        before = 3
        for channels in _CHANNELS:
            layers += [nn.Conv2d(before, channels, 3, stride=2, padding=1), nn.ReLU()]
            before = channels
        self.seeing = nn.Sequential(*layers)
        flat = before * (height // 8) * (width // 8)
        self.deciding = nn.Sequential(nn.Linear(flat, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, 2))
        unset = torch.full((2,), float('nan'))
        self.register_buffer('action_mean', unset)
        self.register_buffer('action_scale', unset.clone())

    def set_statistics(self, actions: Tensor) -> None:
        """Take the normalisation from training data, (n, 2) m/s and rad/s."""
        self.action_mean.copy_(actions.mean(dim=0))
        self.action_scale.copy_(actions.std(dim=0) + 1e-3)

    def predict(self, image: Tensor) -> Tensor:
        """Return velocities (batch, 2) in network units of images (batch, h, w, 3) in [-1, 1]."""
        seen = self.seeing(image.permute(0, 3, 1, 2))
        return self.deciding(seen.flatten(1))

    def forward(self, image: Tensor) -> Tensor:
        """Return actions (1, rows, 2), m/s and rad/s, of a uint8 image (1, height, width, 3)."""
        units = self.predict(image.to(self.action_mean.dtype) / 127.5 - 1.0)
        velocity = units * self.action_scale + self.action_mean
        return velocity[:, None].repeat(1, self.rows, 1)
