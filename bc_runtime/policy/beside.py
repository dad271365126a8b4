# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""file_beside: the files that a model names, also where the Hugging Face cache links to them.

A model is data from elsewhere: it must not reach for any file of this machine. The cache of
huggingface_hub keeps contents in `<repository>/blobs/` and links to them from
`<repository>/snapshots/<revision>/`; such a link may be followed, into these blobs only.
"""

from __future__ import annotations

from pathlib import Path

from bc_runtime.policy.errors import ModelFileError

_SNAPSHOTS, _BLOBS = 'snapshots', 'blobs'


def cache_blobs(folder: Path) -> Path | None:
    """Return the folder of contents that belongs to a folder of the Hugging Face cache.

    Args:
        folder: Real path, e.g. `<repository>/snapshots/<revision>/onnx`.

    Returns:
        `<repository>/blobs`; None for any other folder, or where there are no blobs.
    """
    for above in folder.parents:
        if above.name == _SNAPSHOTS:
            blobs = above.with_name(_BLOBS)
            return blobs if blobs.is_dir() and not blobs.is_symlink() else None
    return None


def file_beside(model: Path, name: str, what: str) -> Path:
    """Return the real path of a file that a model names.

    Args:
        model: The model's own path; the file is sought in its folder.
        name: From the model.
        what: Of the file, for the error.

    Raises:
        ModelFileError: no bare name, no plain file, or a link to elsewhere.
    """
    if '/' in name or '\\' in name or '\0' in name or name in ('', '.', '..'):
        raise ModelFileError(
            f'{model}: {what} must be a bare file name beside the model, got {name!r}; '
            'save the model again with its data in one directory'
        )
    beside = model.parent / name
    try:
        real = beside.resolve(strict=True)
    except (OSError, RuntimeError):
        real = beside
    if not real.is_file():
        raise ModelFileError(
            f'{model}: the {what} file {name!r} is missing; expected a plain file in '
            f'{model.parent}. Copy every file of the model there, under the '
            'names that it was exported with'
        )
    folder = model.parent.resolve()
    if not real.is_relative_to(folder) and real.parent != cache_blobs(folder):
        raise ModelFileError(
            f'{model}: the {what} file {name!r} is a link to {real}; expected a plain file in '
            f'{model.parent}, or a link into the blobs of its Hugging Face cache. Copy the file '
            'there'
        )
    return real
