# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Diffusion and flow sampling as one graph: every random number is an input, the loop is inside.

A sampler is a table of numbers, one row per step, so DDPM, DDIM and Euler are the same loop:

    x0, e  = what the network says, as clean sample and as noise
    x'     = to_clean * clip(x0) + to_sample * x + to_noise * e + sigma * step_noise

DDPM: Ho et al. 2020 (https://arxiv.org/abs/2006.11239), equation 7 and fixed small variance.
DDIM: Song et al. 2021 (https://arxiv.org/abs/2010.02502), equation 12 with eta = 0.
Steps are spaced as by `diffusers` with `timestep_spacing='leading'`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
import math
from typing import Any, Final

import torch
from torch import nn

from bc_runtime.export.errors import ExportError
from bc_runtime.spec.errors import available
from bc_runtime.spec.sampling import DISCRETE_SCHEDULES, PREDICTIONS, VELOCITY, Sampling

SCHEDULES: Final = DISCRETE_SCHEDULES
METHODS: Final = ('ddpm', 'ddim')
_SMALLEST_VARIANCE: Final = 1e-20

#: (sample (1, H, D), timestep (1,)) -> what the network predicts (1, H, D).
Denoiser = Callable[[Any, Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffusionSchedule:
    """How the training added noise.

    Attributes:
        train_steps: Number of noise levels.
        betas: Name of the schedule.
        prediction: What the network predicts.
        clip: The clean sample is clipped to +-clip in normalised units; None: not at all.
    """

    train_steps: int
    betas: str
    beta_start: float
    beta_end: float
    prediction: str
    clip: float | None

    def __post_init__(self) -> None:
        for name, value, known in (
            ('beta schedule', self.betas, SCHEDULES),
            ('prediction type', self.prediction, PREDICTIONS),
        ):
            if value not in known:
                raise ExportError(f'expected a {name} of {available(known)}, got {value!r}')

    def kept(self) -> Any:
        """Return the share of the signal's variance left at each level (alpha bar), float32."""
        n = self.train_steps
        if self.betas == 'linear':
            betas = torch.linspace(self.beta_start, self.beta_end, n, dtype=torch.float32)
        elif self.betas == 'scaled_linear':
            ends = (self.beta_start**0.5, self.beta_end**0.5)
            betas = torch.linspace(*ends, n, dtype=torch.float32) ** 2
        else:
            level = [_cosine(i / n) for i in range(n + 1)]
            steps = zip(level[1:], level[:-1], strict=True)
            betas = torch.tensor([min(1.0 - low / high, 0.999) for low, high in steps])
        return torch.cumprod(1.0 - betas, dim=0)


class DiffusionSampler(nn.Module):  # type: ignore[misc]
    """The whole sampling loop.

    Args:
        schedule: Of the training.
        method: `ddpm` or `ddim`.
        steps: Network calls, 1 to `schedule.train_steps`.
        unroll: Write every step into the graph instead of one loop: the file and the export time
            grow with the steps, but runtimes that cannot capture loops can run it.
    """

    def __init__(
        self, schedule: DiffusionSchedule, *, method: str, steps: int, unroll: bool = False
    ) -> None:
        super().__init__()
        if method not in METHODS:
            raise ExportError(f'expected a sampler of {available(METHODS)}, got {method!r}')
        if not 1 <= steps <= schedule.train_steps:
            raise ExportError(
                f'expected 1 to {schedule.train_steps} sampling steps (the noise levels of the '
                f'training), got {steps}'
            )
        self.schedule = schedule
        self.method = method
        self.steps = steps
        self.unroll = unroll
        self.prediction = schedule.prediction
        self.clip = schedule.clip
        timesteps, table = _table(schedule, method, steps)
        self.register_buffer('timesteps', timesteps)
        self.register_buffer('table', table)

    @property
    def needs_step_noise(self) -> bool:
        """Whether `forward` needs one noise tensor per step, as DDPM does."""
        return self.method == 'ddpm'

    def plan(self, names: Sequence[str], *, first_row: int = 0) -> Sampling:
        """Return the same loop for two graphs.

        Args:
            names: Of the action dimensions.
            first_row: Row of the sample that is row 0 of the chunk.
        """
        return Sampling(
            method=self.method,
            steps=self.steps,
            prediction=self.prediction,
            schedule=self.schedule.betas,
            train_steps=self.schedule.train_steps,
            beta_start=self.schedule.beta_start,
            beta_end=self.schedule.beta_end,
            clip={} if self.clip is None else dict.fromkeys(names, self.clip),
            first_row=first_row,
        )

    def forward(self, denoise: Denoiser, noise: Any, step_noise: Any = None) -> Any:
        """Return the sample (1, H, D) in normalised units.

        Args:
            denoise: The network with its condition.
            noise: (1, H, D) standard normal.
            step_noise: (steps, 1, H, D) standard normal, for DDPM.
        """
        if self.needs_step_noise and step_noise is None:
            raise ExportError('DDPM needs one noise tensor per step as an input, got none')

        def step(index: Any, sample: Any) -> Any:
            row = self.table.index_select(0, index)[0]
            said = denoise(sample, self.timesteps.index_select(0, index))
            result = self._step(row, said, sample)
            if step_noise is not None:
                result = result + row[5] * step_noise.index_select(0, index)[0]
            return result

        return run_steps(step, noise, steps=self.steps, unroll=self.unroll)

    def _step(self, row: Any, said: Any, sample: Any) -> Any:
        signal, blur = row[0], row[1]
        if self.prediction == 'epsilon':
            error, clean = said, (sample - blur * said) / signal
        elif self.prediction == 'sample':
            error, clean = (sample - signal * said) / blur, said
        else:
            error, clean = signal * said + blur * sample, signal * sample - blur * said
        if self.clip is not None:
            clean = clean.clamp(-self.clip, self.clip)
        return row[2] * clean + row[3] * sample + row[4] * error


class FlowSampler(nn.Module):  # type: ignore[misc]
    """Euler steps along a learned velocity.

    Args:
        steps: Network calls.
        start: Flow time of the noise; the data lies at `end` (pi0: 1 to 0; others: 0 to 1).
        end: Flow time of the data.
        unroll: See `DiffusionSampler`.
    """

    def __init__(
        self, *, steps: int, start: float = 0.0, end: float = 1.0, unroll: bool = False
    ) -> None:
        super().__init__()
        if steps < 1:
            raise ExportError(f'expected at least 1 sampling step, got {steps}')
        self.steps = steps
        self.unroll = unroll
        self.start, self.end = start, end
        self.dt = (end - start) / steps
        # Rounded once, as trainers do it: a velocity may feel the last digit of the time.
        times = [start + self.dt * index for index in range(steps)]
        self.register_buffer('times', torch.tensor(times, dtype=torch.float32))

    def plan(self, *, first_row: int = 0) -> Sampling:
        """Return the same loop for two graphs; see `DiffusionSampler.plan`."""
        return Sampling(
            method='euler',
            steps=self.steps,
            prediction=VELOCITY,
            start=self.start,
            end=self.end,
            first_row=first_row,
        )

    def forward(self, velocity: Denoiser, noise: Any) -> Any:
        """Return the sample (1, H, D); `velocity` takes the sample and the flow time (1,)."""

        def step(index: Any, sample: Any) -> Any:
            return sample + self.dt * velocity(sample, self.times.index_select(0, index))

        return run_steps(step, noise, steps=self.steps, unroll=self.unroll)


def run_steps(
    step: Callable[[Any, Any], Any], sample: Any, *, steps: int, unroll: bool = False
) -> Any:
    """Apply `step(index (1,), sample) -> sample` for index 0 to steps - 1.

    While torch.export traces, the loop becomes one loop in the graph; otherwise it is Python's.
    """
    if unroll or not torch.compiler.is_exporting():
        for index in range(steps):
            sample = step(torch.full((1,), index, dtype=torch.int64), sample)
        return sample
    from torch._higher_order_ops.while_loop import while_loop

    def unfinished(index: Any, _: Any) -> Any:
        return index[0] < steps

    def body(index: Any, value: Any) -> Any:
        # The loop demands the same strides in every round.
        return index + 1, step(index, value).contiguous()

    first = torch.zeros(1, dtype=torch.int64)
    return while_loop(unfinished, body, (first, sample.contiguous()))[1]


def _table(schedule: DiffusionSchedule, method: str, steps: int) -> tuple[Any, Any]:
    """Return the timesteps (steps,) and the rows (steps, 6) of the loop's formula.

    In float32 throughout, as diffusers has it: where little noise is left, 1 - alpha loses digits,
    and a network deployed with other digits moves away from what it was evaluated with (7e-5 after
    100 steps).
    """
    kept = schedule.kept()
    one, zero = torch.ones(()), torch.zeros(())
    stride = schedule.train_steps // steps
    timesteps = (torch.arange(steps) * stride).flip(0)
    rows = []
    for t in timesteps.tolist():
        now = kept[t]
        after = kept[t - stride] if t >= stride else one
        ends = (now**0.5, (1 - now) ** 0.5)
        if method == 'ddim':
            rows.append(torch.stack([*ends, after**0.5, zero, (1 - after) ** 0.5, zero]))
            continue
        ratio = now / after
        to_clean = after**0.5 * (1 - ratio) / (1 - now)
        to_sample = ratio**0.5 * (1 - after) / (1 - now)
        variance = ((1 - after) / (1 - now) * (1 - ratio)).clamp(min=_SMALLEST_VARIANCE)
        sigma = variance**0.5 if t > 0 else zero
        rows.append(torch.stack([*ends, to_clean, to_sample, zero, sigma]))
    return timesteps, torch.stack(rows)


def _cosine(part: float) -> float:
    # Nichol and Dhariwal 2021 (https://arxiv.org/abs/2102.09672), equation 17.
    return math.cos((part + 0.008) / 1.008 * math.pi / 2) ** 2
