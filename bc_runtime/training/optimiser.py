# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The optimiser loop that every training uses: a fixed number of updates on one thread.

AdamW with a linear warm-up and half a cosine, gradients cut to a norm, and an exponential moving
average of the weights as the result. On one machine the same seed, data and settings give the same
weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
import math
import time
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from bc_runtime.spec.errors import ConfigError

Network = TypeVar('Network', bound=nn.Module)

_LINES = 10
_RECENT_UPDATES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimiserSettings:
    """How weights are updated.

    Attributes:
        steps: Updates.
        learning_rate: Peak of the schedule (linear warm-up, then half a cosine to zero).
        warmup_steps: Length of the warm-up, updates; 0: none.
        weight_decay: Of AdamW.
        gradient_norm: Gradients are scaled down to this norm.
        average_decay: Of the exponential moving average of the weights that is the result; 0: the
            last weights are the result.
    """

    steps: int
    learning_rate: float
    warmup_steps: int = 0
    weight_decay: float = 0.0
    gradient_norm: float = math.inf
    average_decay: float = 0.0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ConfigError(
                f'expected at least 1, got {self.steps}', source='recipe', path='steps'
            )

    def share(self, step: int) -> float:
        """Return the learning rate of an update, counted from 0, as a share of the peak."""
        warm = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        return warm * 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / self.steps)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained(Generic[Network]):
    """A trained network and what the training cost.

    Attributes:
        network: In inference mode.
        losses: By name, averaged over the last updates.
        cpu_s: Processor time.
    """

    network: Network
    losses: Mapping[str, float]
    cpu_s: float


#: Draws a batch and returns what is minimised, a scalar, and the losses to report, by name.
Loss = Callable[[], tuple[Tensor, Mapping[str, Tensor]]]


def seed_torch(seed: int) -> None:
    """Make what torch computes from here on depend on the seed alone."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(seed)


def optimise(
    network: Network,
    loss: Loss,
    settings: OptimiserSettings,
    *,
    say: Callable[[str], None] = lambda line: None,
    checkpoint: Callable[[Trained[Network], int], None] = lambda result, step: None,
) -> Trained[Network]:
    """Train the weights of a network that require gradients, in place.

    Args:
        network: What `loss` is computed with; in training mode afterwards.
        loss: Called once per update.
        settings: How weights are updated.
        say: Takes lines of progress.
        checkpoint: Takes what would be the result after so many updates, ten times.
    """
    network.train()
    average = deepcopy(network)
    trained = [p for p in network.parameters() if p.requires_grad]
    followed = [p for p in average.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(
        trained, lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, settings.share)
    begin, recent = time.process_time(), dict[str, float]()
    for step in range(1, settings.steps + 1):
        total, parts = loss()
        optimiser.zero_grad()
        total.backward()
        if math.isfinite(settings.gradient_norm):
            torch.nn.utils.clip_grad_norm_(trained, settings.gradient_norm)
        optimiser.step()
        schedule.step()
        # A young average follows quickly, so that it forgets the first weights.
        decay = min(settings.average_decay, step / (step + 10.0))
        with torch.no_grad():
            for slow, fast in zip(followed, trained, strict=True):
                slow.lerp_(fast, 1.0 - decay)
        for name, value in parts.items():
            now = float(value.detach())
            before = recent.get(name, now)
            recent[name] = before + (now - before) / _RECENT_UPDATES
        if step % max(1, settings.steps // _LINES) == 0 or step == settings.steps:
            told = ', '.join(f'{name} {value:.4f}' for name, value in recent.items())
            cpu_min = (time.process_time() - begin) / 60
            say(f'  update {step}/{settings.steps}: {told}, {cpu_min:.1f} CPU min')
            # Buffers, such as statistics, are not averaged.
            for slow, fast in zip(average.buffers(), network.buffers(), strict=True):
                slow.copy_(fast)
            cpu_s = time.process_time() - begin
            result = Trained(network=average.eval(), losses=dict(recent), cpu_s=cpu_s)
            if step < settings.steps:
                checkpoint(result, step)
    return result
