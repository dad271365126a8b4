# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Read the spec of a model without loading it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bc_runtime.policy.model_path import find_model, suffix_of
from bc_runtime.policy.onnx_file import read_onnx_file
from bc_runtime.policy.policy_file import read_spec
from bc_runtime.policy.program import archive
from bc_runtime.policy.remote import contract
from bc_runtime.policy.remote.remote_policy import connect
from bc_runtime.spec.policy_spec import PolicySpec

#: A server that is only asked for its spec must answer at once.
CONNECT_TIMEOUT_S = 2.0


def spec_of(path_or_name: str | Path, model_dirs: Sequence[Path]) -> PolicySpec:
    """Return the spec of a model given by path, name or address; its weights are not read.

    Raises:
        PolicyError: no such model, not a model, no spec in it, no server at the address.
        SpecError: the spec is wrong or of a newer schema.
    """
    text = str(path_or_name)
    if contract.is_address(text):
        policy = connect(None, url=text, connect_timeout_s=CONNECT_TIMEOUT_S)
        policy.close()
        return policy.spec
    found = find_model(path_or_name, model_dirs=model_dirs)
    if suffix_of(found) == contract.SUFFIX:
        return contract.read_remote_file(found).spec
    if suffix_of(found) == archive.SUFFIX:
        return archive.read_program_spec(archive.read_program_file(found))
    return read_spec(read_onnx_file(found, digest=False), requested=found)
