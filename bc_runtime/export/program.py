# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`export_program`: any torch module with a spec becomes an exported program (`.pt2`).

For networks that have no ONNX form. The file holds raw tensors and a graph of ATen operators, no
pickled object and no line of source; the runtime refuses programs that hold more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
import platform
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from bc_runtime.export.errors import ExportError
from bc_runtime.export.module import ExportReport, parity_facts, release
from bc_runtime.export.proof import (
    PARITY_INPUTS,
    PARITY_TOLERANCE,
    Reference,
    Tensors,
    program_runner,
    prove,
)
from bc_runtime.export.statistics import check_statistics
from bc_runtime.policy.program.archive import SPEC_ENTRY, SUFFIX, read_program_file
from bc_runtime.spec import PolicySpec
from bc_runtime.spec.self_test import make_inputs


def export_program(
    module: Any,
    spec: PolicySpec,
    path: Path,
    *,
    observations: Sequence[Tensors] = (),
    seed: int = 0,
    reference: Reference | None = None,
    tolerance: float = PARITY_TOLERANCE,
) -> ExportReport:
    """Write a torch module as an exported program, after proving that both act alike.

    Arguments and errors are those of `export_module`.

    Raises:
        StatisticsMissing: ranges or normalisation are missing.
        ParityError: module and program differ by more than the tolerance.
        ExportError: anything else; nothing was written.
    """
    if path.suffix != SUFFIX:
        raise ExportError(f'{path}: expected a file name that ends in {SUFFIX}')
    check_statistics(spec, module)
    module = module.eval()
    inputs = make_inputs(spec, seed)
    example = tuple(torch.from_numpy(np.array(inputs[item.name])) for item in spec.inputs)
    torch._dynamo.reset()
    try:
        with torch.no_grad():
            program = torch.export.export(module, example, strict=False)
    # torch raises what it likes; all of it means the same to the caller.
    except Exception as error:
        raise ExportError(
            f'{spec.name}: torch {torch.__version__} cannot export this module: '
            f'{type(error).__name__}: {error}'
        ) from error
    _forget_source(program)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'.{path.name}.partial{SUFFIX}')
    try:
        torch.export.save(program, str(partial))
        proof = prove(
            module,
            spec,
            program_runner(torch.export.load(str(partial)).module(), spec),
            seeds=range(seed, seed + PARITY_INPUTS),
            observations=observations,
            reference=reference,
            tolerance=tolerance,
        )
        facts = {
            'framework': f'torch {release(torch.__version__)}',
            'exporter': 'torch.export',
            'python': platform.python_version(),
            'parity': parity_facts(proof),
        }
        written = replace(
            spec,
            self_test=proof.self_test,
            source=MappingProxyType({**spec.source, **facts}),
        )
        PolicySpec.from_json(written.to_json(), source=str(path))
        torch.export.save(program, str(partial), extra_files={SPEC_ENTRY: written.to_json()})
        # What the runtime would refuse is of no use.
        read_program_file(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return ExportReport(
        path=path,
        spec=written,
        size_bytes=path.stat().st_size,
        nodes=len(program.graph.nodes),
        max_abs_error=proof.max_abs_error,
        source_error=proof.source_error,
    )


def _forget_source(program: Any) -> None:
    """Remove stack traces: they hold absolute paths and source lines."""
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                for key in ('stack_trace', 'nn_module_stack', 'source_fn_stack', 'torch_fn'):
                    node.meta.pop(key, None)
