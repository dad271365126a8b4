# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Cost of the safety parts of one control tick, for 7 and 14 joints.

CPU time of this process, so that a busy machine does not count. Prints a table and writes
out/bench/safety.json.

    python benchmarks/bench_safety.py [--ticks 20000]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
import json
import math
from pathlib import Path
import platform
import random
import statistics
import time

from bc_runtime.safety import (
    Checker,
    Conditions,
    Event,
    JointLimits,
    Limiter,
    Supervisor,
    braking_tail,
    to_output,
)

DT = 0.01
BLOCK = 200


def joints(n: int) -> list[JointLimits]:
    return [
        JointLimits(
            name=f'joint_{j + 1}', lower=-2.6, upper=2.6, velocity=2.5, acceleration=20.0,
            deceleration=20.0, margin=0.02,
        )
        for j in range(n)
    ]  # fmt: skip


def references(n: int, ticks: int) -> list[tuple[list[float], list[float]]]:
    """Waves over the whole range, with a step now and then: the limiter works at its limits."""
    rng = random.Random(0)
    phase = [rng.uniform(0.0, 6.0) for _ in range(n)]
    offset = [0.0] * n
    rows = []
    for k in range(ticks):
        if rng.random() < 0.01:
            offset = [rng.uniform(-0.5, 0.5) for _ in range(n)]
        t = k * DT
        q = [2.0 * math.sin(1.2 * t + p) + o for p, o in zip(phase, offset, strict=True)]
        rows.append((q, [2.4 * math.cos(1.2 * t + p) for p in phase]))
    return rows


def measure(work: Callable[[int], object], ticks: int) -> dict[str, float]:
    """Return median and p99 over blocks [µs per tick, CPU time]."""
    costs = []
    for first in range(0, ticks, BLOCK):
        begin = time.process_time_ns()
        for k in range(first, first + BLOCK):
            work(k)
        costs.append((time.process_time_ns() - begin) / BLOCK * 1e-3)
    costs.sort()
    return {
        'median_us': round(statistics.median(costs), 2),
        'p99_us': round(costs[min(len(costs) - 1, round(0.99 * len(costs)))], 2),
    }


def bench(n: int, ticks: int) -> dict[str, dict[str, float]]:
    limits, rows = joints(n), references(n, ticks)
    results = {}
    for name, coordinated in (('limiter', False), ('limiter coordinated', True)):
        limiter = Limiter(limits, DT, coordinated=coordinated)
        limiter.seed([0.0] * n)
        results[name] = measure(lambda k, one=limiter: one.step(*rows[k]), ticks)
    limiter = Limiter(limits, DT)
    limiter.seed([0.0] * n)
    steps = [limiter.step(*row) for row in rows]
    for dtype in ('float64', 'float32'):
        checker = Checker([one.rounded_inward(dtype) for one in limits], DT, dtype=dtype)
        checker.seed([0.0] * n)
        refused = 0

        def check(k: int, one: Checker = checker) -> None:
            nonlocal refused
            refused += not one.check(steps[k].position).ok

        results[f'checker {dtype}'] = measure(check, ticks)
        if refused and dtype == 'float64':
            raise SystemExit(f'the checker refused {refused} commands of the limiter')
    results['rounding to float32'] = measure(
        lambda k: to_output(steps[k].position, 'float32'), ticks
    )
    for stride in (1, 5):
        results[f'braking tail, stride {stride}'] = measure(
            lambda k, every=stride: braking_tail(
                steps[k].position, steps[k].velocity, limits, DT, stride=every
            ),
            ticks,
        )
    supervisor = Supervisor()
    for index, (event, facts) in enumerate((
        (Event.CONFIGURED, {}), (Event.ACTIVATE, {}), (Event.START, {}),
        (None, {'plan_ready': True}), (None, {'plan_ready': True, 'aligned': True}),
    )):  # fmt: skip
        supervisor.step(
            Conditions(at_rest=True, **facts), [event] if event else [], now_ns=index + 1
        )
    if supervisor.state != 'AUTO':
        raise SystemExit(f'the supervisor should be in AUTO, it is in {supervisor.state}')
    conditions = Conditions(at_rest=False, plan_ready=True)
    results['supervisor in AUTO'] = measure(
        lambda k: supervisor.step(conditions, now_ns=10**9 + k), ticks
    )
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--ticks', type=int, default=20_000)
    parser.add_argument('--output', type=Path, default=Path('out/bench/safety.json'))
    arguments = parser.parse_args()
    ticks = max(BLOCK, arguments.ticks // BLOCK * BLOCK)
    results = {n: bench(n, ticks) for n in (7, 14)}
    print(f'CPU time per tick [µs], {ticks} ticks, Python {platform.python_version()}')
    print(f'{"":24}{"7 joints":>20}{"14 joints":>20}')
    for name in results[7]:
        cells = [
            f'{r[name]["median_us"]:8.1f} (p99 {r[name]["p99_us"]:6.1f})' for r in results.values()
        ]
        print(f'{name:24}{cells[0]:>20}{cells[1]:>20}')
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(
        json.dumps({'unit': 'us', 'ticks': ticks, 'joints': results}, indent=2) + '\n',
        encoding='utf-8',
    )
    print(f'written: {arguments.output}')


if __name__ == '__main__':
    main()
