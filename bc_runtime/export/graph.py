# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Torch to ONNX, free of traces of the machine that made the file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import contextlib
import io
import logging
from typing import Any, Final
import warnings

import numpy as np
from numpy.typing import NDArray
import onnx
import torch

from bc_runtime.export.errors import ExportError
from bc_runtime.spec import PolicySpec
from bc_runtime.spec.inputs import RecurrentInput

EXPORTERS: Final = ('dynamo', 'legacy')
#: Written by default: readable by every ONNX Runtime since 1.14.
OPSET: Final = 18


def to_onnx(
    module: Any,
    spec: PolicySpec,
    inputs: Mapping[str, NDArray[np.generic]],
    *,
    exporter: str,
    opset: int,
) -> Any:
    """Return the `onnx.ModelProto` of a module, with the names of the spec.

    Args:
        module: A torch module in inference mode, or a `torch.export.ExportedProgram`; takes the
            spec's inputs in order.
        spec: Names the inputs and the outputs; batch 1, all shapes static.
        inputs: One example tensor per input.
        exporter: `dynamo` (torch.export) or `legacy` (TorchScript).
        opset: ONNX operator set.

    Raises:
        ExportError: the exporter is unknown or fails, or the model is not valid.
    """
    given = {item.name: inputs[item.name] for item in spec.inputs}
    return write_graph(
        module, given, output_names(spec), name=spec.name, exporter=exporter, opset=opset
    )


def write_graph(
    module: Any,
    inputs: Mapping[str, NDArray[np.generic]],
    outputs: Sequence[str],
    *,
    name: str,
    exporter: str,
    opset: int,
) -> Any:
    """Return the `onnx.ModelProto` of a module with named inputs and outputs; see `to_onnx`."""
    if exporter not in EXPORTERS:
        raise ExportError(
            f'expected one of the exporters {", ".join(EXPORTERS)}, got {exporter!r}'
        )
    example = tuple(torch.from_numpy(np.array(value)) for value in inputs.values())
    buffer = io.BytesIO()
    names = {'input_names': list(inputs), 'output_names': list(outputs)}
    is_program = isinstance(module, torch.export.ExportedProgram)
    if is_program and exporter == 'legacy':
        raise ExportError(
            f'{name}: the legacy exporter takes modules only, got an exported program; use '
            'the exporter dynamo'
        )
    try:
        with torch.no_grad(), _quiet():
            if exporter == 'dynamo':
                # Shapes seen by an earlier export in this process would turn dynamic.
                torch._dynamo.reset()
                program = torch.onnx.export(
                    module,
                    () if is_program else example,
                    dynamo=True,
                    opset_version=opset,
                    verbose=False,
                    **names,
                )
                program.save(buffer, external_data=False)
            else:
                torch.onnx.export(
                    module, example, buffer, dynamo=False, opset_version=opset, **names
                )
        model = onnx.load_model_from_string(buffer.getvalue())
        strip(model)
        model.producer_name, model.producer_version = 'bc_runtime', ''
        onnx.checker.check_model(model, full_check=True)
    # The exporters raise what they like; all of it means the same to the caller.
    except Exception as error:
        hint = 'legacy' if exporter == 'dynamo' else 'dynamo'
        raise ExportError(
            f'{name}: the {exporter} exporter of torch {torch.__version__} failed: '
            f'{type(error).__name__}: {error}. Try the exporter {hint!r} or another opset '
            f'(now {opset})'
        ) from error
    return model


def output_names(spec: PolicySpec) -> tuple[str, ...]:
    """Return the names of a graph's outputs: the chunk, then hidden states in order."""
    hidden = (item.output for item in spec.inputs if isinstance(item, RecurrentInput))
    return (spec.output, *hidden)


def strip(model: Any) -> None:
    """Remove everything from a model that says where and by which code it was made.

    The dynamo exporter leaves stack traces with absolute paths and source lines in every node.
    """
    model.doc_string = ''
    del model.metadata_props[:]
    _strip_graph(model.graph)
    for function in model.functions:
        function.doc_string = ''
        _strip_nodes(function.node)
        _strip_infos(function)


def set_metadata(model: Any, key: str, value: str) -> None:
    """Write one metadata property, replacing one of the same name."""
    kept = [entry for entry in model.metadata_props if entry.key != key]
    del model.metadata_props[:]
    for entry in kept:
        model.metadata_props.add(key=entry.key, value=entry.value)
    model.metadata_props.add(key=key, value=value)


def _strip_graph(graph: Any) -> None:
    graph.doc_string = ''
    _strip_infos(graph)
    for info in (*graph.input, *graph.output, *graph.value_info):
        info.doc_string = ''
        _strip_infos(info)
    for tensor in graph.initializer:
        tensor.doc_string = ''
        _strip_infos(tensor)
    _strip_nodes(graph.node)


def _strip_nodes(nodes: Iterable[Any]) -> None:
    for node in nodes:
        node.doc_string = ''
        _strip_infos(node)
        for attribute in node.attribute:
            attribute.doc_string = ''
            if attribute.HasField('g'):
                _strip_graph(attribute.g)
            for graph in attribute.graphs:
                _strip_graph(graph)


def _strip_infos(message: Any) -> None:
    if 'metadata_props' in message.DESCRIPTOR.fields_by_name:
        del message.metadata_props[:]


@contextlib.contextmanager
def _quiet() -> Any:
    """Keep the exporters' progress and deprecation notes away from the terminal."""
    loggers = [logging.getLogger(name) for name in ('torch.onnx', 'onnxscript', 'onnx_ir')]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter('ignore')
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
