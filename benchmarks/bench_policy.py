# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What the stack adds to an inference, and what session options cost.

For every model: the bare `session.run` on prepared arrays, and `Policy.infer` around it (checks,
noise, hidden state, finite values), in turns on one thread. Budget: 1 ms on top (issue of the
policy families). Then fixed buffers against a plain run, and threads with and without spinning.
Wall times; run it on a quiet machine.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict, dataclass
import json
import os
from pathlib import Path
from typing import Any

import onnxruntime

from bc_runtime.policy import OnnxPolicy, load_policy
from bc_runtime.policy.bound_run import can_bind
from bc_runtime.policy.onnx_file import read_onnx_file
from bc_runtime.policy.onnx_session import CPU, create_session
from bc_runtime.policy.policy_file import read_spec
from bc_runtime.policy.timing import Timing, time_policies, time_together
from bc_runtime.spec.inputs import NoiseInput, PrefixInput, RecurrentInput
from bc_runtime.spec.self_test import make_inputs

ROOT = Path(__file__).resolve().parent.parent
BUDGET_MS = 1.0


@dataclass(frozen=True)
class Row:
    """One model on one thread [ms, median]."""

    model: str
    bare_ms: float
    infer_ms: float
    bound_ms: float

    @property
    def overhead_ms(self) -> float:
        return self.infer_ms - self.bare_ms


def milliseconds(timing: Timing) -> float:
    return 1e3 * timing.p50_s


def measure(path: Path, runs: int) -> Row:
    """Time the bare run, the policy, and the policy on fixed buffers in turns."""
    policy = load_policy(path, threads=1)
    assert isinstance(policy, OnnxPolicy)
    spec, session = policy.spec, policy._session
    everything = make_inputs(spec, 0)
    own = {i.name for i in spec.inputs if isinstance(i, NoiseInput | RecurrentInput | PrefixInput)}
    observed = {name: tensor for name, tensor in everything.items() if name not in own}
    names = [each.name for each in session.get_outputs()]
    calls: dict[str, Callable[[], object]] = {
        'bare': lambda: session.run(names, everything),
        'infer': lambda: policy.infer(observed),
    }
    if can_bind(spec, CPU):
        bound = OnnxPolicy(session=session, spec=spec, file=policy.file, bind=True)
        calls['bound'] = lambda: bound.infer(observed)
    found = time_together(calls, runs=runs, budget_s=30.0)
    return Row(
        model=path.stem,
        bare_ms=milliseconds(found['bare']),
        infer_ms=milliseconds(found['infer']),
        bound_ms=milliseconds(found['bound']) if 'bound' in found else float('nan'),
    )


def thread_table(path: Path, runs: int) -> dict[str, float]:
    """Time one model with several threads, with and without spinning."""
    file = read_onnx_file(path)
    inputs = make_inputs(read_spec(file), 0)
    cores = len(os.sched_getaffinity(0))
    calls: dict[str, Callable[[], object]] = {}

    def call(session: Any) -> Callable[[], object]:
        return lambda: session.run(None, inputs)

    for count in sorted({1, max(1, cores - 1), cores}):
        calls[f'{count} thread(s)'] = call(
            create_session(file, providers=[CPU], allow_fallback=False, threads=count)
        )
        if count > 1:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = count
            options.log_severity_level = 3
            calls[f'{count} thread(s), spinning'] = call(
                onnxruntime.InferenceSession(str(file.path), options, providers=[CPU])
            )
    found = time_together(calls, runs=runs, budget_s=20.0)
    return {name: milliseconds(timing) for name, timing in found.items()}


def compare_forms(paths: list[Path], runs: int) -> dict[str, float]:
    """Time `Policy.infer` of several files in turns, one thread: one graph against two."""
    policies = {path.stem: load_policy(path, threads=1) for path in paths}
    found = time_policies(policies, runs=runs, budget_s=60.0)
    return {name: milliseconds(timing) for name, timing in found.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('models', nargs='*', type=Path, help='default: models/ and test/golden/')
    parser.add_argument('--runs', type=int, default=200)
    parser.add_argument('--json', type=Path, help='write the numbers here')
    parser.add_argument(
        '--forms',
        nargs='+',
        type=Path,
        help='only compare these files in turns, such as one graph and two graphs of the same '
        'weights (bc train --family diffusion, the same with --two-graphs)',
    )
    arguments = parser.parse_args()
    if arguments.forms:
        for name, value in compare_forms(arguments.forms, arguments.runs).items():
            print(f'{name:<28} {value:9.3f} ms')
        return 0
    models = arguments.models or [
        *sorted((ROOT / 'models').glob('*.onnx')),
        *sorted((ROOT / 'test' / 'golden').glob('lerobot_*.onnx')),
    ]
    print(f'onnxruntime {onnxruntime.__version__}, one thread, median of {arguments.runs} [ms]')
    print(f'{"model":<28} {"bare run":>9} {"infer":>9} {"added":>9} {"on buffers":>11}')
    rows = []
    for path in models:
        row = measure(path, arguments.runs)
        rows.append(row)
        print(
            f'{row.model:<28} {row.bare_ms:9.3f} {row.infer_ms:9.3f} {row.overhead_ms:9.3f} '
            f'{row.bound_ms:11.3f}',
            flush=True,
        )
    worst = max(row.overhead_ms for row in rows)
    kept = worst <= BUDGET_MS
    print(f'largest addition {worst:.3f} ms, budget {BUDGET_MS:g} ms: {"kept" if kept else "NOT"}')
    slowest = models[max(range(len(rows)), key=lambda i: rows[i].bare_ms)]
    threads = {slowest.stem: thread_table(slowest, max(1, arguments.runs // 4))}
    for name, table in threads.items():
        for options, value in table.items():
            print(f'{name}: {options:<24} {value:9.3f} ms')
    if arguments.json:
        value = {'rows': [asdict(row) for row in rows], 'threads': threads}
        arguments.json.write_text(json.dumps(value, indent=2) + '\n')
    return 0 if kept else 1


if __name__ == '__main__':
    raise SystemExit(main())
