# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Prove that the exported graph computes what the module computes, and keep a sample of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
import onnxruntime
import torch

from bc_runtime.export.errors import ExportError, ParityError
from bc_runtime.spec import PolicySpec, SelfTest
from bc_runtime.spec.self_test import make_inputs

Tensors = Mapping[str, NDArray[np.generic]]

#: Largest deviation between torch and ONNX Runtime, in action units.
PARITY_TOLERANCE: Final = 1e-4
PARITY_INPUTS: Final = 16
_SMALLEST_TOLERANCE: Final = 1e-5
_LARGEST_TOLERANCE: Final = 1e-3
# Another machine has other vector widths and another order of sums. Its float32 error is of the
# size of this machine's, which float64 shows; this much larger still passes.
_NOISE_FACTOR: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What the comparison found.

    Attributes:
        inputs: Number of compared observations.
        max_abs_error: Between torch and ONNX Runtime, in action units.
        float_noise: Between ONNX Runtime in float32 and torch in float64, in action units.
        self_test: Goes into the spec.
    """

    inputs: int
    max_abs_error: float
    float_noise: float
    self_test: SelfTest


def prove(
    module: Any,
    spec: PolicySpec,
    path: Path,
    *,
    seeds: Sequence[int],
    observations: Sequence[Tensors] = (),
) -> Proof:
    """Compare module and file on seeded and on given observations.

    Args:
        module: The torch module.
        spec: Of the policy.
        path: The ONNX file, loaded from disk as the runtime will load it.
        seeds: Of `make_inputs`; at least 8. The first is the self-test's.
        observations: Real ones, as many as there are.

    Raises:
        ParityError: the deviation is above `PARITY_TOLERANCE`.
        ExportError: the graph gives another shape, or numbers that are not finite.
    """
    if len(seeds) < 8:
        raise ExportError(f'expected at least 8 seeds to compare, got {len(seeds)}')
    samples = [make_inputs(spec, seed) for seed in seeds]
    session = _session(path)
    error, noise = 0.0, 0.0
    first: NDArray[np.float64] | None = None
    for tensors in (*samples, *observations):
        wanted = _run_torch(module, spec, tensors)
        got = _run_onnx(session, spec, tensors, source=path)
        error = max(error, float(np.abs(got - wanted).max()))
        truth = _run_double(module, spec, tensors)
        noise = max(noise, float(np.abs(got - truth).max()))
        if first is None:
            first = truth
    if first is None or error > PARITY_TOLERANCE:
        raise ParityError(
            f'{spec.name}: torch and ONNX Runtime {onnxruntime.__version__} differ by up to '
            f'{error:.3g} over {len(samples) + len(observations)} observations; at most '
            f'{PARITY_TOLERANCE:g} is allowed. The file was not written; try the other exporter',
            max_abs_error=error,
            tolerance=PARITY_TOLERANCE,
        )
    tolerance = min(max(_NOISE_FACTOR * noise, _SMALLEST_TOLERANCE), _LARGEST_TOLERANCE)
    # Two significant digits: it is an order of magnitude, not a measurement.
    return Proof(
        inputs=len(samples) + len(observations),
        max_abs_error=error,
        float_noise=noise,
        self_test=SelfTest(
            seed=seeds[0],
            expected=tuple(float(np.float32(v)) for v in first.ravel()),
            tolerance=float(f'{tolerance:.1e}'),
        ),
    )


def _session(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        str(path), sess_options=options, providers=['CPUExecutionProvider']
    )


def _run_onnx(
    session: Any, spec: PolicySpec, tensors: Tensors, *, source: Path
) -> NDArray[np.float64]:
    output = session.run([spec.output], {item.name: tensors[item.name] for item in spec.inputs})[0]
    return _checked(spec, np.asarray(output), f'ONNX Runtime ({source.name})')


def _run_torch(module: Any, spec: PolicySpec, tensors: Tensors) -> NDArray[np.float64]:
    values = [torch.from_numpy(np.array(tensors[item.name])) for item in spec.inputs]
    with torch.no_grad():
        return _checked(spec, module(*values).numpy(), 'torch')


def _run_double(module: Any, spec: PolicySpec, tensors: Tensors) -> NDArray[np.float64]:
    """Return the actions in float64 where the module can, else in float32."""
    values = [torch.from_numpy(np.array(tensors[item.name])) for item in spec.inputs]
    values = [v.double() if v.is_floating_point() else v for v in values]
    try:
        with torch.no_grad():
            actions = deepcopy(module).double()(*values).numpy()
    except RuntimeError:  # somewhere inside it insists on float32
        return _run_torch(module, spec, tensors)
    return _checked(spec, actions, 'torch')


def _checked(spec: PolicySpec, values: NDArray[Any], where: str) -> NDArray[np.float64]:
    wanted = (1, spec.chunk_size, spec.action_dim)
    if values.shape != wanted:
        raise ExportError(
            f'{spec.name}: expected {spec.output!r} of shape {list(wanted)} (batch, chunk_size, '
            f'actions) from {where}, got {list(values.shape)}; correct the spec or the module'
        )
    if not np.isfinite(values).all():
        raise ExportError(f'{spec.name}: {where} gives actions that are not finite numbers')
    return values.astype(np.float64)
