# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Everything that can be found out about a model file on this machine, as plain values."""

from __future__ import annotations

from collections.abc import Sequence
import math
import os
from pathlib import Path
import platform
import time

import numpy as np

from bc_runtime.policy.base import Policy
from bc_runtime.policy.errors import SelfTestFailed
from bc_runtime.policy.loader import load_policy
from bc_runtime.policy.model_path import suffix_of
from bc_runtime.policy.onnx_file import OnnxFile, read_onnx_file
from bc_runtime.policy.onnx_policy import OnnxPolicy
from bc_runtime.policy.onnx_session import (
    Provider,
    create_session,
    default_threads,
    graph_inputs,
    graph_outputs,
    import_onnxruntime,
)
from bc_runtime.policy.policy_file import read_spec
from bc_runtime.policy.program import archive as program_archive
from bc_runtime.policy.remote import contract as remote_contract
from bc_runtime.policy.self_test import run_self_test, warm_up
from bc_runtime.policy.signature import spec_inputs, spec_outputs
from bc_runtime.policy.spec_of import spec_of
from bc_runtime.policy.two_graph_policy import TwoGraphPolicy, read_step_file
from bc_runtime.spec.errors import BcError

#: Runs that are not counted in the latency.
WARM_UP_RUNS = 3
LATENCY_BUDGET_S = 10.0

Facts = dict[str, object]


def inspect_model(
    path: Path, *, providers: Sequence[Provider], threads: int | None, runs: int
) -> Facts:
    """Return facts about a model; what is wrong with it is a fact, too.

    Keys: `file`, `second_file` (of a two-graph policy), `machine`, `graph`, `spec`,
    `self_test`, `latency` and `problems` (messages; empty for a policy that may act). A
    section that could not be found out is None.

    Raises:
        PolicyError: the file is no model at all.
    """
    if suffix_of(path) in (program_archive.SUFFIX, remote_contract.SUFFIX):
        return _inspect_other(path, threads=threads, runs=runs)
    file = read_onnx_file(path)
    problems: list[str] = []
    facts: Facts = {
        'file': _file_facts(file),
        'second_file': None,
        'machine': None,
        'graph': None,
        'spec': None,
        'self_test': None,
        'latency': None,
        'problems': problems,
    }
    spec = None
    try:
        spec = read_spec(file, requested=path)
        facts['spec'] = spec.to_dict()
    except BcError as error:
        problems.append(str(error))
    try:
        count = threads if threads is not None else default_threads()
        facts['machine'] = _machine_facts(count)
        start = time.perf_counter()
        session = create_session(file, providers=providers, allow_fallback=False, threads=count)
        load_s = time.perf_counter() - start
        graph: Facts = {
            'provider': session.get_providers()[0],
            'load_s': load_s,
            'inputs': [str(each) for each in graph_inputs(session)],
            'outputs': [str(each) for each in graph_outputs(session)],
        }
        facts['graph'] = graph
        if spec is not None:
            policy: OnnxPolicy | TwoGraphPolicy
            if spec.sampling is None:
                policy = OnnxPolicy(session=session, spec=spec, file=file)
            else:
                step_file = read_step_file(file, spec.sampling)
                facts['second_file'] = _file_facts(step_file)
                step = create_session(
                    step_file, providers=providers, allow_fallback=False, threads=count
                )
                facts['graph'] = {
                    **graph,
                    'load_s': time.perf_counter() - start,
                    'step_inputs': [str(each) for each in graph_inputs(step)],
                    'step_outputs': [str(each) for each in graph_outputs(step)],
                }
                policy = TwoGraphPolicy(
                    encoder=session, step=step, spec=spec, file=file, step_file=step_file
                )
            facts['self_test'] = _self_test_facts(policy, problems)
            facts['latency'] = _latency_facts(policy, runs)
    except BcError as error:
        problems.append(str(error))
    return facts


def _file_facts(file: OnnxFile) -> Facts:
    return {
        'path': str(file.path),
        'size_bytes': file.size,
        'sha256': file.sha256,
        'format': (
            f'ONNX IR {file.ir_version}, opset '
            + ', '.join(f'{domain} {version}' for domain, version in file.opsets.items())
            + f', by {file.producer}'
        ),
        'ir_version': file.ir_version,
        'opsets': dict(file.opsets),
        'producer': file.producer,
        'external_data': list(file.external_data),
    }


def _machine_facts(threads: int) -> Facts:
    ort = import_onnxruntime()
    return {
        'onnxruntime': ort.__version__,
        'providers': list(ort.get_available_providers()),
        'machine': platform.machine(),
        'cores': len(os.sched_getaffinity(0)),
        'threads': threads,
    }


def _inspect_other(path: Path, *, threads: int | None, runs: int) -> Facts:
    """Exported programs and policy servers: what is known without ONNX Runtime."""
    problems: list[str] = []
    facts: Facts = dict.fromkeys(('machine', 'graph', 'spec', 'self_test', 'latency'))
    facts['problems'] = problems
    if suffix_of(path) == remote_contract.SUFFIX:
        contract = remote_contract.read_remote_file(path)
        size, digest, form = path.stat().st_size, contract.digest, f'server at {contract.url}'
    else:
        program = program_archive.read_program_file(path)
        size, digest = program.size, program.sha256
        form = f'exported program of torch {program.torch_version}'
    facts['file'] = {
        'path': str(path.resolve()),
        'size_bytes': size,
        'sha256': digest,
        'format': form,
        'external_data': [],
    }
    try:
        facts['spec'] = spec_of(path, ()).to_dict()
        start = time.perf_counter()
        policy = load_policy(path, threads=threads, self_test=False, warm_up_runs=0)
        facts['graph'] = {
            'provider': policy.provider,
            'load_s': time.perf_counter() - start,
            'inputs': [str(each) for each in spec_inputs(policy.spec)],
            'outputs': [str(each) for each in spec_outputs(policy.spec)],
        }
        facts['self_test'] = _self_test_facts(policy, problems)
        facts['latency'] = _latency_facts(policy, runs)
    except BcError as error:
        problems.append(str(error))
    return facts


def _self_test_facts(policy: Policy, problems: list[str]) -> Facts:
    test = policy.spec.self_test
    if test is None:
        return {'result': 'none stored', 'max_abs_error': None, 'tolerance': None}
    try:
        error = run_self_test(policy)
    except SelfTestFailed as failure:
        problems.append(str(failure))
        error = failure.deviation
    return {
        'result': 'passed' if error <= test.tolerance else 'FAILED',
        'max_abs_error': error,
        'tolerance': test.tolerance,
    }


def _latency_facts(policy: Policy, runs: int) -> Facts:
    first = warm_up(policy, runs=WARM_UP_RUNS, budget_s=LATENCY_BUDGET_S).durations_ns[0]
    timed = warm_up(policy, runs=runs, budget_s=LATENCY_BUDGET_S).durations_ns
    p50, p99 = (float(v) for v in np.percentile(timed, [50, 99]) / 1e6)
    chunk_ms = 1e3 * policy.spec.chunk_size / policy.spec.control_hz
    return {
        'runs': len(timed),
        'first_ms': first / 1e6,
        'p50_ms': p50,
        'p99_ms': p99,
        'max_ms': max(timed) / 1e6,
        'chunk_ms': chunk_ms,
        'chunks_per_s': 1e3 / p50 if p50 > 0 else math.inf,
    }
