# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Torch to ONNX, free of traces of the machine that made the file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
        module: A torch module in inference mode; takes the spec's inputs in order.
        spec: Names the inputs and the output; batch 1, all shapes static.
        inputs: One example tensor per input.
        exporter: `dynamo` (torch.export) or `legacy` (TorchScript).
        opset: ONNX operator set.

    Raises:
        ExportError: the exporter is unknown or fails, or the model is not valid.
    """
    if exporter not in EXPORTERS:
        raise ExportError(
            f'expected one of the exporters {", ".join(EXPORTERS)}, got {exporter!r}'
        )
    example = tuple(torch.from_numpy(np.array(inputs[item.name])) for item in spec.inputs)
    buffer = io.BytesIO()
    names = {'input_names': [item.name for item in spec.inputs], 'output_names': [spec.output]}
    try:
        with torch.no_grad(), _quiet():
            if exporter == 'dynamo':
                program = torch.onnx.export(
                    module, example, dynamo=True, opset_version=opset, verbose=False, **names
                )
                program.save(buffer, external_data=False)
            else:
                torch.onnx.export(
                    module, example, buffer, dynamo=False, opset_version=opset, **names
                )
        model = onnx.load_model_from_string(buffer.getvalue())
        strip(model)
        onnx.checker.check_model(model, full_check=True)
    # The exporters raise what they like; all of it means the same to the caller.
    except Exception as error:
        hint = 'legacy' if exporter == 'dynamo' else 'dynamo'
        raise ExportError(
            f'{spec.name}: the {exporter} exporter of torch {torch.__version__} failed: '
            f'{type(error).__name__}: {error}. Try the exporter {hint!r} or another opset '
            f'(now {opset})'
        ) from error
    return model


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
    logger = logging.getLogger('torch.onnx')
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.setLevel(level)
