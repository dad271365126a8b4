# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The sampling loop of two-graph policies, in numpy: from noise to a clean sample.

A diffusion step is one row of six numbers, with x0 and e as the prediction says them:

    x' = to_clean * clip(x0) + to_sample * x + to_noise * e + sigma * step_noise

DDPM: Ho et al. 2020 (https://arxiv.org/abs/2006.11239), equation 7 and fixed small variance.
DDIM: Song et al. 2021 (https://arxiv.org/abs/2010.02502), equation 12 with eta = 0.
v-prediction: Salimans and Ho 2022 (https://arxiv.org/abs/2202.00512), appendix D.
Euler: Lipman et al. 2023 (https://arxiv.org/abs/2210.02747); x' = x + dt * velocity.
Steps are spaced as by `diffusers` with `timestep_spacing='leading'`. In float32 throughout, as
diffusers and the one-graph form have it (`bc_runtime.export.sampling`): other digits move away
from what was evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
import math

import numpy as np
from numpy.typing import NDArray

from bc_runtime.policy.errors import InferenceFailed, NonFiniteOutput, SpecMismatch
from bc_runtime.spec.sampling import COSINE, Sampling

_SMALLEST_VARIANCE = np.float32(1e-20)
_SMALLEST_SIGNAL = 1e-4

Floats = NDArray[np.float32]
#: (sample (1, H, D), time (1,)) -> prediction (1, H, D).
StepNetwork = Callable[[Floats, NDArray[np.generic]], Floats]


class Sampler:
    """The loop of one policy.

    Args:
        sampling: Method, schedule and number of steps.
        names: Of the action dimensions, for `sampling.clip`.
        source: The step network's file, for messages.

    Raises:
        SpecMismatch: the schedule leaves no signal or no noise where the formula divides by it.
    """

    def __init__(self, sampling: Sampling, names: Sequence[str], *, source: str = '') -> None:
        self._sampling = sampling
        self._source = source or 'the step network'
        limits = [sampling.clip.get(name, math.inf) for name in names]
        self._limit = np.array(limits, dtype=np.float32) if sampling.clip else None
        if sampling.method == 'euler':
            dt = (sampling.end - sampling.start) / sampling.steps
            self._dt = np.float32(dt)
            # Rounded once, as trainers do it: a velocity may feel the last digit of the time.
            exact = sampling.start + dt * np.arange(sampling.steps)
            times: NDArray[np.generic] = exact.astype(np.float32)
            self.rows: Floats = np.zeros((sampling.steps, 6), dtype=np.float32)
        elif sampling.schedule == COSINE:
            times, self.rows = _continuous(sampling.steps)
        else:
            times, self.rows = _discrete(sampling)
        _check(sampling, self.rows, self._source)
        #: What the step network is told in each step.
        self.times: NDArray[np.generic] = times

    def run(self, ask: StepNetwork, noise: Floats, step_noise: Floats | None = None) -> Floats:
        """Return the sample (1, H, D) in the network's units.

        Args:
            ask: The step network with its conditioning.
            noise: (1, H, D) standard normal.
            step_noise: (steps, 1, H, D) standard normal, for DDPM.

        Raises:
            InferenceFailed: a prediction has another shape than the sample.
            NonFiniteOutput: it holds NaN or infinity, which a cut could hide.
        """
        sample = np.array(noise, dtype=np.float32)
        for index in range(self._sampling.steps):
            said = ask(sample, self.times[index : index + 1])
            if said.shape != sample.shape:
                raise InferenceFailed(
                    f'{self._source}: expected a prediction of the shape of the sample, '
                    f'{list(sample.shape)}, got {list(said.shape)}; export the policy again'
                )
            if not np.isfinite(said).all():
                raise NonFiniteOutput(
                    f'{self._source}: predicted NaN or infinity in step {index + 1} of '
                    f'{self._sampling.steps}; the chunk is refused. The weights or the '
                    'observation are out of range: export the policy again, or look at the inputs'
                )
            if self._sampling.method == 'euler':
                sample = sample + self._dt * said
                continue
            sample = self._step(self.rows[index], said, sample)
            if step_noise is not None:
                sample = sample + self.rows[index, 5] * step_noise[index]
        # A velocity says no clean sample on the way: only the end is one.
        return self._cut(sample) if self._sampling.method == 'euler' else sample

    def _step(self, row: Floats, said: Floats, sample: Floats) -> Floats:
        signal, blur, to_clean, to_sample, to_noise, _ = row
        if self._sampling.prediction == 'epsilon':
            error, clean = said, (sample - blur * said) / signal
        elif self._sampling.prediction == 'sample':
            error, clean = (sample - signal * said) / blur, said
        else:
            error, clean = signal * said + blur * sample, signal * sample - blur * said
        clean = self._cut(clean)
        if self._sampling.clipped_noise:
            error = (sample - signal * clean) / blur
        result: Floats = to_clean * clean + to_sample * sample + to_noise * error
        return result

    def _cut(self, clean: Floats) -> Floats:
        return clean if self._limit is None else np.clip(clean, -self._limit, self._limit)


def _check(sampling: Sampling, rows: Floats, source: str) -> None:
    # A cut would turn the infinity of a division by zero into an action.
    signal = sampling.prediction != 'epsilon' or (rows[:, 0] > 0).all()
    noise = sampling.prediction != 'sample' and not sampling.clipped_noise
    if not np.isfinite(rows).all() or not signal or not (noise or (rows[:, 1] > 0).all()):
        raise SpecMismatch(
            f'{source}: the schedule {sampling.schedule!r} of the spec with '
            f'{sampling.train_steps} levels and betas {sampling.beta_start:g} to '
            f'{sampling.beta_end:g} leaves no signal or no noise, and {sampling.prediction!r} is '
            'divided by it; give the schedule of the '
            'training'
        )


def _discrete(sampling: Sampling) -> tuple[NDArray[np.generic], Floats]:
    """Return the timesteps (steps,) and rows (steps, 6) of a schedule of numbered levels."""
    kept, one = _kept(sampling), np.float32(1.0)
    stride = sampling.train_steps // sampling.steps
    timesteps = (np.arange(sampling.steps, dtype=np.int64) * stride)[::-1].copy()
    rows = []
    for t in timesteps.tolist():
        now, after = kept[t], kept[t - stride] if t >= stride else one
        ends = (np.sqrt(now), np.sqrt(one - now))
        if sampling.method == 'ddim':
            rows.append((*ends, np.sqrt(after), 0.0, np.sqrt(one - after), 0.0))
            continue
        ratio = now / after
        to_clean = np.sqrt(after) * (one - ratio) / (one - now)
        to_sample = np.sqrt(ratio) * (one - after) / (one - now)
        variance = max((one - after) / (one - now) * (one - ratio), _SMALLEST_VARIANCE)
        rows.append((*ends, to_clean, to_sample, 0.0, np.sqrt(variance) if t > 0 else 0.0))
    return timesteps, np.array(rows, dtype=np.float32)


def _kept(sampling: Sampling) -> Floats:
    """Return the share of the signal's variance left at each level (alpha bar)."""
    n = sampling.train_steps
    if sampling.schedule == 'squaredcos_cap_v2':
        level = [_cosine(i / n) for i in range(n + 1)]
        steps = zip(level[1:], level[:-1], strict=True)
        betas = np.array([min(1.0 - low / high, 0.999) for low, high in steps], dtype=np.float32)
    elif sampling.schedule == 'linear':
        betas = _line(sampling.beta_start, sampling.beta_end, n)
    else:
        betas = _line(sampling.beta_start**0.5, sampling.beta_end**0.5, n) ** 2
    # Summed in float64 and kept in float32, as torch does.
    alphas = (np.float32(1.0) - betas).astype(np.float64)
    return np.cumprod(alphas).astype(np.float32)


def _line(first: float, last: float, count: int) -> Floats:
    """Return `torch.linspace` in float32: each half is counted from its own end."""
    low, high, index = np.float32(first), np.float32(last), np.arange(count, dtype=np.float32)
    step = (high - low) / np.float32(max(1, count - 1))
    rising, falling = low + step * index, high - step * (np.float32(count - 1) - index)
    return np.where(np.arange(count) < count // 2, rising, falling).astype(np.float32)


def _continuous(steps: int) -> tuple[NDArray[np.generic], Floats]:
    """Return noise levels (steps,) from 1 towards 0, and the rows (steps, 6) of DDIM."""
    levels = _line(1.0, 0.0, steps + 1)
    first = _cosine(0.0)
    shares = [min(max(_cosine(level) / first, _SMALLEST_SIGNAL), 1.0) for level in levels.tolist()]
    rows = [
        (now**0.5, (1.0 - now) ** 0.5, after**0.5, 0.0, (1.0 - after) ** 0.5, 0.0)
        for now, after in pairwise(shares)
    ]
    return levels[:-1], np.array(rows, dtype=np.float32)


def _cosine(part: float) -> float:
    # Nichol and Dhariwal 2021 (https://arxiv.org/abs/2102.09672), equation 17.
    return math.cos((part + 0.008) / 1.008 * math.pi / 2) ** 2
