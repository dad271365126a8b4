# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Smaller and faster forms of a policy file, and what they cost in accuracy.

* `graph`: ONNX Runtime's own rewriting, done once instead of at every load; same numbers
* `fp16`: half-precision weights and arithmetic; for GPUs
* `int8`: 8-bit weights of matrix products, activations quantised at run time
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
import io
import logging
from pathlib import Path
import shutil
import tempfile
from types import MappingProxyType
from typing import Any, Final
import warnings

import numpy as np
from numpy.typing import NDArray
import onnx
import onnxruntime

from bc_runtime.export.errors import ExportError
from bc_runtime.policy import Policy, load_policy
from bc_runtime.policy.onnx_file import read_onnx_file
from bc_runtime.policy.policy_file import read_spec
from bc_runtime.policy.timing import time_policies
from bc_runtime.policy.wrap import wrap_model
from bc_runtime.spec import BcError, PolicySpec
from bc_runtime.spec.errors import available
from bc_runtime.spec.self_test import make_inputs

COMPARED_INPUTS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One form of a policy, compared with the file that it came from.

    Attributes:
        form: `as it is`, or a key of `FORMS`.
        path: The file; None where this form is not possible.
        size_bytes: Of the file.
        p50_s: Median duration of an inference, measured in turns with the others [s].
        max_abs_error: Largest deviation of an action, in action units.
        rms_share: Root mean square deviation as a share of the actions' own spread.
        problem: Why this form is not possible; empty otherwise.
    """

    form: str
    path: Path | None
    size_bytes: int = 0
    p50_s: float = float('nan')
    max_abs_error: float = float('nan')
    rms_share: float = float('nan')
    problem: str = ''


def _graph(source: Path, target: Path) -> None:
    options = onnxruntime.SessionOptions()
    # The extended level stays portable; the highest one writes layouts of this very processor.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(
        str(source), sess_options=options, providers=['CPUExecutionProvider']
    )


def _half(source: Path, target: Path) -> None:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = onnx.load(str(source))
    # Inputs and outputs keep their types, so the spec stays as it is.
    onnx.save_model(convert_float_to_float16(model, keep_io_types=True), str(target))


def _int8(source: Path, target: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        str(source),
        str(target),
        op_types_to_quantize=['MatMul', 'Gemm'],
        weight_type=QuantType.QInt8,
        # 7 bits: on x86 without VNNI the sum of two 8-bit products saturates at 16 bits, and the
        # file would act differently there (onnxruntime.ai, "Quantize ONNX models", reduce range).
        reduce_range=True,
        extra_options={'EnableSubgraph': True},
    )


FORMS: Final[Mapping[str, Callable[[Path, Path], None]]] = MappingProxyType(
    {'graph': _graph, 'fp16': _half, 'int8': _int8}
)


def optimize(source: Path, form: str, out: Path, *, overwrite: bool = False) -> Path:
    """Write one form of a policy file, with its spec and a new self-test.

    Args:
        source: A policy file.
        form: A key of `FORMS`.
        out: File to write.
        overwrite: Replace an existing `out`.

    Raises:
        ExportError: this form is not possible for this file.
        PolicyError: the source is unusable, or `out` exists.
    """
    if form not in FORMS:
        raise ExportError(f'expected a form of {available(FORMS)}, got {form!r}')
    file = read_onnx_file(source)
    spec = read_spec(file)
    _refuse_two_graphs(file.path, spec)
    facts = {'optimized': form, 'optimized_from': file.sha256}
    spec = replace(spec, source=MappingProxyType({**spec.source, **facts}))
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix='.bc-optimize-') as folder:
        raw = Path(folder) / 'raw.onnx'
        try:
            with _quiet():
                FORMS[form](file.path, raw)
        # These tools raise what they like; all of it means the same to the caller.
        except Exception as error:
            text = ' '.join(str(error).split())[:300]
            raise ExportError(
                f'{file.path}: the form {form!r} is not possible: {type(error).__name__}: {text}'
            ) from error
        _fit_to_runtime(raw)
        wrap_model(raw, spec, out, overwrite=overwrite)
    return out


def compare(
    source: Path,
    forms: Sequence[str],
    folder: Path,
    *,
    runs: int = 50,
    threads: int | None = None,
) -> list[Variant]:
    """Make forms of a policy file in a folder, and measure all of them in turns.

    The first row is the file as it is. A form that is not possible is a row that says why.

    Raises:
        PolicyError: the source is no policy file.
    """
    file = read_onnx_file(source)
    _refuse_two_graphs(file.path, read_spec(file))
    policies: dict[str, Policy] = {'as it is': load_policy(source, threads=threads)}
    paths, problems = {'as it is': source}, {}
    for form in forms:
        path = folder / f'{source.stem}.{form}.onnx'
        try:
            optimize(source, form, path, overwrite=True)
            policies[form], paths[form] = load_policy(path, threads=threads), path
        except BcError as error:
            problems[form] = str(error)
    timings = time_policies(policies, runs=runs)
    errors = {name: _errors(policies['as it is'], policy) for name, policy in policies.items()}
    rows = []
    for name in ('as it is', *forms):
        if name in problems:
            rows.append(Variant(form=name, path=None, problem=problems[name]))
            continue
        rows.append(
            Variant(
                form=name,
                path=paths[name],
                size_bytes=paths[name].stat().st_size,
                p50_s=timings[name].p50_s,
                max_abs_error=errors[name][0],
                rms_share=errors[name][1],
            )
        )
    return rows


def _refuse_two_graphs(path: Path, spec: PolicySpec) -> None:
    if spec.sampling is not None:
        raise ExportError(
            f'{path}: a policy of two graphs ({path.name} and {spec.sampling.step_file}), and '
            'forms are made of one graph only. Export it without --two-graphs and optimize that'
        )


def copy_result(variant: Variant, out: Path, *, overwrite: bool) -> None:
    """Keep the file of a row that `compare` measured.

    Raises:
        ExportError: this form is not possible, or `out` exists.
    """
    if variant.path is None:
        raise ExportError(variant.problem)
    if out.exists() and not overwrite:
        raise ExportError(f'{out}: exists already; choose another name or allow overwriting')
    out.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(variant.path, out)


def _errors(policy: Policy, other: Policy) -> tuple[float, float]:
    """Return the largest deviation, and the mean one as a share of the actions' spread."""

    def chunks(each: Policy) -> NDArray[np.float64]:
        values = []
        for seed in range(COMPARED_INPUTS):
            each.reset(seed=seed)
            values.append(each.infer(make_inputs(policy.spec, seed)).values)
        return np.array(values, dtype=np.float64)

    wanted, got = chunks(policy), chunks(other)
    off = got - wanted
    spread = np.maximum(wanted.reshape(-1, wanted.shape[-1]).std(axis=0), 1e-6)
    return float(np.abs(off).max()), float(np.sqrt(np.mean((off / spread) ** 2)))


def _fit_to_runtime(path: Path) -> None:
    """Drop operator sets that no node uses: the tools add those of training and of NCHWc."""
    model = onnx.load(str(path))
    used = {node.domain for node in _nodes(model.graph)}
    used |= {node.domain for function in model.functions for node in function.node}
    kept = [opset for opset in model.opset_import if not opset.domain or opset.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    onnx.save_model(model, str(path))


def _nodes(graph: Any) -> list[Any]:
    found = []
    for node in graph.node:
        found.append(node)
        for attribute in node.attribute:
            inner = [attribute.g] if attribute.HasField('g') else []
            for each in (*inner, *attribute.graphs):
                found += _nodes(each)
    return found


@contextmanager
def _quiet() -> Any:
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            redirect_stdout(io.StringIO()),
            redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(level)
