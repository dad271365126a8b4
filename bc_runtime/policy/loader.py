# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""From what the user names to a policy that is proven and warm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import logging
from pathlib import Path
import re
from typing import Any

from bc_runtime.policy.base import Policy
from bc_runtime.policy.errors import (
    BackendUnavailable,
    ModelFileError,
    ModelNotAllowed,
    SpecMismatch,
)
from bc_runtime.policy.graph_policy import GraphPolicy
from bc_runtime.policy.model_path import (
    MAX_MODEL_BYTES,
    SUFFIXES,
    check_allowed,
    find_model,
    suffix_of,
)
from bc_runtime.policy.onnx_file import OnnxFile, read_onnx_file
from bc_runtime.policy.onnx_policy import OnnxPolicy
from bc_runtime.policy.onnx_session import CPU, Provider, create_session
from bc_runtime.policy.policy_file import read_spec, side_file
from bc_runtime.policy.program import archive
from bc_runtime.policy.program.program_policy import load_program
from bc_runtime.policy.remote import contract
from bc_runtime.policy.remote.remote_policy import RemotePolicy, connect
from bc_runtime.policy.self_test import run_self_test, warm_up
from bc_runtime.policy.timing import choose_threads
from bc_runtime.policy.two_graph_policy import TwoGraphPolicy, read_step_file
from bc_runtime.spec.policy_spec import METADATA_KEY, PolicySpec

_log = logging.getLogger(__name__)

_SCHEME = re.compile(r'^([a-z][a-z0-9+.-]*)://')
_FOREIGN_SUFFIXES = ('.pt', '.pth', '.ckpt', '.safetensors', '.engine', '.ort', '.tflite')


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
        path_or_name: A path, the name of a model in `model_dirs`, or the address of a policy
            server (`ws://host:port`).
        model_dirs: Directories of `<name>.onnx`, `.pt2` and `.remote.yaml` files, searched in
            order.
        providers: Execution providers in order of preference; the first must work.
        allow_fallback: Accept a fallback of the provider, with a warning.
        threads: Threads of one inference; None leaves one core free, 0 chooses by measurement
            (ONNX files).
        self_test: Run the stored self-test; a spec without one gives a warning.
        warm_up_runs: Inferences before the policy is returned.
        allowed_dirs: Directories that models may come from; None allows all.
        max_bytes: Largest file that is accepted.

    A policy server gets no threads and providers of ours, and is allowed wherever its side file
    is; an address alone needs `allowed_dirs` to be None.

    Raises:
        PolicyError: ModelNotFound, ModelNotAllowed, ModelFileError, SpecMissing, SpecMismatch,
            BackendUnavailable, ProviderUnavailable, SelfTestFailed or NonFiniteOutput.
        SpecError: the policy's spec is wrong or of a newer schema.
    """
    text = str(path_or_name)
    if contract.is_address(text):
        if allowed_dirs is not None:
            raise ModelNotAllowed(
                f'{text}: models are loaded from allowed directories only; describe the server '
                f'in a file <name>{contract.SUFFIX} in one of them'
            )
        return _prove(connect(None, url=text), self_test=self_test, warm_up_runs=warm_up_runs)
    _refuse_foreign(text)
    found = find_model(path_or_name, model_dirs=model_dirs)
    real = check_allowed(found, allowed_dirs=allowed_dirs, max_bytes=max_bytes)
    before = _identity(real)
    policy: RemotePolicy | GraphPolicy
    if suffix_of(found) == contract.SUFFIX:
        server = contract.read_remote_file(real)
        _refuse_two_graphs(server.spec, real)
        policy = connect(server, url=server.url)
    elif suffix_of(found) == archive.SUFFIX:
        program = archive.read_program_file(real)
        spec = archive.read_program_spec(program)
        _refuse_two_graphs(spec, real)
        policy = load_program(
            program,
            spec,
            providers=tuple(each if isinstance(each, str) else each[0] for each in providers),
            threads=threads,
        )
        _refuse_replaced(real, before)
    else:
        file = read_onnx_file(found)
        spec = read_spec(file, requested=found)
        if spec.sampling is not None:
            if METADATA_KEY not in file.metadata:
                raise SpecMismatch(
                    f'{real}: the spec of two graphs lies in a side file; then the policy id '
                    'would not cover the second graph. Write the spec into the model: bc wrap '
                    f'{real.name} --spec {side_file(real).name} -o OUT.onnx'
                )
            beside = file.path.with_name(spec.sampling.step_file)
            if beside.is_file():
                check_allowed(beside, allowed_dirs=allowed_dirs, max_bytes=max_bytes)

        def load(count: int | None) -> OnnxPolicy | TwoGraphPolicy:
            return open_onnx(
                file, spec, providers=providers, allow_fallback=allow_fallback, threads=count
            )

        policy = _fastest(load) if threads == 0 else load(threads)
        if file.path.resolve() != real:
            raise ModelFileError(f'{found}: the link changed while it was loaded; load it again')
        file.refuse_changed()
        if isinstance(policy, TwoGraphPolicy):
            policy.step_file.refuse_changed()
    return _prove(policy, self_test=self_test, warm_up_runs=warm_up_runs)


def open_onnx(
    file: OnnxFile,
    spec: PolicySpec,
    *,
    providers: Sequence[Provider] = (CPU,),
    allow_fallback: bool = False,
    threads: int | None = None,
) -> OnnxPolicy | TwoGraphPolicy:
    """Return the policy of one graph or of two, neither proven nor warm; see `load_policy`."""

    def session(each: OnnxFile) -> Any:
        return create_session(
            each, providers=providers, allow_fallback=allow_fallback, threads=threads
        )

    if spec.sampling is None:
        return OnnxPolicy(session=session(file), spec=spec, file=file)
    step = read_step_file(file, spec.sampling)
    return TwoGraphPolicy(
        encoder=session(file), step=session(step), spec=spec, file=file, step_file=step
    )


def _fastest(
    load: Callable[[int], OnnxPolicy | TwoGraphPolicy],
) -> OnnxPolicy | TwoGraphPolicy:
    count, policy, timings = choose_threads(load)
    listed = ', '.join(f'{n}: {1e3 * t.p50_s:.2f} ms' for n, t in timings.items())
    _log.info('%s: %d thread(s) chosen by measurement (%s)', policy.path, count, listed)
    return policy


def _prove(policy: RemotePolicy | GraphPolicy, *, self_test: bool, warm_up_runs: int) -> Policy:
    """Run self-test and warm-up; what is refused here holds no connection."""
    try:
        if self_test:
            policy.self_test_error = run_self_test(policy)
        remote = isinstance(policy, RemotePolicy)
        if self_test and policy.spec.self_test is None and not remote:
            _log.warning(
                '%s stores no self-test: a damaged file or a provider that computes something '
                'else would not be noticed; bc wrap adds one',
                policy.path,
            )
        if warm_up_runs:
            policy.warmup_s = warm_up(policy, runs=warm_up_runs).median_s
    except BaseException:
        if isinstance(policy, RemotePolicy):
            policy.close()
        raise
    if isinstance(policy, RemotePolicy):
        policy.begin_work()
    return policy


def _refuse_foreign(text: str) -> None:
    supported = (
        f'supported: files that end in {", ".join(SUFFIXES)}, names of models, and policy servers '
        'at ws:// addresses'
    )
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


def _refuse_two_graphs(spec: PolicySpec, path: Path) -> None:
    if spec.sampling is not None:
        raise SpecMismatch(
            f'{path}: the spec has a section sampling (two graphs), which only ONNX files '
            'have; remove it from the spec'
        )


def _identity(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return (status.st_ino, status.st_size, status.st_mtime_ns)


def _refuse_replaced(path: Path, before: tuple[int, int, int]) -> None:
    # The hash names the weights on every message; it must be the hash of what was loaded.
    if _identity(path) != before:
        raise ModelFileError(
            f'{path}: the file changed while it was loaded; wait for the copy to finish and '
            'load it again'
        )
