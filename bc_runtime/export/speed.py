# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The exported file against the eager torch module, side by side on this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from bc_runtime.export.proof import Runner, onnx_runner, program_runner
from bc_runtime.policy.timing import Timing, time_together
from bc_runtime.spec import PolicySpec
from bc_runtime.spec.self_test import make_inputs

RUNS: Final = 30
BUDGET_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Median durations of one inference on one thread [s]."""

    torch_s: float
    file_s: float

    @property
    def ratio(self) -> float:
        """How many times faster the file is."""
        return self.torch_s / self.file_s

    def __str__(self) -> str:
        return (
            f'{self.file_s * 1e3:.2f} ms, eager torch {self.torch_s * 1e3:.2f} ms '
            f'({self.ratio:.1f}x) on one thread'
        )


def compare_speed(
    module: Any, spec: PolicySpec, path: Path, *, run: Runner | None = None, runs: int = RUNS
) -> Speed:
    """Time the eager module and the ONNX file in turns, one thread each.

    Args:
        module: The torch module that was exported.
        spec: Of the policy.
        path: The ONNX file.
        run: Runs the file; None: as one graph.
        runs: Rounds; fewer where they would take more than 10 s.
    """
    inputs = {name: np.array(value) for name, value in make_inputs(spec, 0).items()}
    if isinstance(module, torch.export.ExportedProgram):
        module = module.module()
    runners = {'torch': program_runner(module, spec), 'file': run or onnx_runner(path, spec)}

    def call(each: Callable[[Any], Any]) -> Callable[[], object]:
        return lambda: each(inputs)

    with _one_thread():
        found: dict[str, Timing] = time_together(
            {name: call(each) for name, each in runners.items()}, runs=runs, budget_s=BUDGET_S
        )
    return Speed(torch_s=found['torch'].p50_s, file_s=found['file'].p50_s)


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
