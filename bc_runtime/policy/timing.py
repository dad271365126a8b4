# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Compare the speed of policies on this machine, and choose the number of threads by it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
import os
import time
from typing import TypeVar

import numpy as np

from bc_runtime.policy.base import Policy
from bc_runtime.spec.self_test import make_inputs

P = TypeVar('P', bound=Policy)

WARM_UP_RUNS = 3
#: A thread more must save at least this share of the time; it takes a core from the robot.
WORTH = 0.1
#: Runs of each number of threads, and the time that all of them together may take [s].
CHOICE_RUNS = 15
CHOICE_BUDGET_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Durations of one policy's inferences [s]."""

    durations_s: tuple[float, ...]

    @property
    def p50_s(self) -> float:
        """Median [s]."""
        return float(np.median(self.durations_s))

    @property
    def best_s(self) -> float:
        """Smallest [s]: what is left when nobody disturbs."""
        return min(self.durations_s)


def time_together(
    calls: Mapping[str, Callable[[], object]], *, runs: int, budget_s: float = 60.0
) -> dict[str, Timing]:
    """Time several calls in turns, so that a busy moment of the machine hits all of them.

    Args:
        calls: What to time, by name.
        runs: Rounds.
        budget_s: No further round is begun after this time [s]; at least one is run.
    """
    durations: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        for _ in range(WARM_UP_RUNS):
            call()
    end = time.perf_counter() + budget_s
    for _ in range(max(1, runs)):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            durations[name].append(time.perf_counter() - start)
        if time.perf_counter() > end:
            break
    return {name: Timing(durations_s=tuple(values)) for name, values in durations.items()}


def time_policies(
    policies: Mapping[str, Policy], *, runs: int, budget_s: float = 60.0
) -> dict[str, Timing]:
    """Time one inference of each policy on its seeded inputs, in turns."""

    def call(policy: Policy) -> Callable[[], object]:
        inputs = make_inputs(policy.spec, 0)
        return lambda: policy.infer(inputs)

    return time_together(
        {name: call(policy) for name, policy in policies.items()}, runs=runs, budget_s=budget_s
    )


def choose_threads(
    load: Callable[[int], P], *, counts: Sequence[int] | None = None
) -> tuple[int, P, dict[int, Timing]]:
    """Return the smallest number of threads that is about as fast as the best one.

    Args:
        load: Makes the policy with so many threads.
        counts: Numbers to try; None: 1, 2, 4, ... up to the cores of this process.

    Returns:
        The number, its policy, and what was measured.
    """
    counts = sorted(set(counts or _counts()))
    policies = {count: load(count) for count in counts}
    timings = time_policies(
        {str(count): policy for count, policy in policies.items()},
        runs=CHOICE_RUNS,
        budget_s=CHOICE_BUDGET_S,
    )
    found = {count: timings[str(count)] for count in counts}
    chosen = counts[0]
    for count in counts[1:]:
        if found[count].p50_s < (1.0 - WORTH) * found[chosen].p50_s:
            chosen = count
    policies[chosen].reset()
    return chosen, policies[chosen], found


def _counts() -> list[int]:
    cores = len(os.sched_getaffinity(0))
    return [count for count in (1, 2, 4, 8, 16) if count < cores] + [cores]
