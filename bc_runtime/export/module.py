# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`export_module`: any torch module with a spec becomes one verified policy file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
import platform
from types import MappingProxyType
from typing import Any

import onnx
import onnxruntime
import torch

from bc_runtime.export.graph import OPSET, set_metadata, to_onnx
from bc_runtime.export.proof import (
    PARITY_INPUTS,
    PARITY_TOLERANCE,
    Proof,
    Reference,
    Tensors,
    onnx_runner,
    prove,
)
from bc_runtime.export.speed import Speed, compare_speed
from bc_runtime.export.statistics import check_statistics
from bc_runtime.spec import METADATA_KEY, PolicySpec
from bc_runtime.spec.self_test import make_inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """A written policy.

    Attributes:
        path: The file.
        spec: As stored in it, with self-test and origin.
        size_bytes: Of the file.
        nodes: Of the graph.
        max_abs_error: Between torch and ONNX Runtime, in action units.
        source_error: Between ONNX Runtime and the program that the policy comes from; None if it
            was not asked.
        speed: The file against the eager module, on this machine; None: not measured.
    """

    path: Path
    spec: PolicySpec
    size_bytes: int
    nodes: int
    max_abs_error: float
    source_error: float | None = None
    speed: Speed | None = None


def export_module(
    module: Any,
    spec: PolicySpec,
    path: Path,
    *,
    observations: Sequence[Tensors] = (),
    exporter: str = 'dynamo',
    opset: int = OPSET,
    seed: int = 0,
    reference: Reference | None = None,
    tolerance: float = PARITY_TOLERANCE,
    measure_speed: bool = False,
) -> ExportReport:
    """Write a torch module as an ONNX policy, after proving that both give the same actions.

    The file appears only when everything holds.

    Args:
        module: A `torch.nn.Module` or a `torch.export.ExportedProgram`. Takes the inputs of
            `spec` in its order, batch 1, raw physical values, and returns actions
            (1, chunk_size, D) in physical units, followed by one new hidden state per recurrent
            input. Normalisation is inside; noise, hidden state and prefix are inputs.
        spec: The contract, with training ranges. Its self-test is replaced; facts about the
            export are added to its source.
        path: Where the file goes.
        observations: Real observations to compare on, besides the seeded ones.
        exporter: `dynamo` or `legacy`.
        opset: ONNX operator set, 17 to 20.
        seed: First seed of the compared inputs, and that of the self-test.
        reference: Gives the actions of the program that the policy comes from for the same
            tensors; compared as well.
        tolerance: Largest deviation allowed, in action units.
        measure_speed: Also time file and module side by side.

    Raises:
        StatisticsMissing: ranges or normalisation are missing.
        ParityError: torch and ONNX Runtime differ by more than the tolerance.
        ExportError: anything else; nothing was written.
    """
    check_statistics(spec, module)
    if not isinstance(module, torch.export.ExportedProgram):  # whose mode is fixed
        module = module.eval()
    model = to_onnx(module, spec, make_inputs(spec, seed), exporter=exporter, opset=opset)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + '.partial')
    try:
        onnx.save_model(model, str(partial))
        proof = prove(
            module,
            spec,
            onnx_runner(partial, spec),
            seeds=range(seed, seed + PARITY_INPUTS),
            observations=observations,
            reference=reference,
            tolerance=tolerance,
        )
        facts = export_facts(proof, exporter=exporter, opset=opset)
        written = replace(
            spec,
            self_test=proof.self_test,
            source=MappingProxyType({**spec.source, **facts}),
        )
        # What is written must be readable by the runtime, or it is of no use.
        PolicySpec.from_json(written.to_json(), source=str(path))
        set_metadata(model, METADATA_KEY, written.to_json())
        onnx.save_model(model, str(partial))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return ExportReport(
        path=path,
        spec=written,
        size_bytes=path.stat().st_size,
        nodes=len(model.graph.node),
        max_abs_error=proof.max_abs_error,
        source_error=proof.source_error,
        speed=compare_speed(module, spec, path) if measure_speed else None,
    )


def _digits(error: float) -> float:
    """Return three significant digits: an error is an order of magnitude."""
    return float(f'{error:.2e}')


def export_facts(proof: Proof, *, exporter: str, opset: int) -> dict[str, object]:
    """Return what is stored of an export in the spec's source."""
    return {
        'framework': f'torch {release(torch.__version__)}',
        'exporter': exporter,
        'opset': opset,
        'onnx': onnx.__version__,
        'onnxruntime': onnxruntime.__version__,
        'python': platform.python_version(),
        'parity': parity_facts(proof),
    }


def parity_facts(proof: Proof) -> dict[str, object]:
    """Return what is stored of a proof in the spec's source."""
    facts: dict[str, object] = {
        'inputs': proof.inputs,
        'max_abs_error': _digits(proof.max_abs_error),
        'float_noise': _digits(proof.float_noise),
        'outputs': {
            name: {'max_abs': _digits(error), 'max_rel': _digits(proof.relative[name])}
            for name, error in proof.absolute.items()
        },
    }
    if proof.source_error is not None:
        facts['source_max_abs_error'] = _digits(proof.source_error)
    return facts


def release(version: str) -> str:
    """Return a version without the local part: which build it was changes no number here."""
    return version.split('+')[0]
