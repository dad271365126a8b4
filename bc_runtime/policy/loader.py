# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""From what the user names to a policy that is proven and warm."""

from __future__ import annotations

from collections.abc import Sequence
import logging
from pathlib import Path
import re

from bc_runtime.policy.base import Policy
from bc_runtime.policy.errors import BackendUnavailable, ModelFileError
from bc_runtime.policy.model_path import MAX_MODEL_BYTES, SUFFIX, check_allowed, find_model
from bc_runtime.policy.onnx_file import OnnxFile, read_onnx_file
from bc_runtime.policy.onnx_policy import OnnxPolicy
from bc_runtime.policy.onnx_session import CPU, Provider, create_session
from bc_runtime.policy.policy_file import read_spec
from bc_runtime.policy.self_test import run_self_test, warm_up

_log = logging.getLogger(__name__)

_SCHEME = re.compile(r'^([a-z][a-z0-9+.-]*)://')
_FOREIGN_SUFFIXES = ('.pt2', '.pt', '.pth', '.ckpt', '.safetensors', '.engine', '.ort', '.tflite')


def load_policy(
    path_or_name: str | Path,
    *,
    model_dirs: Sequence[Path] = (),
    providers: Sequence[Provider] = (CPU,),
    allow_fallback: bool = False,
    threads: int | None = None,
    self_test: bool = True,
    warm_up_runs: int = 2,
    allowed_dirs: Sequence[Path] | None = None,
    max_bytes: int = MAX_MODEL_BYTES,
) -> Policy:
    """Load a policy, prove it and warm it up.

    Args:
        path_or_name: A path, or the name of a model in `model_dirs`.
        model_dirs: Directories of `<name>.onnx` files, searched in order.
        providers: Execution providers in order of preference; the first must work.
        allow_fallback: Accept a fallback of the provider, with a warning.
        threads: Threads of one inference; None leaves one core free.
        self_test: Run the stored self-test; a spec without one gives a warning.
        warm_up_runs: Inferences before the policy is returned.
        allowed_dirs: Directories that models may come from; None allows all.
        max_bytes: Largest file that is accepted.

    Raises:
        PolicyError: ModelNotFound, ModelNotAllowed, ModelFileError, SpecMissing, SpecMismatch,
            BackendUnavailable, ProviderUnavailable, SelfTestFailed or NonFiniteOutput.
        SpecError: the policy's spec is wrong or of a newer schema.
    """
    _refuse_foreign(str(path_or_name))
    found = find_model(path_or_name, model_dirs=model_dirs)
    real = check_allowed(found, allowed_dirs=allowed_dirs, max_bytes=max_bytes)
    before = _identity(real)
    file = read_onnx_file(real)
    spec = read_spec(file, requested=found)
    session = create_session(
        file, providers=providers, allow_fallback=allow_fallback, threads=threads
    )
    _refuse_replaced(file, before)
    policy = OnnxPolicy(session=session, spec=spec, file=file)
    if self_test:
        policy.self_test_error = run_self_test(policy)
    if self_test and spec.self_test is None:
        _log.warning(
            '%s stores no self-test: a damaged file or a provider that computes something else '
            'would not be noticed; bc wrap adds one',
            file.path,
        )
    if warm_up_runs:
        policy.warmup_s = warm_up(policy, runs=warm_up_runs).median_s
    return policy


def _refuse_foreign(text: str) -> None:
    supported = f'supported: ONNX files ({SUFFIX}) and names of models'
    scheme = _SCHEME.match(text)
    if scheme:
        raise BackendUnavailable(
            f'{text}: no backend for {scheme.group(1)}:// addresses; {supported}'
        )
    suffix = Path(text).suffix.lower()
    if suffix in _FOREIGN_SUFFIXES:
        raise BackendUnavailable(
            f'{text}: no backend for {suffix} files; {supported}. Export the policy to ONNX'
        )


def _identity(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return (status.st_ino, status.st_size, status.st_mtime_ns)


def _refuse_replaced(file: OnnxFile, before: tuple[int, int, int]) -> None:
    # The hash names the weights on every message; it must be the hash of what was loaded.
    if _identity(file.path) != before:
        raise ModelFileError(
            f'{file.path}: the file changed while it was loaded; wait for the copy to finish and '
            'load it again'
        )
