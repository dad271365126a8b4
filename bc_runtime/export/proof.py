# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Prove that the exported graph computes what the module computes, and keep a sample of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
import onnxruntime
import torch

from bc_runtime.export.errors import ExportError, ParityError
from bc_runtime.export.graph import output_names
from bc_runtime.spec import PolicySpec, SelfTest
from bc_runtime.spec.inputs import RecurrentInput
from bc_runtime.spec.self_test import make_inputs

Tensors = Mapping[str, NDArray[np.generic]]
Outputs = dict[str, NDArray[np.float64]]
#: The actions (1, chunk_size, D) of another program for the same tensors.
Reference = Callable[[Tensors], NDArray[Any]]

#: The outputs of a written file: the chunk, then hidden states.
Runner = Callable[[Tensors], list[NDArray[Any]]]

#: Largest deviation between torch and ONNX Runtime, in action units.
PARITY_TOLERANCE: Final = 1e-4
PARITY_INPUTS: Final = 16
#: Inferences in a row, for policies with a hidden state.
ROLLOUT_STEPS: Final = 8
_SMALLEST_TOLERANCE: Final = 1e-5
_LARGEST_TOLERANCE: Final = 1e-3
# Another machine has other vector widths and another order of sums. Its float32 error is of the
# size of this machine's, which float64 shows; this much larger still passes.
_NOISE_FACTOR: Final = 30.0
# Relative errors are taken against at least this; below, the absolute error says more.
_SMALLEST_VALUE: Final = 1e-3


@dataclass(slots=True)
class _Errors:
    absolute: dict[str, float] = field(default_factory=dict)
    relative: dict[str, float] = field(default_factory=dict)

    def add(self, got: Outputs, wanted: Outputs) -> None:
        for name, value in wanted.items():
            off = np.abs(got[name] - value)
            size = np.maximum(np.abs(value), _SMALLEST_VALUE)
            self.absolute[name] = max(self.absolute.get(name, 0.0), float(off.max()))
            self.relative[name] = max(self.relative.get(name, 0.0), float((off / size).max()))

    @property
    def worst(self) -> float:
        return max(self.absolute.values(), default=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What the comparison found.

    Attributes:
        inputs: Number of compared observations.
        max_abs_error: Between torch and ONNX Runtime, in action units, over all outputs.
        absolute: Output name -> largest absolute error.
        relative: Output name -> largest relative error (values below 1e-3 count as 1e-3).
        float_noise: Between ONNX Runtime in float32 and torch in float64, in action units.
        source_error: Between ONNX Runtime and the program that the policy comes from, in action
            units; None if it was not asked.
        self_test: Goes into the spec.
    """

    inputs: int
    max_abs_error: float
    absolute: Mapping[str, float]
    relative: Mapping[str, float]
    float_noise: float
    source_error: float | None
    self_test: SelfTest


def prove(
    module: Any,
    spec: PolicySpec,
    run: Runner,
    *,
    seeds: Sequence[int],
    observations: Sequence[Tensors] = (),
    reference: Reference | None = None,
    tolerance: float = PARITY_TOLERANCE,
) -> Proof:
    """Compare module and file on seeded and on given observations.

    Policies with a hidden state are also run for some inferences in a row, each side on its own
    states.

    Args:
        module: The torch module or exported program.
        spec: Of the policy.
        run: The written file, loaded from disk as the runtime will load it.
        seeds: Of `make_inputs`; at least 8. The first is the self-test's.
        observations: Real ones, as many as there are.
        reference: The program that the policy comes from.
        tolerance: Largest deviation allowed, in action units.

    Raises:
        ParityError: the deviation is above the tolerance.
        ExportError: the graph gives another shape, or numbers that are not finite.
    """
    if len(seeds) < 8:
        raise ExportError(f'expected at least 8 seeds to compare, got {len(seeds)}')
    module = module.module() if isinstance(module, torch.export.ExportedProgram) else module
    double = _in_double(module)
    samples = [make_inputs(spec, seed) for seed in seeds]
    errors, noise, source = _Errors(), _Errors(), _Errors()
    first: NDArray[np.float64] | None = None
    for tensors in (*samples, *observations):
        got = _outputs(spec, run(tensors), 'the written file')
        errors.add(got, _run_torch(module, spec, tensors))
        truth = _run_double(double, module, spec, tensors)
        noise.add(got, truth)
        if reference is not None:
            wanted = _checked(spec, np.asarray(reference(tensors)), 'the source of the policy')
            source.add(got, {spec.output: wanted})
        if first is None:
            first = truth[spec.output]
    if any(isinstance(item, RecurrentInput) for item in spec.inputs):
        _compare_in_a_row(module, run, spec, samples, errors)
    compared = len(samples) + len(observations)
    _refuse(spec, errors, 'torch', compared, tolerance)
    _refuse(spec, source, 'the source of the policy', compared, tolerance)
    if first is None:
        raise ExportError(f'{spec.name}: nothing was compared')
    limit = min(max(_NOISE_FACTOR * noise.worst, _SMALLEST_TOLERANCE), _LARGEST_TOLERANCE)
    # Two significant digits: it is an order of magnitude, not a measurement.
    return Proof(
        inputs=compared,
        max_abs_error=errors.worst,
        absolute=errors.absolute,
        relative=errors.relative,
        float_noise=noise.worst,
        source_error=source.worst if reference is not None else None,
        self_test=SelfTest(
            seed=seeds[0],
            expected=tuple(float(np.float32(v)) for v in first.ravel()),
            tolerance=float(f'{limit:.1e}'),
        ),
    )


def _refuse(spec: PolicySpec, errors: _Errors, who: str, compared: int, tolerance: float) -> None:
    # Written so that NaN is refused as well.
    if not errors.worst <= tolerance:
        where = max(errors.absolute, key=lambda name: errors.absolute[name])
        raise ParityError(
            f'{spec.name}: {who} and the written file (ONNX Runtime {onnxruntime.__version__}, '
            f'torch {torch.__version__}) differ by up to {errors.worst:.3g} in {where!r} over '
            f'{compared} observations; at most {tolerance:g} is allowed. The file was not '
            'written; try the other exporter',
            max_abs_error=errors.worst,
            tolerance=tolerance,
        )


def _compare_in_a_row(
    module: Any, run: Runner, spec: PolicySpec, samples: Sequence[Tensors], errors: _Errors
) -> None:
    recurrent = [item for item in spec.inputs if isinstance(item, RecurrentInput)]
    mine: dict[str, NDArray[Any]] = {}
    theirs: dict[str, NDArray[Any]] = {}
    for tensors in samples[:ROLLOUT_STEPS]:
        got = _outputs(spec, run({**tensors, **mine}), 'the written file')
        wanted = _run_torch(module, spec, {**tensors, **theirs})
        errors.add(got, wanted)
        mine = {item.name: got[item.output].astype(item.dtype) for item in recurrent}
        theirs = {item.name: wanted[item.output].astype(item.dtype) for item in recurrent}


def onnx_runner(path: Path, spec: PolicySpec) -> Runner:
    """Return the outputs of an ONNX file for a spec's inputs."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        str(path), sess_options=options, providers=['CPUExecutionProvider']
    )
    names, inputs = list(output_names(spec)), [item.name for item in spec.inputs]

    def run(tensors: Tensors) -> list[NDArray[Any]]:
        return list(session.run(names, {name: tensors[name] for name in inputs}))

    return run


def program_runner(module: Any, spec: PolicySpec) -> Runner:
    """Return the outputs of a torch module for a spec's inputs."""
    inputs = [item.name for item in spec.inputs]

    def run(tensors: Tensors) -> list[NDArray[Any]]:
        with torch.no_grad():
            return _as_arrays(module(*(torch.from_numpy(np.array(tensors[n])) for n in inputs)))

    return run


def _run_torch(module: Any, spec: PolicySpec, tensors: Tensors) -> Outputs:
    values = [torch.from_numpy(np.array(tensors[item.name])) for item in spec.inputs]
    with torch.no_grad():
        return _outputs(spec, _as_arrays(module(*values)), 'torch')


def _in_double(module: Any) -> Any:
    # A loaded program has its types written into the graph.
    return None if isinstance(module, torch.fx.GraphModule) else deepcopy(module).double()


def _run_double(double: Any, module: Any, spec: PolicySpec, tensors: Tensors) -> Outputs:
    """Return the outputs in float64 where the module can, else in float32."""
    if double is None:
        return _run_torch(module, spec, tensors)
    values = [torch.from_numpy(np.array(tensors[item.name])) for item in spec.inputs]
    values = [v.double() if v.is_floating_point() else v for v in values]
    try:
        with torch.no_grad():
            actions = _as_arrays(double(*values))
    except RuntimeError:  # somewhere inside it insists on float32
        return _run_torch(module, spec, tensors)
    return _outputs(spec, actions, 'torch')


def _as_arrays(result: Any) -> list[NDArray[Any]]:
    parts = result if isinstance(result, (tuple, list)) else (result,)
    return [part.numpy() for part in parts]


def _outputs(spec: PolicySpec, values: Sequence[NDArray[Any]], where: str) -> Outputs:
    names = output_names(spec)
    if len(values) != len(names):
        raise ExportError(
            f'{spec.name}: expected {len(names)} outputs ({", ".join(names)}: the actions, then '
            f'one per recurrent input) from {where}, got {len(values)}; correct the spec or the '
            'module'
        )
    result = {spec.output: _checked(spec, values[0], where)}
    recurrent = (item for item in spec.inputs if isinstance(item, RecurrentInput))
    for item, value in zip(recurrent, values[1:], strict=True):
        if value.shape != item.shape:
            raise ExportError(
                f'{spec.name}: expected {item.output!r} of shape {list(item.shape)}, the shape of '
                f'the recurrent input {item.name!r}, from {where}, got {list(value.shape)}'
            )
        result[item.output] = value.astype(np.float64)
    return result


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
