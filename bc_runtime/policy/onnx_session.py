# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Create an ONNX Runtime session that is what was asked for, or say why not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import importlib
import importlib.metadata
import logging
import os
from typing import Any

from bc_runtime.policy.errors import BackendUnavailable, ModelFileError, ProviderUnavailable
from bc_runtime.policy.onnx_file import OnnxFile
from bc_runtime.policy.signature import TensorInfo
from bc_runtime.spec.errors import available, did_you_mean

_log = logging.getLogger(__name__)

#: Only from this version on is the interpreter free while a session is created
#: (https://github.com/microsoft/onnxruntime/issues/27063, measured).
RECOMMENDED_VERSION = (1, 31)
CPU = 'CPUExecutionProvider'
_CUDA_BASED = ('CUDAExecutionProvider', 'TensorrtExecutionProvider')
_DISTRIBUTIONS = ('onnxruntime', 'onnxruntime-gpu')
_ELEMENT_TYPES = {
    'tensor(float)': 'float32',
    'tensor(double)': 'float64',
    'tensor(float16)': 'float16',
    'tensor(string)': 'utf8',
}

Provider = str | tuple[str, Mapping[str, object]]


def import_onnxruntime() -> Any:
    """Return the onnxruntime module.

    Raises:
        BackendUnavailable: it is not installed, or two distributions share its folder.
    """
    installed = [name for name in _DISTRIBUTIONS if _is_installed(name)]
    if len(installed) > 1:
        raise BackendUnavailable(
            f"both {' and '.join(installed)} are installed; they overwrite each other's files. "
            'Keep one: pip uninstall -y onnxruntime onnxruntime-gpu, then pip install either '
            'onnxruntime (CPU) or onnxruntime-gpu (NVIDIA)'
        )
    try:
        module = importlib.import_module('onnxruntime')
        version = str(module.__version__)
    except (ImportError, AttributeError) as error:
        raise BackendUnavailable(
            f'onnxruntime cannot be imported ({error}). Install one of: pip install '
            '"onnxruntime>=1.31" (CPU) or "onnxruntime-gpu>=1.31" (NVIDIA); if a part of it is '
            'left over from the other, add --force-reinstall'
        ) from None
    if _version(version) < RECOMMENDED_VERSION:
        _log.warning(
            'onnxruntime %s holds the interpreter while a model is loaded: a live swap stalls '
            'this process for the whole load; 1.31 or newer does not',
            version,
        )
    return module


def create_session(
    file: OnnxFile,
    *,
    providers: Sequence[Provider],
    allow_fallback: bool,
    threads: int | None,
) -> Any:
    """Create a session from a file.

    Sequential execution without spinning threads: a spinning pool doubled the CPU time and made a
    neighbouring 100 Hz loop late 2.4 times as often (measured on 2 cores).

    Args:
        file: The model, already looked into.
        providers: In order of preference; the first one must really be used.
        allow_fallback: Accept whatever ONNX Runtime falls back to, with a warning.
        threads: Intra-op threads; None: one less than the cores of this process, at least one.

    Raises:
        BackendUnavailable: see `import_onnxruntime`.
        ProviderUnavailable: the first provider does not work here.
        ModelFileError: ONNX Runtime does not accept the file.
    """
    ort = import_onnxruntime()
    names = [each if isinstance(each, str) else each[0] for each in providers]
    if not names:
        raise ProviderUnavailable(
            f'expected at least one execution provider; built in: '
            f'{available(ort.get_available_providers())}',
            requested='',
            available=tuple(ort.get_available_providers()),
        )
    usable = _usable(ort, providers, names, allow_fallback=allow_fallback)
    if any(name in _CUDA_BASED for name in names) and hasattr(ort, 'preload_dlls'):
        ort.preload_dlls()
    options = ort.SessionOptions()
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = threads if threads is not None else default_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    options.add_session_config_entry('session.inter_op.allow_spinning', '0')
    try:
        # From the path: bytes would hold the interpreter, and cannot have external data.
        session = ort.InferenceSession(
            str(file.path), sess_options=options, providers=usable, enable_fallback=0
        )
    # Every exception of onnxruntime derives from Exception directly.
    except Exception as error:  # noqa: BLE001
        raise _explain(ort, file, names, error) from None
    # Its run() would otherwise print, rebuild the session on the CPU and go on.
    session.disable_fallback()
    used = session.get_providers()[0]
    if used != names[0]:
        _refuse_or_warn(ort, names[0], f'ONNX Runtime fell back to {used}', allow_fallback)
    return session


def default_threads() -> int:
    """Return the threads that leave one core to the rest of the robot."""
    return max(1, len(os.sched_getaffinity(0)) - 1)


def graph_inputs(session: Any) -> tuple[TensorInfo, ...]:
    """Return the inputs of a session's graph."""
    return tuple(_tensor_info(each) for each in session.get_inputs())


def graph_outputs(session: Any) -> tuple[TensorInfo, ...]:
    """Return the outputs of a session's graph."""
    return tuple(_tensor_info(each) for each in session.get_outputs())


def _tensor_info(each: Any) -> TensorInfo:
    kind = str(each.type)
    dtype = _ELEMENT_TYPES.get(kind, kind.removeprefix('tensor(').removesuffix(')'))
    return TensorInfo(name=str(each.name), dtype=dtype, shape=tuple(each.shape))


def _usable(
    ort: Any, providers: Sequence[Provider], names: Sequence[str], *, allow_fallback: bool
) -> list[Any]:
    built_in = ort.get_available_providers()
    if names[0] not in built_in:
        hint = did_you_mean(names[0], built_in)
        _refuse_or_warn(ort, names[0], f'it is not built into this package.{hint}', allow_fallback)
    chosen = [
        each if isinstance(each, str) else (each[0], dict(each[1]))
        for each, name in zip(providers, names, strict=True)
        if name in built_in
    ]
    return chosen or [CPU]


def _refuse_or_warn(ort: Any, requested: str, reason: str, allow_fallback: bool) -> None:
    built_in = tuple(ort.get_available_providers())
    message = (
        f'execution provider {requested} cannot be used: {reason}; onnxruntime {ort.__version__} '
        f'has {available(built_in)}'
    )
    if not allow_fallback:
        raise ProviderUnavailable(
            f'{message}. Install the package and drivers for it, choose another provider, or '
            'allow the fallback',
            requested=requested,
            available=built_in,
        )
    _log.warning('%s; going on with a fallback, as allowed', message)


def _explain(ort: Any, file: OnnxFile, names: Sequence[str], error: Exception) -> Exception:
    text = ' '.join(str(error).split())
    opsets = ', '.join(f'{domain} {version}' for domain, version in file.opsets.items())
    about = f'IR version {file.ir_version}, opset {opsets or "(none)"}'
    if 'IR version' in text or 'ValidateOpsetForDomain' in text or 'opset' in text.lower():
        return ModelFileError(
            f'{file.path}: onnxruntime {ort.__version__} cannot run this format ({about}): '
            f'{text}. Upgrade onnxruntime, or export the policy with an older opset'
        )
    if names[0] in _CUDA_BASED and ('CUDA' in text or 'out of memory' in text.lower()):
        fix = 'Check the driver and the CUDA version of the package, or choose another provider'
        if 'memory' in text.lower():
            fix = (
                'The device has no memory left: close what else uses it, load a smaller form '
                '(bc optimize --form fp16), or limit the policy in charge with gpu_mem_limit; '
                'while a policy is exchanged, both are in memory'
            )
        return ProviderUnavailable(
            f'execution provider {names[0]} failed while loading {file.path}: {text}. {fix}',
            requested=names[0],
            available=tuple(ort.get_available_providers()),
        )
    return ModelFileError(
        f'{file.path}: onnxruntime {ort.__version__} refuses the model ({about}): {text}'
    )


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split('.')[:2] if part.isdigit())
