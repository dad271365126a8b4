# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What a tick and a chunk cost, beside the algorithms that others run.

100 live chunks of 100 actions with 14 dimensions, one new chunk per tick as in ACT. The references
are plain restatements of the published algorithms, on the library that they use (torch) where it
can be imported and on numpy where not; the table says which. They give a value for this very step
only. Ours gives value and velocity for any time, weights, chunk ids and holes.

Everything runs by turns, 25 steps each, so that all see the same machine. Times are CPU time of
this thread. Budgets: tick 60 us, chunk 20 us, tick at least 5 times as fast as the ensembler on
torch, memory bounded by the live chunks.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
import json
from pathlib import Path
import platform
import time
from typing import Any, Protocol

import numpy as np

from bc_runtime.execution import ActionChunk, Setpoint, Timeline, make_strategy

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

SIZE, DIM, COEFF = 100, 14, 0.01
DT_NS = 20_000_000
BLOCK = 25
OUT = Path('out/bench/execution.json')
KINDS = {
    'positions': ('joint_position',) * 14,
    'arms and grippers': (('joint_position',) * 6 + ('gripper',)) * 2,
    'continuous joints': ('continuous_joint',) * 2 + ('joint_position',) * 12,
    'poses (quaternion)': (('position',) * 3 + ('quaternion',) * 4) * 2,
}


class Ensembler(Protocol):
    """One reference: takes the chunk of this step, gives the action of this step."""

    library: str

    def step(self, chunk: Any) -> Any: ...


class RunningMean:
    """The ensembler of LeRobot's ACT: a running mean over the overlapping part of the chunks.

    Restated from the formula: with w_i = exp(-m i) and W_j its cumulative sum, an entry that has
    seen c chunks becomes (E W[c-1] + chunk w[c]) / W[c].
    """

    def __init__(self) -> None:
        self.library = 'numpy' if torch is None else 'torch'
        lib: Any = np if torch is None else torch
        self._w = lib.exp(-COEFF * lib.arange(SIZE, dtype=lib.float32))
        self._sums = lib.cumsum(self._w, 0)
        self._mean: Any = None
        self._seen: Any = None

    def step(self, chunk: Any) -> Any:
        chunk = chunk[None]
        if self._mean is None:
            self._mean = chunk.copy() if torch is None else chunk.clone()
            self._seen = np.ones((SIZE, 1), dtype=np.int64)
            if torch is not None:
                self._seen = torch.from_numpy(self._seen)
        else:
            self._mean *= self._sums[self._seen - 1]
            self._mean += chunk[:, :-1] * self._w[self._seen]
            self._mean /= self._sums[self._seen]
            if torch is None:
                self._seen = np.minimum(self._seen + 1, SIZE)
                self._mean = np.concatenate((self._mean, chunk[:, -1:]), axis=1)
                self._seen = np.concatenate((self._seen, np.ones_like(self._seen[-1:])))
            else:
                self._seen = torch.clamp(self._seen + 1, max=SIZE)
                self._mean = torch.cat((self._mean, chunk[:, -1:]), dim=1)
                self._seen = torch.cat((self._seen, torch.ones_like(self._seen[-1:])))
        action, self._mean, self._seen = self._mean[:, 0], self._mean[:, 1:], self._seen[1:]
        return action


class ActBuffer:
    """The loop of the ACT repository: every chunk of an episode in one (T, T + K, D) buffer."""

    def __init__(self, steps: int) -> None:
        self.library = 'numpy' if torch is None else 'torch'
        shape = (steps, steps + SIZE, DIM)
        self._all: Any = np.zeros(shape, np.float32) if torch is None else torch.zeros(shape)
        self._t = 0

    @property
    def megabytes(self) -> float:
        return float(np.prod(self._all.shape)) * 4 / 1e6

    def step(self, chunk: Any) -> Any:
        t, self._t = self._t, self._t + 1
        self._all[t, t : t + SIZE] = chunk
        column = self._all[:, t]
        if torch is None:
            rows = column[np.all(column != 0, axis=1)]
        else:
            rows = column[torch.all(column != 0, axis=1)]
        w = np.exp(-COEFF * np.arange(len(rows)))
        w = w / w.sum()
        if torch is None:
            return (rows * w[:, None]).sum(axis=0, keepdims=True)
        return (rows * torch.from_numpy(w)[:, None]).sum(dim=0, keepdim=True)


def make_chunk(values: np.ndarray, step: int, stamp_ns: int, kind: str) -> ActionChunk:
    names = tuple(f'dimension_{d}' for d in range(DIM))
    return ActionChunk(
        stamp_ns=stamp_ns,
        dt_ns=DT_NS,
        values=values,
        names=names,
        kinds=KINDS[kind],
        sequence=step,
        received_ns=stamp_ns,
    )


def cpu_us(call: Callable[[Any], Any], argument: Any) -> tuple[float, Any]:
    start = time.thread_time_ns()
    result = call(argument)
    return (time.thread_time_ns() - start) / 1e3, result


def summary(times_us: list[float]) -> dict[str, float]:
    return {
        'min_us': min(times_us),
        'p50_us': float(np.median(times_us)),
        'p99_us': float(np.quantile(times_us, 0.99)),
    }


def bench_side_by_side(values: np.ndarray, steps: int) -> dict[str, Any]:
    """ACT's setting: the same chunks to the references and to ours, by turns."""
    timeline = Timeline(make_strategy('temporal_ensemble', {'coeff': COEFF}))
    running, buffer = RunningMean(), ActBuffer(steps)
    tensors = values if torch is None else torch.from_numpy(values)
    times: dict[str, list[float]] = {'add': [], 'tick': [], 'running mean': [], 'ACT buffer': []}
    worst = 0.0
    for begin in range(0, steps, BLOCK):
        block = range(begin, min(begin + BLOCK, steps))
        ours, means, buffers = [], [], []
        for step in block:
            chunk = make_chunk(values[step % len(values)], step, step * DT_NS, 'positions')
            add = cpu_us(timeline.add, chunk)
            tick = cpu_us(timeline.at, step * DT_NS)
            ours.append((add[0], *tick))
        for step in block:
            means.append(cpu_us(running.step, tensors[step % len(values)]))
        for step in block:
            buffers.append(cpu_us(buffer.step, tensors[step % len(values)]))
        for step, (add_us, tick_us, setpoint), mean, act in zip(
            block, ours, means, buffers, strict=True
        ):
            assert isinstance(setpoint, Setpoint)
            for theirs in (mean[1], act[1]):
                difference = np.abs(np.asarray(theirs)[0] - setpoint.values).max()
                worst = max(worst, float(difference))
            if step > SIZE:
                assert len(setpoint.weights) == SIZE
                row = (add_us, tick_us, mean[0], act[0])
                for each, time_us in zip(times.values(), row, strict=True):
                    each.append(time_us)
    table = timeline._table
    return {
        'times': {name: summary(each) for name, each in times.items()},
        'library': running.library,
        'largest_difference': worst,
        'ours_megabytes': table.store.nbytes / 1e6,
        'act_megabytes': buffer.megabytes,
        'live': len(timeline),
    }


def bench_variants(values: np.ndarray, steps: int) -> list[dict[str, Any]]:
    """Ours alone: kinds, interpolation, and observations that come at any time."""
    rng = np.random.default_rng(1)
    beside = np.cumsum(rng.integers(-4_000_000, 4_000_000, steps)) % 5_000_000
    strategies: list[tuple[str, dict[str, object]]] = [
        ('temporal_ensemble', {'coeff': COEFF}),
        ('weighted_average', {}),
        ('real_time_chunking', {'execution_horizon': 20}),
        ('receding_horizon', {'n_action_steps': 50}),
    ]
    cases = [('temporal_ensemble', strategies[0][1], 'positions', 'linear', False)]
    cases += [
        ('temporal_ensemble', strategies[0][1], kind, mode, True)
        for kind in KINDS
        for mode in ('linear', 'cubic')
    ]
    cases += [(name, options, 'positions', 'linear', True) for name, options in strategies[1:]]
    rows = []
    for name, options, kind, mode, any_time in cases:
        timeline = Timeline(make_strategy(name, options), interpolation=mode)
        adds, ticks = [], []
        for step in range(steps):
            stamp_ns = step * DT_NS + (int(beside[step]) if any_time else 0)
            chunk = make_chunk(values[step % len(values)], step, stamp_ns, kind)
            add_us, result = cpu_us(timeline.add, chunk)
            assert result.accepted
            tick_us, setpoint = cpu_us(timeline.at, stamp_ns + 7_000_000)
            assert isinstance(setpoint, Setpoint)
            if step > SIZE:
                adds.append(add_us)
                ticks.append(tick_us)
        rows.append(
            {
                'strategy': name,
                'kinds': kind,
                'interpolation': mode,
                'observations': 'any time' if any_time else 'lock step',
                'add': summary(adds),
                'tick': summary(ticks),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--steps', type=int, default=1500)
    parser.add_argument('--out', type=Path, default=OUT)
    arguments = parser.parse_args()
    if torch is not None:
        torch.set_num_threads(1)
        torch.set_grad_enabled(False)
    rng = np.random.default_rng(0)
    values = rng.normal(size=(300, SIZE, DIM)).astype(np.float32)
    side = bench_side_by_side(values, min(arguments.steps, 1500))
    times, library = side['times'], side['library']
    print(f'one step with {SIZE} live chunks of {SIZE} x {DIM}, CPU us, references on {library}')
    print(f'{"":34s} {"min":>8s} {"p50":>8s} {"p99":>8s}')
    labels = {
        'tick': 'ours: tick',
        'add': 'ours: add a chunk',
        'running mean': f'running mean (LeRobot), {library}',
        'ACT buffer': f'buffer (ACT), {library}',
    }
    for name, label in labels.items():
        t = times[name]
        print(f'{label:34s} {t["min_us"]:8.1f} {t["p50_us"]:8.1f} {t["p99_us"]:8.1f}')
    step_us = times['tick']['p50_us'] + times['add']['p50_us']
    ratios = {
        f'{name}, {what}': times[name]['p50_us'] / ours
        for name in ('running mean', 'ACT buffer')
        for what, ours in (('per tick', times['tick']['p50_us']), ('per add + tick', step_us))
    }
    for name, ratio in ratios.items():
        print(f'ratio of {name + ":":34s} {ratio:6.2f}')
    print(f'largest difference of the actions: {side["largest_difference"]:.1e}')
    print(
        f'memory: ours {side["ours_megabytes"]:.1f} MB for {side["live"]} chunks, '
        f'ACT buffer {side["act_megabytes"]:.1f} MB for {min(arguments.steps, 1500)} steps'
    )
    variants = bench_variants(values, max(arguments.steps // 3, SIZE + 50))
    print(f'\n{"ours":62s} {"add p50":>8s} {"tick p50":>9s}')
    for row in variants:
        label = ', '.join(
            str(row[k]) for k in ('strategy', 'kinds', 'interpolation', 'observations')
        )
        print(f'{label:62s} {row["add"]["p50_us"]:8.1f} {row["tick"]["p50_us"]:9.1f}')
    per_tick = ratios['running mean, per tick']
    budgets = {
        'tick_us': {'budget': 60.0, 'measured': times['tick']['p50_us']},
        'add_us': {'budget': 20.0, 'measured': times['add']['p50_us']},
        'ensembler_per_tick': {'budget': 5.0, 'measured': per_tick, 'library': library},
    }
    print()
    if torch is None:
        # A restatement on another library proves nothing about the one that is used.
        del budgets['ensembler_per_tick']
        print(
            'torch is not installed here: the references ran on numpy, and the budget against the '
            'ensembler on torch is NOT MEASURED. Run this file with a Python that has torch and '
            'numpy, and PYTHONPATH=.'
        )
    for name, each in budgets.items():
        below = each['measured'] <= each['budget']
        each['met'] = not below if name == 'ensembler_per_tick' else below
        print(
            f'budget {name}: {each["measured"]:.2f} of {each["budget"]:g}: '
            f'{"met" if each["met"] else "NOT MET"}'
        )
    result = {
        'machine': platform.processor() or platform.machine(),
        'python': platform.python_version(),
        'numpy': np.__version__,
        'torch': None if torch is None else torch.__version__,
        'side_by_side': side,
        'ratios': ratios,
        'variants': variants,
        'budgets': budgets,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=2) + '\n', encoding='utf-8')
    print(f'written: {arguments.out}')


if __name__ == '__main__':
    main()
