# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Read the spec of a model without loading it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bc_runtime.policy.model_path import find_model
from bc_runtime.policy.onnx_file import read_onnx_file
from bc_runtime.policy.policy_file import read_spec
from bc_runtime.spec.policy_spec import PolicySpec


def spec_of(path_or_name: str | Path, model_dirs: Sequence[Path]) -> PolicySpec:
    """Return the spec of a model given by path or name.

    Raises:
        PolicyError: no such model, not an ONNX file, no spec in it.
        SpecError: the spec is wrong or of a newer schema.
    """
    found = find_model(path_or_name, model_dirs=model_dirs)
    return read_spec(read_onnx_file(found.resolve()), requested=found)
