# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of LeRobot's (un)normalizer processors, as torch modules.

Formulas: `NormalizerProcessorStep` of LeRobot 0.4.4 (lerobot/processor/normalize_processor.py).
MEAN_STD adds eps to the deviation on the way in and not on the way out; the range modes replace a
range of zero by eps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from bc_runtime.export.lerobot.checkpoint import MODES, Normalization


class Normalize(nn.Module):  # type: ignore[misc]
    """Physical units -> the network's units."""

    def __init__(self, rule: Normalization) -> None:
        super().__init__()
        self.mode = rule.mode
        _keep(self, rule)

    def forward(self, x: Any) -> Any:
        """Normalise `x`, whose last dimensions are the feature's."""
        if self.mode == 'IDENTITY':
            return x
        if self.mode == 'MEAN_STD':
            return (x - self.low) / (self.span + self.eps)
        return 2.0 * (x - self.low) / self.span - 1.0


class Denormalize(nn.Module):  # type: ignore[misc]
    """The network's units -> physical units."""

    def __init__(self, rule: Normalization) -> None:
        super().__init__()
        self.mode = rule.mode
        _keep(self, rule)

    def forward(self, x: Any) -> Any:
        """Undo the normalisation of `x`, whose last dimensions are the feature's."""
        if self.mode == 'IDENTITY':
            return x
        if self.mode == 'MEAN_STD':
            return x * self.span + self.low
        return (x + 1.0) / 2.0 * self.span + self.low

    def line(self) -> tuple[Any, Any]:
        """Return gain and offset: `forward(x)` is gain * x + offset."""
        if self.mode == 'IDENTITY':
            return torch.ones(()), torch.zeros(())
        if self.mode == 'MEAN_STD':
            return self.span, self.low
        return self.span / 2.0, self.span / 2.0 + self.low


def _keep(module: Any, rule: Normalization) -> None:
    """Store the offset (mean or lower end) and the span (deviation or range) as buffers."""
    module.eps = rule.eps
    if rule.mode == 'IDENTITY':
        return
    first, second = (torch.from_numpy(np.array(rule.stats[name])) for name in MODES[rule.mode])
    span = second
    if rule.mode != 'MEAN_STD':
        span = second - first
        span = torch.where(span == 0, torch.full_like(span, rule.eps), span)
    module.register_buffer('low', first)
    module.register_buffer('span', span)
