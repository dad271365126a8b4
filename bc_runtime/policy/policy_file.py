# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Read the spec of a model: JSON in the file's metadata, or a YAML side file."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from bc_runtime.policy.errors import SpecMissing
from bc_runtime.policy.model_path import SUFFIX, is_second_graph
from bc_runtime.policy.onnx_file import OnnxFile
from bc_runtime.spec.errors import SpecError, available
from bc_runtime.spec.policy_spec import METADATA_KEY, PolicySpec
from bc_runtime.spec.sampling import STEP_SUFFIX

SIDE_SUFFIX = '.policy.yaml'


def side_file(model: Path) -> Path:
    """Return where the side file of a model lies: `arm.onnx` -> `arm.policy.yaml`."""
    return model.with_suffix(SIDE_SUFFIX)


def read_spec(file: OnnxFile, *, requested: Path | None = None) -> PolicySpec:
    """Return the spec of a model.

    Args:
        file: The model.
        requested: The path as the user gave it; where it is a link, a side file may lie beside it.

    Raises:
        SpecMissing: neither metadata nor a side file.
        SpecError: the spec is wrong, of a newer schema, or given twice and different.
    """
    text = file.metadata.get(METADATA_KEY)
    beside = [side_file(path) for path in (file.path, requested) if path is not None]
    side = next((path for path in beside if path.is_file()), None)
    if text is None:
        if side is not None:
            return PolicySpec.from_yaml_file(side)
        if is_second_graph(file.path):
            first = file.path.name.removesuffix(STEP_SUFFIX) + SUFFIX
            raise SpecMissing(
                f'{file.path}: this is the second graph of the policy {first} beside it; load that'
            )
        raise SpecMissing(
            f'{file.path}: the model has no policy spec: expected JSON in the metadata property '
            f'{METADATA_KEY!r} or a side file {beside[0].name} beside it; metadata in the file: '
            f'{available(file.metadata)}. Add one: bc wrap {file.path.name} --spec SPEC.yaml '
            '-o OUT.onnx (docs/reference/policy_file.md describes the spec)'
        )
    spec = PolicySpec.from_json(text, source=f'{file.path} ({METADATA_KEY})')
    if side is not None and not _same(PolicySpec.from_yaml_file(side), spec):
        raise SpecError(
            f'differs from the spec inside {file.path.name}; keep one of the two: delete the side '
            'file, or write it into the model with bc wrap',
            source=str(side),
        )
    return spec


def _same(side: PolicySpec, inside: PolicySpec) -> bool:
    # Wrapping adds a self-test that the side file, from which the spec came, does not have.
    if side.self_test is None:
        inside = dataclasses.replace(inside, self_test=None)
    return side == inside
