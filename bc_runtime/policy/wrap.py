# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Write a spec and a self-test into an ONNX file, leaving every other byte as it is.

A protobuf message may be continued by appending fields, so neither the onnx package nor a second
copy of the weights in memory is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import dataclasses
import os
from pathlib import Path
import shutil
import tempfile

import numpy as np

from bc_runtime.policy.errors import ModelFileError
from bc_runtime.policy.loader import load_policy, open_onnx
from bc_runtime.policy.onnx_file import OnnxFile, metadata_field, read_onnx_file, spans_without
from bc_runtime.policy.self_test import run_seeded
from bc_runtime.policy.two_graph_policy import TwoGraphPolicy
from bc_runtime.spec.errors import PolicyError
from bc_runtime.spec.policy_spec import METADATA_KEY, PolicySpec, SelfTest

#: Self-test tolerance relative to the largest expected value: float32 through another provider.
RELATIVE_TOLERANCE = 1e-4
_COPY_BYTES = 1 << 20


def wrap_model(
    model: Path,
    spec: PolicySpec,
    out: Path,
    *,
    seed: int = 0,
    tolerance: float | None = None,
    overwrite: bool = False,
) -> PolicySpec:
    """Write `out`: the model with its spec and a self-test computed here on the CPU.

    The file appears only when it has been loaded and has passed that self-test. A spec that the
    model already carries is replaced. External data and the second graph of a two-graph policy are
    copied beside `out`, under their own names.

    Args:
        model: Existing ONNX file.
        spec: Its contract; a self-test in it is replaced.
        out: File to write.
        seed: Seed of the self-test's input.
        tolerance: Largest deviation, in action units; None: 1e-4 of the largest expected value,
            at least 1e-4.
        overwrite: Replace an existing `out`.

    Returns:
        The spec as it was stored.

    Raises:
        PolicyError: the model is unusable or does not match the spec, or `out` exists.
        SpecError: the spec cannot be written as JSON.
    """
    if seed < 0 or (tolerance is not None and not 0.0 < tolerance < float('inf')):
        raise PolicyError(
            'expected a self-test seed of at least 0 and a finite tolerance above 0, got seed '
            f'{seed} and tolerance {tolerance}'
        )
    file = read_onnx_file(model)
    if out.suffix != '.onnx':
        raise ModelFileError(f'{out}: expected a file name that ends in .onnx')
    if out.exists() and not overwrite:
        raise ModelFileError(f'{out}: exists already; choose another name or allow overwriting')
    policy = open_onnx(file, dataclasses.replace(spec, self_test=None))
    expected = run_seeded(policy, seed)
    if not np.array_equal(expected, run_seeded(policy, seed)):
        raise ModelFileError(
            f'{file.path}: the graph gives two chunks for the same input: it draws random numbers '
            'itself. Make the noise an input of kind "noise" and export it again'
        )
    if tolerance is None:
        tolerance = RELATIVE_TOLERANCE * max(1.0, float(np.abs(expected).max()))
    test = SelfTest(
        seed=seed, expected=tuple(float(v) for v in expected.ravel()), tolerance=tolerance
    )
    stored = dataclasses.replace(spec, self_test=test)
    beside = [*file.external_data]
    if isinstance(policy, TwoGraphPolicy):
        beside += [policy.step_file.path.name, *policy.step_file.external_data]
    with _beside(out) as folder:
        partial = folder / out.name
        _copy_with_spec(file, partial, stored.to_json())
        for name in beside:
            shutil.copy(file.path.parent / name, folder / name)
        load_policy(partial)
        for name in beside:
            _place(folder / name, out.parent / name, overwrite=overwrite)
        os.replace(partial, out)
    return stored


def _copy_with_spec(file: OnnxFile, target: Path, text: str) -> None:
    with file.path.open('rb') as source, target.open('wb') as sink:
        for start, end in spans_without(source, METADATA_KEY):
            source.seek(start)
            while start < end:
                block = source.read(min(_COPY_BYTES, end - start))
                if not block:
                    raise ModelFileError(f'{file.path}: the file became shorter while it was read')
                sink.write(block)
                start += len(block)
        sink.write(metadata_field(METADATA_KEY, text))
        sink.flush()
        os.fsync(sink.fileno())


def _place(source: Path, target: Path, *, overwrite: bool) -> None:
    if target.exists() and not overwrite and target.read_bytes() != source.read_bytes():
        raise ModelFileError(
            f'{target}: another external data file lies there; choose another directory'
        )
    os.replace(source, target)


@contextmanager
def _beside(out: Path) -> Iterator[Path]:
    # In the same directory, because only a rename inside one file system is atomic.
    try:
        with tempfile.TemporaryDirectory(dir=out.parent, prefix='.bc-wrap-') as name:
            yield Path(name)
    except OSError as error:
        raise ModelFileError(f'{out}: cannot be written: {error.strerror or error}') from None
