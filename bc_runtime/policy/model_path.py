# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Find the model that the user means: a path, or a bare name in the model directories."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from bc_runtime.policy.beside import cache_blobs
from bc_runtime.policy.errors import ModelNotAllowed, ModelNotFound
from bc_runtime.spec.errors import available, did_you_mean
from bc_runtime.spec.sampling import STEP_SUFFIX

#: The kinds of model: ONNX files, exported programs, and side files of policy servers.
SUFFIXES = ('.onnx', '.pt2', '.remote.yaml')
SUFFIX = SUFFIXES[0]
#: ONNX files cannot be larger (protobuf); external data is counted apart.
MAX_MODEL_BYTES = 2_147_483_647


def list_models(model_dirs: Iterable[Path]) -> tuple[str, ...]:
    """Return the bare names that can be loaded from `model_dirs`, sorted."""
    names = {
        path.name.removesuffix(suffix)
        for directory in model_dirs
        if directory.is_dir()
        for suffix in SUFFIXES
        for path in directory.glob(f'*{suffix}')
        if path.is_file() and not is_second_graph(path)
    }
    return tuple(sorted(names))


def is_second_graph(path: Path) -> bool:
    """Say whether a file is the step network of the two-graph policy beside it."""
    first = path.name.removesuffix(STEP_SUFFIX)
    return first != path.name and path.with_name(first + SUFFIX).is_file()


def suffix_of(path: Path) -> str:
    """Return which of `SUFFIXES` a file name ends in; empty if none."""
    return next((suffix for suffix in SUFFIXES if path.name.endswith(suffix)), '')


def find_model(path_or_name: str | Path, *, model_dirs: Sequence[Path]) -> Path:
    """Return the model file that is meant; directories are searched in order.

    What contains a slash or ends in one of `SUFFIXES` is a path (a bare file name is looked for in
    the current directory, then in `model_dirs`); anything else is a name.

    Raises:
        ModelNotFound: lists the models that exist.
    """
    text = str(path_or_name)
    if text.startswith(('ws://', 'wss://')):
        raise ModelNotFound(
            f'{text}: the address of a policy server is no file. Describe the server in a file '
            f'<name>{SUFFIXES[2]} among the models and load that (docs/how-to/remote_policy.md)',
            requested=text,
            available=list_models(model_dirs),
        )
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:  # the home of nobody
        raise ModelNotFound(
            f'model {text!r}: {error}', requested=text, available=list_models(model_dirs)
        ) from None
    suffix = suffix_of(path)
    is_path = isinstance(path_or_name, Path) or '/' in text or bool(suffix)
    candidates = [path] if is_path else []
    if text and path.name == text:
        endings = ('',) if suffix else SUFFIXES
        candidates += [
            directory / f'{text}{ending}' for directory in model_dirs for ending in endings
        ]
    for candidate in candidates:
        try:
            if candidate.is_file():
                return candidate
        except OSError as error:  # a name that is too long, a folder that may not be read
            raise ModelNotFound(
                f'model {text!r}: {error.strerror or error}',
                requested=text,
                available=list_models(model_dirs),
            ) from None
    names = list_models(model_dirs)
    beside = list_models([path.parent]) if is_path and path.parent.is_dir() else ()
    where = ', '.join(str(directory) for directory in model_dirs) or '(no model directory is set)'
    what = 'is a directory' if path.is_dir() and is_path else 'there is no such file'
    message = f'model {text!r}: {what}.' if is_path else f'there is no model named {text!r}.'
    message += f' Models in {where}: {available(names)}.'
    if is_path and beside and path.parent not in model_dirs:
        message += f' Models in {path.parent}: {available(beside)}.'
    hint = did_you_mean(path.name.removesuffix(suffix), (*names, *beside))
    raise ModelNotFound(message + hint, requested=text, available=(*names, *beside))


def check_allowed(
    path: Path, *, allowed_dirs: Sequence[Path] | None, max_bytes: int = MAX_MODEL_BYTES
) -> Path:
    """Return the real path of a model, after links, if it may be loaded.

    Args:
        path: An existing file.
        allowed_dirs: The real path must lie in one of them, or be what a link in one of them
            stands for in the Hugging Face cache; None allows every directory.
        max_bytes: Largest file that is accepted.

    Raises:
        ModelNotAllowed: outside of every allowed directory, or too large.
    """
    real = path.resolve()
    if allowed_dirs is not None:
        roots = [directory.expanduser().resolve() for directory in allowed_dirs]
        place = path.parent.resolve()
        # Of a link in an allowed folder of the Hugging Face cache, also where the cache keeps it.
        cached = real.parent == cache_blobs(place) and any(map(place.is_relative_to, roots))
        if not cached and not any(real.is_relative_to(root) for root in roots):
            listed = ', '.join(str(root) for root in roots) or '(none)'
            raise ModelNotAllowed(
                f'{path}: models are loaded from these directories only: {listed}; this file is '
                f'{real}. Move it there, or allow its directory'
            )
    size = real.stat().st_size
    if size > max_bytes:
        raise ModelNotAllowed(
            f'{path}: expected a model of at most {max_bytes / 1e6:.0f} MB, '
            f'got {size / 1e6:.0f} MB'
        )
    return real
