# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`export_two_graphs`: a diffusion or flow module becomes an encoder and a step network.

For large models: neither file grows with the number of steps, each is a plain graph without a
loop (which CUDA graphs and other runtimes can take), and the loop runs in the policy backend.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
import os
from pathlib import Path
import tempfile
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
import onnx
import torch
from torch import nn

from bc_runtime.export.errors import ExportError
from bc_runtime.export.graph import OPSET, set_metadata, write_graph
from bc_runtime.export.module import ExportReport, export_facts
from bc_runtime.export.proof import (
    PARITY_INPUTS,
    PARITY_TOLERANCE,
    Reference,
    Runner,
    Tensors,
    prove,
)
from bc_runtime.export.speed import compare_speed
from bc_runtime.export.statistics import check_statistics
from bc_runtime.policy.loader import load_policy
from bc_runtime.policy.onnx_file import read_onnx_file
from bc_runtime.spec import METADATA_KEY, PolicySpec
from bc_runtime.spec.inputs import NoiseInput
from bc_runtime.spec.sampling import (
    GAIN,
    NOISE,
    OFFSET,
    PREDICTION,
    SAMPLE,
    STEP_SUFFIX,
    TIME,
    Sampling,
)
from bc_runtime.spec.self_test import make_inputs


class TwoGraphModule(Protocol):
    """What a torch module offers besides the whole `forward`, with which both are compared."""

    def encode(self, *observed: Any) -> Sequence[Any]:
        """Return gain and offset (1, chunk_size, D), then the conditioning, float32.

        Args:
            observed: The spec's inputs without the noise, in its order.
        """

    def predict(self, sample: Any, time: Any, *conditioning: Any) -> Any:
        """Return the prediction (1, H, D) for a sample (1, H, D) and a time (1,)."""

    def sampling(self, names: Sequence[str]) -> Sampling:
        """Return the loop, for the action dimensions `names`; files and conditioning are empty."""


def export_two_graphs(
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
    """Write a module as `<name>.onnx` and `<name>.step.onnx`, after proving both in the runtime.

    Args:
        module: A torch module that is a `TwoGraphModule` as well; its `forward` is what the files
            are compared with.
        spec: The contract, as for `export_module`; `sampling` is set here.
        path: Of the policy; the other file goes beside it.
        observations: Real observations to compare on, besides the seeded ones.
        exporter: `dynamo` or `legacy`.
        opset: ONNX operator set, 17 to 20.
        seed: First seed of the compared inputs, and that of the self-test.
        reference: Gives the actions of the program that the policy comes from.
        tolerance: Largest deviation allowed, in action units.
        measure_speed: Also time files and module side by side.

    Raises:
        StatisticsMissing: ranges or normalisation are missing.
        ParityError: torch and the two graphs in the runtime's loop differ too much.
        ExportError: the module has no such parts, or anything else; nothing was written.
    """
    missing = [n for n in ('encode', 'predict', 'sampling') if not hasattr(module, n)]
    if missing or path.suffix != '.onnx':
        raise ExportError(
            f'{path}: two graphs need a file name that ends in .onnx and a diffusion or flow '
            f'module with encode, predict and sampling; missing: {", ".join(missing) or "-"}. '
            'Export other modules as one graph'
        )
    check_statistics(spec, module)
    module = module.eval()
    encoder, step, sampling = _graphs(module, spec, seed=seed, exporter=exporter, opset=opset)
    beside = path.with_name(path.name.removesuffix('.onnx') + STEP_SUFFIX)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix='.bc-export-') as name:
        first, second = Path(name) / path.name, Path(name) / beside.name
        onnx.save_model(step, str(second))
        sampling = replace(
            sampling, step_file=beside.name, step_sha256=read_onnx_file(second).sha256
        )
        plan = replace(spec, sampling=sampling, self_test=None)
        _write(encoder, plan, first)
        run = _runner(first)
        proof = prove(
            module,
            plan,
            run,
            seeds=range(seed, seed + PARITY_INPUTS),
            observations=observations,
            reference=reference,
            tolerance=tolerance,
        )
        facts = export_facts(proof, exporter=exporter, opset=opset)
        written = replace(
            plan,
            self_test=proof.self_test,
            source=MappingProxyType({**spec.source, **facts}),
        )
        _write(encoder, written, first)
        load_policy(first, warm_up_runs=0)
        # Between the two, a policy of this name is refused because of its digest.
        os.replace(second, beside)
        os.replace(first, path)
    return ExportReport(
        path=path,
        spec=written,
        size_bytes=path.stat().st_size + beside.stat().st_size,
        nodes=len(encoder.graph.node) + len(step.graph.node),
        max_abs_error=proof.max_abs_error,
        source_error=proof.source_error,
        speed=compare_speed(module, spec, path, run=run) if measure_speed else None,
    )


class _Part(nn.Module):  # type: ignore[misc]
    """One method of a module as a module, for the exporters."""

    def __init__(self, module: Any, method: str) -> None:
        super().__init__()
        self.module = module
        self.method = method

    def forward(self, *inputs: Any) -> Any:
        result = getattr(self.module, self.method)(*inputs)
        return result if isinstance(result, torch.Tensor) else tuple(result)


def _graphs(
    module: Any, spec: PolicySpec, *, seed: int, exporter: str, opset: int
) -> tuple[Any, Any, Sampling]:
    plan = module.sampling(spec.action_names)
    inputs = make_inputs(spec, seed)
    noises = [item.name for item in spec.inputs if isinstance(item, NoiseInput)]
    if NOISE not in noises:
        raise ExportError(f'{spec.name}: two graphs need a noise input {NOISE!r} in the spec')
    observed = {name: value for name, value in inputs.items() if name not in noises}
    with torch.no_grad():
        tensors = (torch.from_numpy(np.array(value)) for value in observed.values())
        encoded = [np.asarray(part.numpy()) for part in module.encode(*tensors)]
    rest = encoded[2:]
    names = [f'conditioning_{i}' if len(rest) > 1 else 'conditioning' for i in range(len(rest))]
    condition: dict[str, NDArray[Any]] = dict(zip(names, rest, strict=True))
    sampling = replace(
        plan,
        conditioning=MappingProxyType({name: part.shape for name, part in condition.items()}),
    )
    time = np.zeros(1, dtype=sampling.time_dtype)
    asked: Mapping[str, NDArray[Any]] = {SAMPLE: inputs[NOISE], TIME: time, **condition}

    def write(method: str, given: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> Any:
        return write_graph(
            # In training mode, the legacy exporter would leave the whole module in it.
            _Part(module, method).eval(),
            given,
            outputs,
            name=f'{spec.name} ({method})',
            exporter=exporter,
            opset=opset,
        )

    encoder = write('encode', observed, (GAIN, OFFSET, *names))
    return encoder, write('predict', asked, (PREDICTION,)), sampling


def _write(model: Any, spec: PolicySpec, path: Path) -> None:
    # What is written must be readable by the runtime, or it is of no use.
    PolicySpec.from_json(spec.to_json(), source=str(path))
    set_metadata(model, METADATA_KEY, spec.to_json())
    onnx.save_model(model, str(path))


def _runner(path: Path) -> Runner:
    """Return the actions that the runtime gives, its own loop included."""
    policy = load_policy(path, threads=1, self_test=False, warm_up_runs=0)

    def run(tensors: Tensors) -> list[NDArray[Any]]:
        return [policy.infer(tensors).values[None]]

    return run
